"""Each dialogue of a folder of transcripts, played again and again: every call that it leads to fails, is held until
the peer has left, or is called off, one in each run.

    @failures("imap", make=FailingConversation)
    class FailureTests(SynchronousTestCase):
        '''A test for each dialogue.'''

What the server must say is not compared: it depends on what failed. What holds whatever failed is for the conversation
to check (:class:`FailingConversation`), and for all alike: nothing is logged as an error but the one that was injected,
and that it is. Of the ways to fail, each call is tried with as many as ``PYMAILSUITE_FAILURES`` says, drawn by a fixed
seed (default: 1; there are as many as :data:`WAYS`).
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StorageFull, StoreUnavailable
from tests.support.interference import Call, Interference, failing, held, held_and_done
from tests.support.logs import captured_logs
from tests.support.transcripts import FOLDER, Transcript, load, run, spoken

TRIED: Final = int(os.environ.get("PYMAILSUITE_FAILURES", "1"))
"""Ways to fail that are tried of each call."""


class FailingConversation(Protocol):
    """A conversation of transcripts whose calls are interfered with."""

    def receive(self, octets: bytes) -> None:
        """The server receives octets."""

    def output(self) -> bytes:
        """What the server has sent since the last call."""

    def ended(self) -> bool:
        """True once the server has ended the connection."""

    def act(self, name: str, argument: str) -> None:
        """Do what an ``X:`` step asks for."""

    def check_alive(self, case: SynchronousTestCase) -> None:
        """The dialogue is over, and nothing is held: whoever is still connected is answered, and told the truth."""

    def leave(self) -> None:
        """All connections are gone."""

    def check_said(self, case: SynchronousTestCase, sent: bytes) -> None:
        """Whole replies and none twice, whatever was asked (``sent``)."""

    def check_nothing_is_left(self, case: SynchronousTestCase, call: Call) -> None:
        """What was taken has been given back, and the next peer is served."""


Make = Callable[[Transcript, Interference], FailingConversation]


@frozen
class ForwardedEnvelope:
    """How a call fails: by an error, or by an answer that is held until the peer has left or the call is called off."""

    name: str
    make_error: Callable[[], Exception] | None = None
    leaves: bool = False
    is_done: bool = False
    """Called off or not, it is done; what is not called off always is."""


class Defect(Exception):
    """Something that nobody foresaw."""


WAYS: Final = (
    ForwardedEnvelope("store away", StoreUnavailable),
    ForwardedEnvelope("disk full", StorageFull),
    ForwardedEnvelope("defect", Defect),
    ForwardedEnvelope("peer leaves", leaves=True),
    ForwardedEnvelope("peer leaves and it is done all the same", leaves=True, is_done=True),
    ForwardedEnvelope("called off"),
    ForwardedEnvelope("called off and done all the same", is_done=True),
)


@frozen
class Exempt:
    """Calls that not everything is asked of, by name; see :func:`failures`."""

    undone: frozenset[str]
    untold: frozenset[str]
    goes_on: frozenset[str]


class Playing:
    """A transcript being played to a conversation, whatever that answers."""

    def __init__(self, transcript: Transcript, conversation: FailingConversation, interference: Interference) -> None:
        self._transcript = transcript
        self._conversation = conversation
        self._interference = interference
        self.sent = b""

    def play(self, captured: dict[str, str], way: ForwardedEnvelope) -> None:
        """Say all the client says, until the connection ends or a call is held by which it is to leave."""
        conversation = self._conversation
        outgoing = b""
        for step in self._transcript.steps:
            if step.kind == "C":
                outgoing += spoken(step, captured)
                continue
            if outgoing:
                self._send(outgoing, way)
                outgoing = b""
            if self._is_waiting:
                return
            if step.kind == "X":
                name, _, argument = step.text.partition(" ")
                conversation.act(name, argument.strip())
                self._call_off(way)
        self._send(outgoing, way)

    def _send(self, octets: bytes, way: ForwardedEnvelope) -> None:
        if octets and not self._conversation.ended():
            self.sent += octets
            self._conversation.receive(octets)
            self._call_off(way)

    def _call_off(self, way: ForwardedEnvelope) -> None:
        held_answer = self._interference.held
        if self._is_waiting and not way.leaves:
            assert held_answer is not None
            held_answer.cancel()

    @property
    def _is_waiting(self) -> bool:
        return self._interference.held is not None and not self._interference.held.called


Case = TypeVar("Case", bound=type[SynchronousTestCase])


def failures(
    *rooms: str,
    make: Make,
    more: Iterable[Transcript] = (),
    undone: Iterable[str] = (),
    untold: Iterable[str] = (),
    goes_on: Iterable[str] = (),
) -> Callable[[Case], Case]:
    """Give a test class a test for each transcript of ``tests/transcripts/ROOM``, and of ``more``.

    Calls named in ``undone`` come to nothing where they are called off; what those named in ``untold`` fail with
    may never come up; reads named in ``goes_on`` are wanted whether or not the peer is there.
    """
    played = [*(transcript for room in rooms for transcript in load(FOLDER / room)), *more]
    exempt = Exempt(frozenset(undone), frozenset(untold), frozenset(goes_on))

    def decorate(case: Case) -> Case:
        for transcript in played:
            _add_test(case, transcript, make, exempt)
        return case

    return decorate


def _add_test(case: type[SynchronousTestCase], transcript: Transcript, make: Make, exempt: Exempt) -> None:
    def test(self: SynchronousTestCase) -> None:
        counting = Interference()
        captured = run(transcript, make(transcript, counting))
        drawn = random.Random(transcript.name)
        for call in counting.calls:
            for way in drawn.sample(WAYS, min(TRIED, len(WAYS))):
                try:
                    _play_with(self, transcript, make, captured, exempt, call, way)
                except Exception as error:
                    error.add_note(f"where {call} met: {way.name}")
                    raise
        gc.collect()  # what nobody waited for and failed is told of only now
        self.assertEqual(self.flushLoggedErrors(), [])

    test.__name__ = f"test_{transcript.name}_when_something_fails"
    test.__qualname__ = f"{case.__qualname__}.{test.__name__}"
    test.__doc__ = f"The dialogue of {transcript.name}.txt."
    setattr(case, test.__name__, test)


def _play_with(
    case: SynchronousTestCase,
    transcript: Transcript,
    make: Make,
    captured: dict[str, str],
    exempt: Exempt,
    call: Call,
    way: ForwardedEnvelope,
) -> None:
    error = None if way.make_error is None else way.make_error()
    with captured_logs() as events:
        done = way.is_done and call[1] not in exempt.undone
        interference = Interference(call, failing(error) if error else held_and_done if done else held)
        conversation = make(transcript, interference)
        playing = Playing(transcript, conversation, interference)
        playing.play(captured, way)
        interference.stop()
        if not way.leaves:
            conversation.check_alive(case)
        conversation.leave()
        answer = interference.held
        if answer is not None and not answer.called:
            is_needed = call[1] in exempt.goes_on or not call[1].startswith("read ")
            case.assertTrue(is_needed, "read on for nobody")
            interference.release()
        conversation.check_said(case, playing.sent)
        conversation.check_nothing_is_left(case, call)
    case.flushLoggedErrors()
    told = [event for event in events if event.get("log_level") in (LogLevel.error, LogLevel.critical)]
    for event in told:
        cause = event["log_failure"].value if "log_failure" in event else event.get("reason")
        if isinstance(cause, str):
            cause = None  # told in words
        if isinstance(cause, CancelledError) and not way.leaves and conversation.ended():
            continue  # it cut a response, which is worth a line
        case.assertIs(cause, error, event.get("log_format"))
    if isinstance(error, Defect) and call[1] not in exempt.untold:
        case.assertTrue(told, "a defect, and nothing of it in the log")
