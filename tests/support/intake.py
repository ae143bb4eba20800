"""The door for messages, and where recipients go, as fakes that remember calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from pymailsuite.errors import NoSuchUser
from pymailsuite.interfaces import (
    IIncomingMessage,
    IMessageIntake,
    IRecipientResolver,
    LocalRecipient,
    RemoteRecipient,
)
from pymailsuite.interfaces.edits import NO_EDITS, Edits
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.policy import AppliedVerdict, IMessageTap, ReceivedMessage
from pymailsuite.values import AccountId, Address, ContentId, Envelope, Peer, QueueId, queue_id_of


@implementer(IIncomingMessage)
class RecordedMessage:
    """A message as it came: ``octets``, and whether it was ``committed`` or ``aborted``."""

    def __init__(self, intake: RecordingIntake, queue_id: QueueId, envelope: Envelope, peer: Peer) -> None:
        self.queue_id = queue_id
        self.whole_lines = False
        self.envelope = envelope
        self.peer = peer
        self.pieces: list[bytes] = []
        self.committed = False
        self.aborted = False
        self.prefix = b""
        self.applied_verdicts: tuple[AppliedVerdict, ...] = ()
        self.edits: Edits = NO_EDITS
        self.taps: tuple[IMessageTap, ...] = ()
        self._intake = intake

    @property
    def octets(self) -> bytes:
        """All of it so far."""
        return b"".join(self.pieces)

    def write(self, octets: bytes) -> Deferred[None] | None:
        """None, or what the test put into ``intake.write_answers``."""
        assert not self.aborted and not self.committed, "written to after its end"
        self.pieces.append(octets)
        for tap in self.taps:
            assert tap.write(octets) is None, "a tap that is waited for needs the real intake"
        return self._intake.write_answers.pop(0) if self._intake.write_answers else None

    def received(self, taps: Mapping[str, IMessageTap]) -> ReceivedMessage:
        """As it came."""
        octets = self.octets
        return ReceivedMessage(self.queue_id, len(octets), octets[: octets.find(b"\r\n\r\n") + 4], taps)

    def commit(
        self, prefix: bytes = b"", applied_verdicts: Any = (), disposals: Any = (), edits: Any = NO_EDITS
    ) -> Deferred[QueueId]:
        """Fires at once, or with what the test put into ``intake.commit_answers``."""
        assert not self.aborted, "committed after it was aborted"
        self.committed = True
        self.prefix = prefix
        self.applied_verdicts = tuple(applied_verdicts)
        self.edits = edits
        answer = self._intake.commit_answers.pop(0) if self._intake.commit_answers else None
        if isinstance(answer, Exception):
            return fail(answer)
        return succeed(self.queue_id) if answer is None else answer

    def abort(self) -> None:
        """Remembered."""
        self.aborted = True


@implementer(IMessageIntake)
class RecordingIntake:
    """Remembers every message in ``messages``; ids count up from 1."""

    def __init__(self) -> None:
        self.messages: list[RecordedMessage] = []
        self.open_error: Exception | None = None
        self.write_answers: list[Deferred[None] | None] = []
        self.commit_answers: list[Deferred[QueueId] | Exception | None] = []
        self.recipients: list[Any] = []

    def open(
        self, envelope: Envelope, recipients: Sequence[Any], peer: Peer, taps: Sequence[IMessageTap] = ()
    ) -> RecordedMessage:
        """A new message; raises ``open_error`` if that is set."""
        if self.open_error is not None:
            raise self.open_error
        message = RecordedMessage(self, queue_id_of(ContentId(len(self.messages) + 1)), envelope, peer)
        message.taps = tuple(taps)
        self.messages.append(message)
        self.recipients.append(recipients)
        return message

    @property
    def committed(self) -> list[RecordedMessage]:
        """Those that were committed."""
        return [message for message in self.messages if message.committed]


@implementer(IRecipientResolver)
class TableResolver:
    """``local`` addresses have accounts, their domains are ours, everything else is remote.

    ``asked`` lists addresses as text; ``errors`` maps some of them to what resolving them fails with, ``overrides``
    to what they want of the checks; while ``held`` is
    a list, answers wait in it until ``release``.
    """

    def __init__(self, *local: str) -> None:
        self._accounts = {name: AccountId(number) for number, name in enumerate(local, 1)}
        self.domains = {name.rpartition("@")[2] for name in local}
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.overrides: dict[str, RecipientOverrides] = {}
        self.held: list[tuple[Deferred[Any], Address]] | None = None

    def resolve(self, address: Address) -> Deferred[Any]:
        """Fires at once unless answers are held."""
        self.asked.append(str(address))
        if self.held is not None:
            waiting: Deferred[Any] = Deferred()
            self.held.append((waiting, address))
            return waiting
        return self._answer(address)

    def release(self) -> None:
        """Give all held answers, and later ones at once."""
        held, self.held = self.held or [], None
        for waiting, address in held:
            self._answer(address).chainDeferred(waiting)

    def _answer(self, address: Address) -> Deferred[Any]:
        name = str(address)
        if name in self.errors:
            return fail(self.errors[name])
        if name in self._accounts:
            overrides = self.overrides.get(name, NO_OVERRIDES)
            return succeed((LocalRecipient(self._accounts[name], address, overrides=overrides),))
        if address.domain in self.domains:
            return fail(NoSuchUser())
        return succeed((RemoteRecipient(address),))

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        """Whether one of the local addresses is in it."""
        return succeed(domain in self.domains)
