"""State that all parts of an SMTP session share: the state of the protocol, the pending replies, the policies'
decisions.

The commands are in :mod:`pymailsuite.smtp.transaction` (MAIL, RCPT, DATA), :mod:`pymailsuite.smtp.login` (AUTH) and
:mod:`pymailsuite.smtp.session` (all others, and the way to each).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.python.failure import Failure

from pymailsuite.config.sections.smtp import Handing
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces.history import Refused
from pymailsuite.interfaces.intake import Recipients, account_of, overrides_of
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Decision,
    MailTransaction,
    PolicyReply,
    ReceivedMessage,
    Stage,
)
from pymailsuite.sasl import ChannelBinding, Offered
from pymailsuite.smtp import replies
from pymailsuite.smtp.extension import Command, Parameter
from pymailsuite.smtp.replies import reply, text_of
from pymailsuite.smtp.requests import CheckPolicy, HoldBack, Note, Request, Service
from pymailsuite.smtp.states import State
from pymailsuite.values import Address, BodyType, Peer, QueueId

_NOBODY_ASKED: frozenset[Stage] = frozenset()
_NO_PARAMETERS: Mapping[str, Any] = {}


class Conversation:
    """The state of one connection, and the methods that send replies.

    ``outgoing`` collects replies and ``notes`` what to log, for the protocol to take away; ``ended`` is True once the
    connection is to be closed after the replies have been sent. ``faults`` counts permanent refusals.
    """

    def __init__(self, service: Service, peer: Peer, secure: bool, plaintext_login: bool = False) -> None:
        """``plaintext_login``: the client may send a password without TLS, because of where it is."""
        settings = service.settings
        self.outgoing: list[bytes] = []
        self.notes: list[Note] = []
        self.ended = False
        self.state = State.START
        self.service = service
        self.settings = settings
        self._peer = peer
        self.secure = secure
        self._plaintext_login = plaintext_login
        self.channel: ChannelBinding | None = None
        """The connection's TLS, once there is any, for logins that are bound to it; None: there is none to bind to."""
        self._lenient = settings.lenient_syntax == "always" or (peer.trusted and settings.lenient_syntax == "trusted")
        self._bad_commands = 0
        self._errors = 0
        self.faults = 0
        self._errors_answered = 0
        self._held: Callable[[], None] | None = None
        self._early_talker = False
        self._awaiting: Command | None = None
        self._queue_id: QueueId | None = None
        self._resolved: Recipients = ()
        self._connection_verdicts: tuple[AppliedVerdict, ...] = ()
        self._hello_verdicts: tuple[AppliedVerdict, ...] = ()
        self._stages = _NOBODY_ASKED
        self._peer_changed()
        self._then: Callable[[Decision], Request | None] | None = None
        self._forget_transaction()

    def _forget_transaction(self) -> None:
        self._reverse_path: Address | None = None
        self._recipients: list[tuple[Address, Recipients]] = []
        self._pending_recipient: Address | None = None
        self.parameters: Mapping[str, Any] = _NO_PARAMETERS
        self._recipient_parameters: dict[Address, Mapping[str, Any]] = {}
        self._applied_verdicts: tuple[AppliedVerdict, ...] = ()
        self._overrides: dict[Address, RecipientOverrides] = {}

    @property
    def peer(self) -> Peer:
        """The client, as far as it is known by now."""
        return self._peer

    @property
    def hostname(self) -> str:
        """Our name."""
        return self.service.hostname

    @property
    def submission(self) -> bool:
        """Whether this listener takes submissions from users (RFC 6409)."""
        return self.service.submission

    def is_among(self, whom: Handing) -> bool:
        """Whether the client belongs to the group that a setting names."""
        peer = self._peer
        return whom != "nobody" and bool(peer.login or (whom == "trusted" and peer.trusted))

    # --- replies

    def say(self, octets: bytes) -> None:
        """Send a reply."""
        self.outgoing.append(octets)

    def _close_with(self, octets: bytes) -> None:
        self.say(octets)
        self.ended = True

    def _cut_off(self, why: str) -> None:
        """End the connection of a client that has passed a limit. Source: RFC 5321 §3.8."""
        octets = reply(421, "4.7.0", f"{self.service.hostname} {why}")
        self._close_with(octets)
        self._note("smtp.cut_off", octets)

    def refuse(self, octets: bytes) -> None:
        """Answer a command that was not in order; too many of those end the connection."""
        self._errors += 1
        self._count_fault(octets)
        self._bad_commands += 1
        self.say(octets)
        if self._bad_commands > self.settings.max_bad_commands:
            self._cut_off("Too many errors")

    def _count_fault(self, octets: bytes) -> None:
        """Count a permanent refusal against the client; a temporary one does not count."""
        if octets.startswith(b"5"):
            self.faults += 1

    def _slowed(self, request: Request | None) -> Request | None:
        """The next request. The reply to a client with many faults is delayed first."""
        if self._errors == self._errors_answered:
            return request
        self._errors_answered = self._errors
        settings = self.settings
        if not settings.error_delay or self._errors <= settings.error_delay_after or request is not None or self.ended:
            return request
        told, self.outgoing = self.outgoing, []

        def say() -> None:
            self.outgoing = told + self.outgoing

        self._held = say
        return HoldBack(settings.error_delay)

    def held_back(self) -> None:
        """The delay is over: send the reply that waited for it."""
        held, self._held = self._held, None
        assert held is not None, "nothing was held back"
        held()

    def _note(self, event: str, octets: bytes, decision: Decision | None = None, **more: object) -> None:
        """Log an event, and record it if it is a refusal; ``decision`` is the policy decision that refused, if one
        did."""
        peer = self._peer
        if decision is not None:
            more["policy"] = decision.decided_by
        fields = {
            "peer_ip": peer.ip,
            "helo": peer.helo,
            "reverse_path": str(self._reverse_path or ""),
            "recipients": len(self._recipients),
            "tls": peer.tls,
            "login_name": peer.login,
            "reply": text_of(octets),
            "reason": "",
            **more,
        }
        refused = None
        if self.service.refusals is not None and event != "smtp.accepted":
            refused = self._refused(event, octets, decision, str(more.get("reason", "")))
        self.notes.append(Note(event, fields, refused))

    def _refused(self, event: str, octets: bytes, decision: Decision | None, reason: str) -> Refused:
        asked = event == "smtp.recipient_refused" and self._pending_recipient is not None
        recipients = (self._pending_recipient,) if asked else tuple([address for address, _ in self._recipients])
        known, said = self._all_verdicts(), () if decision is None else decision.applied_verdicts
        if decision is not None and decision.final_verdicts:
            known, said = decision.final_verdicts, ()
        applied_verdicts = (*known, *[applied for applied in said if not any(applied is other for other in known)])
        if asked:
            # Verdicts about other recipients do not belong in this record.
            applied_verdicts = tuple(
                [one for one in applied_verdicts if one.recipient in (None, self._pending_recipient)]
            )
        return Refused(
            event.partition(".")[2],
            self._peer,
            text_of(octets),
            self._reverse_path,
            tuple(filter(None, recipients)),
            "" if decision is None else decision.decided_by,
            self._queue_id if event == "smtp.refused" else None,
            applied_verdicts,
            reason,
        )

    def _extension_failed(self, declared: Command | Parameter, failure: Failure | None = None) -> None:
        """A handler of an extension has raised an unexpected error: the client is asked to try again later."""
        octets = replies.error_reply(TemporaryFailure("Internal error, try again later"))
        self.refuse(octets)
        name = self.service.extensions.name_of(declared)
        self.notes.append(
            Note("extension.failed", {"plugin": name, "peer_ip": self._peer.ip}, failure=failure or Failure())
        )

    # --- policies

    def _peer_changed(self) -> None:
        """Determine anew which policies apply to this client; usually none do, and that costs nothing."""
        policies = self.service.policies
        if policies is not None:
            self._stages = policies.stages_for(self._peer, self.service.submission)

    def _all_verdicts(self) -> tuple[AppliedVerdict, ...]:
        return (*self._connection_verdicts, *self._hello_verdicts, *self._applied_verdicts)

    def _anything_said(self) -> bool:
        """Whether any policy has given a verdict other than PASS on this transaction."""
        return any(applied.verdict.action is not Action.PASS for applied in self._all_verdicts())

    def _transaction(
        self, stage: Stage, recipient: Address | None = None, message: ReceivedMessage | None = None
    ) -> MailTransaction:
        service = self.service
        assert service.policies is not None, "nobody is asked where there are no policies"
        return MailTransaction(
            stage=stage,
            peer=self._peer,
            authserv_id=service.policies.authserv_id,
            submission=service.submission,
            reverse_path=self._reverse_path,
            body=self.parameters.get("BODY", BodyType.SEVENBIT),
            smtputf8="SMTPUTF8" in self.parameters,
            parameters=self.parameters,
            recipient=recipient,
            recipients=tuple([address for address, _ in self._recipients]),
            message=message,
            early_talker=self._early_talker,
            applied_verdicts=self._all_verdicts(),
            account=None if recipient is None else account_of(self._resolved),
            overrides=self._overrides,
            recipient_parameters=self._recipient_parameters,
        )

    def _note_overrides(self, recipient: Address, resolved: Recipients) -> None:
        """Keep the recipient's own rules for the checks; most recipients have none."""
        overrides = overrides_of(resolved)
        if overrides is not NO_OVERRIDES:
            self._overrides[recipient] = overrides

    def _check(
        self,
        stage: Stage,
        then: Callable[[Decision], Request | None],
        recipient: Address | None = None,
        message: ReceivedMessage | None = None,
    ) -> CheckPolicy:
        self._then = then
        return CheckPolicy(self._transaction(stage, recipient, message))

    def policy_decided(self, decision: Decision) -> Request | None:
        """The policies' decision, which CheckPolicy asked for."""
        then, self._then = self._then, None
        assert then is not None, "no policy was to be asked"
        return self._slowed(then(decision))

    def _refusal(self, refusal: PolicyReply) -> bytes:
        return reply(refusal.code, refusal.enhanced_code, refusal.text)

    # --- shared by several commands

    def offered_mechanisms(self) -> Offered:
        """The AUTH mechanisms that the client may use in the present state."""
        service = self.service
        if service.mechanisms is None or not service.offers_login:
            return {}
        return service.mechanisms(self.secure or self._plaintext_login, self.channel if self.secure else None)
