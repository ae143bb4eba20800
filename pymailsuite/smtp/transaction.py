"""The commands of a mail transaction: MAIL, RCPT, DATA, RSET, and the end of the text. Source: RFC 5321 §3.3."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import evolve

from pymailsuite.errors import MailError, PeerError
from pymailsuite.interfaces import RemoteRecipient
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.policy import Decision, ReceivedMessage, Stage
from pymailsuite.smtp import replies
from pymailsuite.smtp.extension import Parameter
from pymailsuite.smtp.grammar import UnknownParameter, after_keyword, parse_forward_path, parse_reverse_path
from pymailsuite.smtp.receiver import EndOfText
from pymailsuite.smtp.requests import (
    BeginMessage,
    CheckRoom,
    CommitMessage,
    DropMessage,
    Request,
    ResolveRecipient,
    Service,
)
from pymailsuite.smtp.senders import SenderChecks
from pymailsuite.smtp.states import State
from pymailsuite.values import Address, BodyType, Envelope, Peer, QueueId


class TransactionCommands(SenderChecks):
    """The commands from MAIL to the reply to the final dot."""

    def __init__(self, service: Service, peer: Peer, secure: bool, plaintext_login: bool = False) -> None:
        super().__init__(service, peer, secure, plaintext_login)
        self._transactions = 0
        self._idle_commands = 0
        self._refused_recipients = 0
        self._size = 0
        self._pending_parameters: Mapping[str, Any] = {}
        self._if_room = b""

    # --- MAIL

    def _mail(self, argument: str) -> Request | None:
        settings = self.settings
        peer = self._peer
        if self.service.submission and not peer.login:
            needs_tls = self.service.tls_available and not self.secure and not self.offered_mechanisms()
            self.refuse(replies.TLS_REQUIRED if needs_tls else replies.LOGIN_REQUIRED)
            return None
        lenient = self._lenient
        # Nearly all arguments begin so, and this comparison costs less than a call.
        path = argument[5:] if argument[:5].upper() == "FROM:" else after_keyword(argument, "FROM", lenient)
        if self._transactions >= settings.max_transactions:
            self._cut_off("Too many messages on one connection")
            return None
        self._forget_transaction()
        reverse_path, parameters = parse_reverse_path(path, lenient)
        if parameters:
            taken = self._taken(parameters, self.service.extensions.mail_parameters)
            if taken is None:
                return None
            self.parameters = taken
        if reverse_path is not None:
            if not reverse_path.domain:
                if not (peer.login or peer.trusted):
                    self.refuse(replies.SENDER_NEEDS_DOMAIN)
                    return None
                reverse_path = evolve(reverse_path, domain=self.service.sender_domain)
            if "SMTPUTF8" not in self.parameters and not reverse_path.is_ascii:
                self.refuse(replies.NEEDS_SMTPUTF8)
                return None
        self._transactions += 1
        self._idle_commands = 0
        self._reverse_path = reverse_path
        # Every client may use the null reverse-path.
        if self.has_to_be_itself and reverse_path is not None:
            return self._check_reverse_path(reverse_path, self._ask_about_sender)
        return self._ask_about_sender()

    def _ask_about_sender(self) -> Request | None:
        if Stage.MAIL in self._stages:
            return self._check(Stage.MAIL, self._mail_decided)
        self.state = State.MAIL
        self.say(replies.SENDER_OK)
        return None

    def _mail_decided(self, decision: Decision) -> None:
        if decision.refusal is not None:
            octets = self._refusal(decision.refusal)
            self._note("smtp.sender_refused", octets, decision)
            self._forget_transaction()
            self.refuse(octets)
            return
        self._applied_verdicts = decision.applied_verdicts
        self.state = State.MAIL
        self.say(replies.with_hints(replies.SENDER_OK, decision.hints))

    def _taken(self, parameters: Mapping[str, str], known: Mapping[str, Parameter]) -> Mapping[str, Any] | None:
        """The values that extensions parse from the parameters of MAIL or RCPT; None after a refusal was sent."""
        if not self._peer.esmtp:
            self.refuse(replies.NOT_AFTER_HELO)
            return None
        taken = {}
        for keyword, value in parameters.items():
            parameter = known.get(keyword)
            if parameter is None:
                raise UnknownParameter
            try:
                taken[keyword] = parameter.take(self, value)
            except PeerError:
                raise
            except MailError as error:
                # The command is well formed, but the server cannot do what it asks for.
                self.say(replies.error_reply(error))
                return None
            except Exception:
                self._extension_failed(parameter)
                return None
        return taken

    # --- RCPT

    def _rcpt(self, argument: str) -> Request | None:
        path = argument[3:] if argument[:3].upper() == "TO:" else after_keyword(argument, "TO", self._lenient)
        address, parameters = parse_forward_path(path, self._lenient)
        if parameters:
            taken = self._taken(parameters, self.service.extensions.recipient_parameters)
            if taken is None:
                return None
            parameters = taken
        if "SMTPUTF8" not in self.parameters and not address.is_ascii:
            self.refuse(replies.NEEDS_SMTPUTF8)
            return None
        settings = self.settings
        limit = settings.max_recipients if self._reverse_path is not None else settings.null_sender_recipients
        if len(self._recipients) >= limit:
            self._refuse_recipient(address, replies.TOO_MANY_RECIPIENTS)
            return None
        if not address.domain:
            local_part, _, domain = settings.postmaster.rpartition("@")
            address = Address(local_part, domain) if domain else self.service.postmaster
        self._pending_recipient = address
        self._pending_parameters = parameters
        return ResolveRecipient(address)

    def recipient_resolved(self, resolved: Recipients) -> Request | None:
        """The recipient is resolved. Relay rights are decided here, before any look-up in DNS."""
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        peer = self._peer
        if not (peer.login or peer.trusted) and resolved == (RemoteRecipient(address),):
            self._refuse_recipient(address, replies.relay_denied(self.settings.relay_denied))
            return self._slowed(None)
        if self.service.policies is not None:
            self._note_overrides(address, resolved)
        if Stage.RCPT in self._stages or self._overrides or self._anything_said():
            self._resolved = resolved
            return self._check(Stage.RCPT, self._recipient_decided, address)
        return self._take_if_room(address, resolved, replies.RECIPIENT_OK)

    def _recipient_decided(self, decision: Decision) -> Request | None:
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        if decision.refusal is not None:
            self._refuse_recipient(address, self._refusal(decision.refusal), decision)
            return None
        self._applied_verdicts += decision.applied_verdicts
        hinted = replies.with_hints(replies.RECIPIENT_OK, decision.hints)
        return self._take_if_room(address, self._resolved, hinted)

    def _take_if_room(self, address: Address, resolved: Recipients, octets: bytes) -> Request | None:
        """Take the recipient, with this reply, if its accounts have room for the message."""
        quotas = self.service.quotas
        if quotas is None or not quotas.concern(resolved):
            self._take_recipient(address, resolved, octets)
            return None
        self._resolved, self._if_room = resolved, octets
        return CheckRoom(resolved, self.parameters.get("SIZE") or 0)

    def room_checked(self, refusal: MailError | None) -> Request | None:
        """Whether the message fits is known, as far as it can be before it comes."""
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        if refusal is None:
            self._take_recipient(address, self._resolved, self._if_room)
            return None
        # It is no fault of the client: its limits for guesses at addresses do not count this.
        octets = replies.full_mailbox(address, refusal)
        self.say(octets)
        self._note("smtp.recipient_refused", octets, recipient=str(address), reason=refusal.cause)
        return None

    def _take_recipient(self, address: Address, resolved: Recipients, octets: bytes) -> None:
        self._recipients.append((address, resolved))
        if self._pending_parameters:
            self._recipient_parameters[address] = self._pending_parameters
        self.state = State.RCPT
        self.say(octets)

    def recipient_refused(self, error: MailError) -> Request | None:
        """The recipient is not known, or cannot be looked up now."""
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        self._refuse_recipient(address, replies.unknown_recipient(address, error))
        return self._slowed(None)

    def _refuse_recipient(self, address: Address, octets: bytes, decision: Decision | None = None) -> None:
        self._errors += 1
        self._count_fault(octets)
        self.say(octets)
        self._note("smtp.recipient_refused", octets, decision, recipient=str(address))
        self._refused_recipients += 1
        if self._refused_recipients > self.settings.max_refused_recipients:
            self._cut_off("Too many refused recipients")

    # --- DATA

    def _data(self, argument: str) -> Request | None:
        if argument.strip():
            self.refuse(replies.NO_ARGUMENT_ALLOWED)
            return None
        if Stage.DATA in self._stages:
            return self._check(Stage.DATA, self._data_decided)
        return self._begin_message()

    def _data_decided(self, decision: Decision) -> Request | None:
        self._applied_verdicts += decision.applied_verdicts
        if decision.refusal is not None:
            self._errors += 1
            self._end_transaction("smtp.refused", self._refusal(decision.refusal), decision)
            return None
        return self._begin_message()

    def _begin_message(self) -> BeginMessage:
        recipients = tuple(self._recipients)
        envelope = Envelope(
            self._reverse_path,
            tuple([address for address, _ in recipients]),
            self.parameters.get("BODY", BodyType.SEVENBIT),
            "SMTPUTF8" in self.parameters,
            self.parameters.get("SIZE"),
            self.parameters,
            self._recipient_parameters,
        )
        transaction = self._transaction(Stage.DATA) if self._stages else None
        return BeginMessage(envelope, recipients, self._peer, transaction)

    def message_begun(self, queue_id: QueueId) -> None:
        """The intake is open: ask for the text. The receiver must be told to expect it."""
        self._queue_id = queue_id
        self._size = 0
        self.state = State.TEXT
        self.say(replies.START_TEXT)

    def text_ended(self, end: EndOfText, message: ReceivedMessage | None = None) -> Request | None:
        """The line with the dot has come; ``message`` has the facts for policies, if there are any."""
        self._size = end.size
        if end.error is not None:
            self.message_refused(end.error)
            return None
        if self.has_to_be_itself and message is not None:
            return self._check_originators(message, partial(self._ask_about_message, message))
        return self._ask_about_message(message)

    def _ask_about_message(self, message: ReceivedMessage | None) -> Request:
        if Stage.MESSAGE in self._stages or self._applied_verdicts or self._hello_verdicts or self._connection_verdicts:
            return self._check(Stage.MESSAGE, self._message_decided, message=message)
        return CommitMessage()

    def _message_decided(self, decision: Decision) -> Request:
        if decision.refusal is not None:
            self._errors += 1
            self._end_transaction("smtp.refused", self._refusal(decision.refusal), decision)
            return DropMessage()
        applied_verdicts = decision.final_verdicts or (*self._all_verdicts(), *decision.applied_verdicts)
        return CommitMessage(decision.prefix, applied_verdicts, decision.disposals, decision.edits)

    def message_committed(self, queue_id: QueueId) -> None:
        """The message is on stable storage: from here on the server is responsible for it (RFC 5321 §4.2.5)."""
        octets = b"250 2.0.0 %b Message accepted for delivery\r\n" % queue_id.encode("ascii")
        self._end_transaction("smtp.accepted", octets)

    def message_refused(self, error: MailError) -> None:
        """The message was not accepted; nothing of it remains."""
        # RFC 5321 §3.8: 421 closes the connection.
        self.ended = self.ended or error.smtp_code == 421
        self._end_transaction("smtp.refused", replies.error_reply(error), reason=error.cause)

    def _end_transaction(self, event: str, octets: bytes, decision: Decision | None = None, **more: object) -> None:
        self._count_fault(octets)
        self.say(octets)
        self._note(event, octets, decision, queue_id=self._queue_id, size=self._size, **more)
        self._queue_id = None
        self._forget_transaction()
        self.state = State.READY

    # --- RSET

    def _rset(self, argument: str) -> None:
        if argument.strip():
            self.refuse(replies.NO_ARGUMENT_ALLOWED)
            return
        self._forget_transaction()
        if self.state is not State.START:
            self.state = State.READY
        self.say(replies.RESET)
