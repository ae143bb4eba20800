"""The index is made for a share of the time, and not at all while the machine is busy."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.text_index import IndexBounds
from pymailsuite.message.extraction import NO_EXTRACTION
from pymailsuite.server.text_indexer import TextIndexer, load_per_processor


class _Index:
    """Each answer is what a call answers; None from then on."""

    def __init__(self, clock: Clock, *answers: Any) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.asked_at: list[float] = []

    def index_some(self, bounds: IndexBounds) -> Any:
        self.asked_at.append(self.clock.seconds())
        answer = self.answers.pop(0) if self.answers else None
        return answer if isinstance(answer, Deferred) else succeed(answer)


class TextIndexerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.load = 0.0

    def indexer(self, text_index: Any, is_ours: bool = True, **settings: Any) -> TextIndexer:
        indexer = TextIndexer(
            text_index, SearchSettings(**settings), NO_EXTRACTION, is_ours, self.clock, lambda: self.load
        )
        indexer.startService()
        self.addCleanup(indexer.stopService)
        return indexer

    def test_pauses_are_as_long_as_the_share_asks(self) -> None:
        first, second = Deferred[int | None](), Deferred[int | None]()
        index = _Index(self.clock, first, second)
        self.indexer(index, index_share=0.2)
        self.clock.advance(30)
        self.clock.advance(0.1)
        first.callback(64)
        self.clock.advance(0.39)
        self.assertEqual(len(index.asked_at), 1)
        self.clock.advance(0.02)
        self.assertEqual(index.asked_at, [30, 30.51])
        second.callback(None)
        self.clock.advance(29)
        self.assertEqual(len(index.asked_at), 2)
        self.clock.advance(1)
        self.assertEqual(len(index.asked_at), 3)

    def test_nothing_is_indexed_while_the_machine_is_busy(self) -> None:
        piece = Deferred[int | None]()
        index = _Index(self.clock, piece)
        self.load = 2.5
        self.indexer(index)
        self.clock.advance(30)
        self.clock.advance(30)
        self.assertEqual(index.asked_at, [])
        self.load = 1.9
        self.clock.advance(30)
        self.assertEqual(index.asked_at, [90])
        self.load = 2.1
        piece.callback(64)
        self.clock.advance(60)
        self.assertEqual(len(index.asked_at), 1)

    def test_the_load_need_not_be_looked_at(self) -> None:
        index = _Index(self.clock)
        self.load = 100.0
        self.indexer(index, index_load=0)
        self.clock.advance(30)
        self.assertEqual(len(index.asked_at), 1)

    def test_one_process_of_several_does_it_if_it_is_wanted(self) -> None:
        index = _Index(self.clock)
        self.indexer(index, is_ours=False)
        self.indexer(index, index=False)
        self.clock.advance(60)
        self.assertEqual(index.asked_at, [])

    def test_what_fails_is_tried_again_and_a_stop_waits_for_the_piece_under_way(self) -> None:
        piece = Deferred[int | None]()
        index = _Index(self.clock, fail(StoreUnavailable()), piece)
        indexer = self.indexer(index)
        self.clock.advance(30)
        self.clock.advance(30)
        self.assertEqual(len(index.asked_at), 2)
        stopped = indexer.stopService()
        self.assertNoResult(stopped)
        piece.callback(64)
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(len(index.asked_at), 2)

    def test_the_load_is_a_number(self) -> None:
        self.assertGreaterEqual(load_per_processor(), 0.0)
