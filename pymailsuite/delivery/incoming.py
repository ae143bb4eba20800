"""A message whose octets are arriving.

They go directly into the store's content writer, with the server's Received field in front. Only the header is held
back until it is complete: missing fields of a user's message are added, fields that claim to be the server's own are
removed, and hops are counted.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.restaging import new_body, signature_fields, stage_anew, staged_body, tell_again
from pymailsuite.delivery.taps import TapGroup
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import IContentWriter, IIncomingMessage, RemoteRecipient
from pymailsuite.interfaces.content import IReadableMessage
from pymailsuite.interfaces.delivery import NO_TAPS
from pymailsuite.interfaces.edits import NO_EDITS, Edits
from pymailsuite.interfaces.intake import NO_DISPOSALS, GivenRecipients, Recipients
from pymailsuite.interfaces.policy import AppliedVerdict, Disposal, IMessageTap, ReceivedMessage
from pymailsuite.message.authentication_results import remove_own_fields
from pymailsuite.message.completion import completed, lacks_from
from pymailsuite.message.header_edits import edited_header
from pymailsuite.message.parts import Part, PartTable, decode_parts
from pymailsuite.message.reading import part_octets, part_texts
from pymailsuite.message.trace import count_received, received_field
from pymailsuite.values import Address, Envelope, Peer, QueueId, queue_id_of

log = Logger()


class TooManyHops(Refusal):
    """The message has passed so many hosts that it must be in a loop. Source: RFC 5321 §6.3."""

    smtp_code = 554
    enhanced_code = "5.4.6"
    text = "Too many hops: mail loop"


class NoAuthor(Refusal):
    """A message without From, which the server does not add."""

    text = "The message has no From field"


class HeaderTooLong(Refusal):
    """The header alone is longer than the limit."""

    smtp_code = 552
    enhanced_code = "5.3.4"
    text = "Message header too long"


def _may_be_named(resolved: Recipients | None) -> bool:
    """Whether an address that needs SMTPUTF8 may be named in the message: False if it leads to a remote address that
    does not need SMTPUTF8, and must not be made to."""
    return resolved is not None and not any(
        isinstance(target, RemoteRecipient) and target.address.local_part.isascii() for target in resolved
    )


_HEADER_BEGINS: Final = re.compile(rb"[!-9;-~]+[ \t]*:|\r\n|>*From ").match
"""A field, the empty line that ends a header of no fields, or the line an mbox separates messages with."""
_UNDECIDED: Final = re.compile(rb"(?:[!-9;-~]*[ \t]*|\r)\Z").match
"""Octets that may still become the beginning of a header, when more octets come."""
_MESSAGE_ID: Final = re.compile(rb"\r\nMessage-ID:[ \t]*<([!-=?-~]{1,250})>", re.IGNORECASE).search
_FIRST_LINE_MAX: Final = 998
"""Octets of a line. Source: RFC 5322 §2.1.1."""


@frozen
class ReceivingRules:
    """The rules for every incoming message. ``host_name`` is the server's name in Received, ``authserv_id`` its name in
    Authentication-Results, where incoming fields with that name are removed. ``clock`` returns POSIX seconds."""

    settings: DeliverySettings
    host_name: str
    authserv_id: str
    clock: IReactorTime

    def completes(self, peer: Peer) -> bool:
        """Whether a message of this peer is a submission, to be completed."""
        whose = self.settings.complete
        return whose != "nobody" and bool(peer.login or (whose == "trusted" and peer.trusted))

    def author_of(self, envelope: Envelope, peer: Peer) -> Address | None:
        """The author of a message without From: its reverse-path, or the user; None if that cannot be written, or must
        not be added."""
        if self.settings.missing_from == "refuse":
            return None
        local_part, _, domain = peer.login.rpartition("@")
        author = envelope.reverse_path or (Address(local_part, domain) if local_part else None)
        return author if author is not None and (author.is_ascii or envelope.smtputf8) else None

    def trace_of(self, queue_id: QueueId, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> bytes:
        """The server's Received field. It names the recipient only if there is one, so that it reveals no addresses of
        others (RFC 5321 §7.2)."""
        named: Sequence[Address] = ()
        if len(recipients) == 1:
            given, resolved = recipients[0]
            if given.local_part.isascii() or _may_be_named(resolved):
                named = (given,)
        return received_field(
            peer, self.host_name, queue_id, self.clock.seconds(), recipients=named, smtputf8=envelope.smtputf8
        )


class Acceptor(Protocol):
    """Accepts a message that has arrived."""

    def accept_received(
        self,
        message: IncomingMessage,
        prefix: bytes,
        applied_verdicts: Sequence[AppliedVerdict],
        disposals: Mapping[Address, Disposal],
        edits: Edits,
    ) -> Deferred[QueueId]:
        """As :meth:`IIncomingMessage.commit` says; all octets have been written, and are in order. The ``edits`` of the
        message and its envelope have been applied."""

    def new_content(self) -> IContentWriter:
        """A place for a message that is staged anew."""

    def step_taps(self, message: IncomingMessage, edits: Edits) -> Mapping[str, IMessageTap]:
        """The taps of delivery steps for the message as it is after ``edits``."""


@implementer(IIncomingMessage, IReadableMessage)
class IncomingMessage:
    """One message on its way into the store. The acceptor finds the received part here: ``size`` octets, and the
    ``header`` as policies see it. ``step_taps`` are the taps of delivery steps."""

    __slots__ = (
        "_acceptor",
        "_completes",
        "_heard",
        "_pending",
        "_refusal",
        "_rules",
        "_searched",
        "_taps",
        "_trace",
        "envelope",
        "header",
        "peer",
        "queue_id",
        "recipients",
        "size",
        "step_taps",
        "writer",
    )

    def __init__(
        self,
        rules: ReceivingRules,
        acceptor: Acceptor,
        writer: IContentWriter,
        envelope: Envelope,
        recipients: GivenRecipients,
        peer: Peer,
        taps: Sequence[IMessageTap],
        step_taps: Mapping[str, IMessageTap] = NO_TAPS,
    ) -> None:
        self.queue_id: QueueId = queue_id_of(writer.content_id)
        self._rules = rules
        self._acceptor = acceptor
        self.writer = writer
        self.envelope = envelope
        self.recipients = recipients
        self.peer = peer
        self.step_taps = step_taps
        hearing = (*taps, *step_taps.values()) if step_taps else taps
        self._taps = TapGroup(hearing, self.queue_id, rules.clock, rules.settings.tap_time) if hearing else None
        self._completes = rules.completes(peer)
        self._trace = rules.trace_of(self.queue_id, envelope, recipients, peer)
        # Fires when all taps have taken the last octets; None: they have.
        self._heard: Deferred[None] | None = None
        self._refusal: Refusal | None = None
        # The header is held back until it is complete; None once it has gone on.
        self._pending: bytes | None = b""
        self._searched = 0
        self.header = b""
        self.size = 0

    @property
    def whole_lines(self) -> bool:
        """As the interface says. Octets that are added or removed are whole lines, too."""
        return bool(self.writer.whole_lines)

    @whole_lines.setter
    def whole_lines(self, known: bool) -> None:
        self.writer.whole_lines = known

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Pass the octets on, after the trace field. A message that will be refused is no longer stored, only read."""
        self.size += len(octets)
        if self._taps is not None and not (self._completes and self._pending is not None):
            self._heard = self._taps.tell(octets)
        if self._pending is not None:
            octets = self._behind_header(self._pending + octets)
        pause = None if not octets or self._refusal is not None else self.writer.write(octets)
        if self._heard is None:
            return pause
        heard, self._heard = self._heard, None
        return heard if pause is None else heard.addCallback(lambda _: pause)

    def _behind_header(self, octets: bytes) -> bytes:
        """The octets of the message's beginning that may be passed on: none until its header is complete."""
        self._pending = octets
        if not _HEADER_BEGINS(octets):
            if _UNDECIDED(octets) and len(octets) < _FIRST_LINE_MAX:
                return b""
            return self._without_header()
        end = 2 if octets.startswith(b"\r\n") else octets.find(b"\r\n\r\n", self._searched) + 4
        if end >= 4 or octets.startswith(b"\r\n"):
            return self._header_ended(end)
        self._searched = max(len(octets) - 3, 0)
        if len(octets) > self._rules.settings.header_size:
            # A policy that looks at the header before the message is refused must not think that there is none.
            self.header = octets
            self._refuse(HeaderTooLong())
        return b""

    def _without_header(self) -> bytes:
        """The beginning of a message without a header: its text must not become one."""
        octets, self._pending = self._pending or b"", None
        if self._completes:
            added = self._completed(b"")
            if added is None:
                return b""
            octets = b"%b\r\n%b" % (added, octets)
            self.header = octets[: len(added) + 2]
            self._tell_completed(octets)
            return self._trace + octets
        return b"%b\r\n%b" % (self._trace, octets) if octets else self._trace

    def _header_ended(self, end: int) -> bytes:
        """The header with the trace field in front and without results that bear the server's name, and the octets
        after it."""
        octets, self._pending = self._pending or b"", None
        if self._completes:
            whole = self._completed(octets[:end])
            if whole is None:
                return b""
            octets, end = whole + octets[end:], len(whole)
            self._tell_completed(octets)
        header = self.header = octets[:end]
        hops = count_received(header)
        if hops > self._rules.settings.max_received:
            log.info(
                "{event} {queue_id} from={peer_ip} received={count}",
                event="delivery.looped",
                queue_id=self.queue_id,
                peer_ip=self.peer.ip,
                count=hops,
            )
            self._refuse(TooManyHops(cause=f"{hops} Received fields"))
            return b""
        clean = remove_own_fields(header, self._rules.authserv_id)
        return self._trace + (octets if clean is header else clean + octets[end:])

    def _completed(self, header: bytes) -> bytes | None:
        """The header with its missing fields; None if the message is refused because one cannot be added."""
        author = self._rules.author_of(self.envelope, self.peer)
        if author is None and lacks_from(header) and (self.peer.login or self._rules.settings.missing_from == "refuse"):
            self._refuse(NoAuthor())
            return None
        return completed(header, self._rules.clock.seconds(), self._rules.host_name, author)

    def _tell_completed(self, octets: bytes) -> None:
        """Pass the beginning of a completed message to the taps."""
        if self._taps is not None:
            self._heard = self._taps.tell(octets)

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._pending = None
        self.writer.abort()

    def _end(self) -> None:
        """All octets have come: pass on those that waited for the end of a header."""
        if self._pending is None:
            return
        has_header = bool(_HEADER_BEGINS(self._pending))
        octets = self._header_ended(len(self._pending)) if has_header else self._without_header()
        if octets:
            self.writer.write(octets)

    @property
    def message_id(self) -> str:
        """The text between the angle brackets of Message-ID; empty if there is none, or it has an unusual form."""
        found = _MESSAGE_ID(b"\r\n" + self.header)
        return "" if found is None else found[1].decode("ascii")

    def received(self, taps: Mapping[str, IMessageTap]) -> ReceivedMessage:
        """The facts about it for policies."""
        self._end()
        return ReceivedMessage(self.queue_id, self.size, self.header, taps, self)

    # --- reading it

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """As the interface says. A message that will be refused cannot be read."""
        return self.writer.read(start, stop) if self._refusal is None else fail(self._refusal)

    def parts(self) -> PartTable:
        """As the interface says; raises the error with which the message will be refused."""
        if self._refusal is not None:
            raise self._refusal
        return decode_parts(self.writer.structure().parts)

    def text(self, part: Part) -> AsyncIterator[str]:
        """As the interface says."""
        return part_texts(self.read, part)

    def decoded(self, part: Part) -> AsyncIterator[bytes]:
        """As the interface says."""
        return part_octets(self.read, part)

    # --- its end

    def commit(
        self,
        prefix: bytes = b"",
        applied_verdicts: Sequence[AppliedVerdict] = (),
        disposals: Mapping[Address, Disposal] = NO_DISPOSALS,
        edits: Edits = NO_EDITS,
    ) -> Deferred[QueueId]:
        """Fires with the queue id after the one transaction; HeaderTooLong, TooManyHops, or an error of the store."""
        self._end()
        if self._refusal is not None:
            return fail(self._refusal)
        if edits is not NO_EDITS:
            return Deferred.fromCoroutine(self._commit_changed(prefix, applied_verdicts, disposals, edits))
        return self._acceptor.accept_received(self, prefix, applied_verdicts, disposals, edits)

    async def _commit_changed(
        self,
        prefix: bytes,
        applied_verdicts: Sequence[AppliedVerdict],
        disposals: Mapping[Address, Disposal],
        edits: Edits,
    ) -> QueueId:
        if edits.sender is not None:
            self.envelope = evolve(self.envelope, reverse_path=edits.sender.reverse_path)
        if edits.added or edits.removed:
            kept = [one for one in self.recipients if one[0] not in edits.removed]
            there = {address for address, _ in kept}
            self.recipients = [*kept, *[(address, None) for address in edits.added if address not in there]]
            self.envelope = evolve(self.envelope, recipients=tuple([address for address, _ in self.recipients]))
        if edits.restages:
            await self._stage_anew(edits)
            prefix = signature_fields(edits.signatures, self.header) + prefix
        elif edits.redirected:
            await self._tell_steps(edits)
        return await self._acceptor.accept_received(self, prefix, applied_verdicts, disposals, edits)

    @property
    def _body_start(self) -> int:
        """The offset of the body in the staged octets. If the message had no header, an empty line follows the trace
        field."""
        return len(self._trace) + (len(remove_own_fields(self.header, self._rules.authserv_id)) or len(b"\r\n"))

    async def _tell_steps(self, edits: Edits) -> None:
        """Mail is redirected, which was not known when it arrived: pass the message to the taps of delivery steps
        now."""
        taps = self._acceptor.step_taps(self, edits)
        if taps:
            rules = self._rules
            tap_group = TapGroup(taps.values(), self.queue_id, rules.clock, rules.settings.tap_time)
            await tell_again(self.header, staged_body(self.writer, self._body_start), tap_group)
            self.step_taps = taps

    async def _stage_anew(self, edits: Edits) -> None:
        """Replace the received message by the edited one, which has another queue id."""
        rules, old, body_start = self._rules, self.writer, self._body_start
        writer = self._acceptor.new_content()
        queue_id = queue_id_of(writer.content_id)
        header = edited_header(self.header, edits.header)
        trace = rules.trace_of(queue_id, self.envelope, self.recipients, self.peer)
        front = trace + remove_own_fields(header, rules.authserv_id)
        self.step_taps = self._acceptor.step_taps(self, edits)
        hearing: list[Any] = [*self.step_taps.values()]
        if edits.body is None:
            body = staged_body(old, body_start)
            writer.whole_lines = old.whole_lines
        else:
            body = new_body(edits.body, rules.clock, rules.settings.tap_time, self.queue_id)
            for signature in edits.signatures:
                signature.hear_anew()
                hearing.append(signature)
        try:
            tap_group = TapGroup(hearing, queue_id, rules.clock, rules.settings.tap_time)
            await stage_anew(writer, front, header, body, tap_group)
        except BaseException:
            writer.abort()
            raise
        log.info(
            "{event} {queue_id}, now {new_queue_id}, {size} octets",
            event="delivery.changed",
            queue_id=self.queue_id,
            new_queue_id=queue_id,
            size=writer.size,
        )
        old.abort()
        self.writer, self.queue_id, self.header, self._trace = writer, queue_id, header, trace
        self.size = writer.size - len(trace)

    def abort(self) -> None:
        """Drop the message; harmless at any time."""
        if self._taps is not None:
            self._taps.call_off()
        self.writer.abort()
