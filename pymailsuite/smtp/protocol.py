"""The protocol of the SMTP server: octets, timers and Deferreds around the pure session.

Events are pulled, so no octet is interpreted before its meaning is known. A result that is available is used at once,
in the same turn: a whole pipelined message costs one write when no result has to be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.base import LOOPBACK, Network
from pymailsuite.errors import LoginRefused, MailError
from pymailsuite.interfaces import IIncomingMessage, IMessageIntake, IRecipientResolver, ISubmissionAvatar
from pymailsuite.interfaces.policy import Decision, IMessageTap, MailTransaction, PolicyReply, ReceivedMessage
from pymailsuite.smtp.peer_names import PeerNames
from pymailsuite.smtp.receiver import CommandLine, EndOfText, Event, LineRefused, SmtpReceiver, Text
from pymailsuite.smtp.requests import (
    AwaitLogin,
    BeginMessage,
    BeginTls,
    CheckPolicy,
    CheckRoom,
    CheckSenders,
    CommitMessage,
    DropMessage,
    LogIn,
    Note,
    Request,
    ResolveRecipient,
    Service,
    SkipOctets,
)
from pymailsuite.smtp.session import SmtpSession
from pymailsuite.smtp.states import State
from pymailsuite.values import Peer
from pymailsuite.wire.addresses import in_networks, may_send_passwords
from pymailsuite.wire.connection import TlsContextFactory
from pymailsuite.wire.extension import AwaitReply
from pymailsuite.wire.pull import OnDisconnect, PullingProtocol

_FORMATS: Final = {
    "smtp.accepted": "{event} {queue_id} from {reverse_path} at {peer_ip}, {recipients} recipients, {size} octets",
    "smtp.refused": "{event} {queue_id} from {reverse_path} at {peer_ip}: {reply} {reason}",
    "smtp.recipient_refused": "{event} {recipient} from {reverse_path} at {peer_ip}: {reply} {reason}",
    "smtp.client_refused": "{event} {peer_ip} by {policy}: {reply}",
    "smtp.hello_refused": "{event} {helo} of {peer_ip} by {policy}: {reply}",
    "smtp.sender_refused": "{event} {reverse_path} from {helo} at {peer_ip} by {policy}: {reply}",
    "smtp.login_refused": "{event} at {peer_ip}: {reply}",
    "extension.failed": "{event} {plugin} at {peer_ip}: {log_failure.value}",
    "smtp.cut_off": "{event} {helo} at {peer_ip}: {reply}",
}

_REPLIES_HELD: Final = 64
"""Number of replies in one turn after which the protocol checks whether the client reads them."""


class SmtpProtocol(PullingProtocol[Request]):
    """One connection of an SMTP client."""

    log: ClassVar[Logger] = Logger()
    failed_event = "smtp.failed"

    session: SmtpSession
    """The session; it exists from the moment the connection is made."""

    def __init__(
        self,
        reactor: IReactorTime,
        service: Service,
        resolver: IRecipientResolver,
        intake: IMessageIntake,
        portal: Portal | None = None,
        tls_context: TlsContextFactory | None = None,
        trusted_networks: Sequence[Network] = (),
        peer_names: PeerNames | None = None,
    ) -> None:
        super().__init__(reactor)
        self.protocol_name = "submission" if service.submission else "smtp"
        self._service = service
        self._settings = service.settings
        self._resolver = resolver
        self._intake = intake
        self._portal = portal
        self._tls_context = tls_context
        self._trusted_networks = trusted_networks
        self._peer_names = peer_names
        self._receiver = SmtpReceiver(max(service.settings.auth_line, service.settings.extended_line))
        self._has_session = False
        self._incoming: IIncomingMessage | None = None
        self._greeted = True
        # The protocol waits for the client, which has not read the replies yet.
        self._lagging = False
        self._stopping = False
        self._overdue = False
        self._taps: Mapping[str, IMessageTap] = {}
        self._logout: Callable[[], object] | None = None

    # --- methods that the base class calls

    def connection_opened(self) -> None:
        """Send the greeting."""
        ip = self.peer_ip
        peer = Peer(ip=ip, port=self.peer_port, trusted=in_networks(ip, self._trusted_networks))
        plaintext_login = may_send_passwords(ip, self._service.settings.plaintext_login)
        self.session = SmtpSession(self._service, peer, self.secure, plaintext_login)
        self.session.channel = self.channel_binding
        self._has_session = True
        request = self.session.greet()
        if self._peer_names is not None and not in_networks(ip, LOOPBACK):
            # The session does not wait for the name: Received and the logs use it from the moment it is known.
            self._peer_names.name_of(self.peer_ip).addCallback(self.session.peer_named)
        self._greeted = request is None
        self.pump(request, acted=True)
        # Set the longer timeout after the shorter one; in the other order the timer would be set twice.
        self.set_deadline(self._settings.conversation_timeout)

    def octets_received(self, octets: bytes) -> None:
        """Take the octets, and act on them unless the session waits for a result."""
        self._receiver.receive(octets)
        if self._waiting:
            if not self._greeted:
                self.session.talked_early()
            self.hold_reading(len(self._receiver))
        else:
            self.pump()

    def drop_unread(self) -> int:
        """Discard the octets received before TLS."""
        dropped = self._receiver.drop_unread()
        self.session.tls_begun()
        return dropped

    def secured(self) -> None:
        """TLS is established; Received and the log name its version and cipher."""
        self.session.secured(self.tls_description())

    def timed_out(self) -> None:
        """Send 421 and close."""
        if self._waiting and not self._lagging:
            # The client waits for the server: it gets its reply when the pending result is there.
            self._overdue = True
            return
        self.session.timed_out()
        self._finish_turn()

    def shut_down(self) -> None:
        """The server stops: send 421 and close, after the pending reply and the message in progress."""
        self._stopping = True
        self._finish_turn(acted=False)

    def login_ended(self) -> None:
        """Send 421 and close, within a message too; an unfinished message is not accepted."""
        if not self._waiting:
            self._finish_turn(acted=False)

    def input_ended(self) -> None:
        """A client that has shut down its side still gets the replies to its commands."""
        if not self._waiting:
            self.close()

    def turn_failed(self, failure: Failure) -> None:
        """The session may be out of step with the client: end it with 421."""
        self._drop_incoming()
        if not self._has_session or self.closing:
            self.abort()
            return
        self.session.failed()
        self._finish_turn()

    def connection_closed(self, reason: Failure) -> None:
        """Drop a message whose end has not come, and cancel pending checks; a message that is being committed goes
        on."""
        self._drop_incoming()
        self.abandon()
        policies = self._service.policies
        if self._has_session and policies is not None:
            policies.ended(self.session.peer, self._service.submission, self.session.faults)
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()

    # --- the pump

    def pump(self, request: Request | None = None, acted: bool = False) -> None:
        """Perform ``request``, then act on events until there are no more or an answer must be waited for.

        ``acted``: this turn has already advanced the session.
        """
        receiver = self._receiver
        session = self.session
        left = self._turns.left
        # Nothing more from the client counts. Within a turn neither is set unless the session has ended.
        is_over = self.withdrawn or self._overdue
        self._pumping = True
        try:
            while True:
                if request is not None:
                    if self.connection_ended:
                        # The result came after the connection was lost: nothing more is done with it.
                        break
                    request = self._perform(request)
                    continue
                # This runs before each event, so each condition reads a value, and only rare cases make a call.
                if self._waiting or is_over or session.ended or self._closing or self.connection_ended:
                    break
                many = self._output_paused or len(session.outgoing) >= _REPLIES_HELD
                if many and self._must_wait_for_peer(session):
                    break
                if left <= 0 and len(receiver):
                    self.leave_turn()
                    break
                left -= 1
                event = receiver.next_event()
                if event is None:
                    break
                acted = True
                request = self._act(session, event)
        finally:
            self._pumping = False
            self._turns.left = left
        self._finish_turn(acted)

    def _must_wait_for_peer(self, session: SmtpSession) -> bool:
        """Write the replies if there are many; True if the client has too many of them unread."""
        self._hand_on(session)
        drained = self.drained()
        if drained is None:
            return False
        self._lagging = True
        self.wait_for(drained, self._caught_up)
        return self._waiting

    def _caught_up(self, _: Any) -> Request | None:
        self._lagging = False
        return None

    def _hand_on(self, session: SmtpSession) -> None:
        if session.outgoing:
            replies, session.outgoing = session.outgoing, []
            self.send_all(replies)

    def _act(self, session: SmtpSession, event: Event) -> Request | None:
        if isinstance(event, CommandLine):
            return session.line_received(event.line)
        if isinstance(event, Text):
            return self._write_text(event.octets)
        if isinstance(event, EndOfText):
            if event.error is not None:
                self._drop_incoming()
            self.set_deadline(self._settings.conversation_timeout)
            try:
                received = self._received()
            except Exception:
                self._drop_incoming()
                session.message_refused(self.error_of(Failure()))
                return None
            return session.text_ended(event, received)
        if isinstance(event, LineRefused):
            session.line_refused(event.error)
        else:
            self._drop_incoming()
        return None

    def _finish_turn(self, acted: bool = True) -> None:
        """Write the replies and the log, and reset the timeout unless only part of a command has come."""
        session = self.session
        if (self.withdrawn or self._overdue or self._stopping) and not (self._waiting or session.ended or self.closing):
            self._say_farewell(session)
        self._hand_on(session)
        if session.notes:
            notes, session.notes = session.notes, []
            for note in notes:
                self._log_note(note)
        if self.closing:
            return
        if session.ended:
            self._drop_incoming()
            self.close()
        elif self._waiting:
            self.set_timeout(self._settings.command_timeout if self._lagging else None)
            self.hold_reading(len(self._receiver))
        elif self.input_over:
            self.close()
        else:
            if acted:
                self._set_timer(session)
            self.release_reading()

    def _say_farewell(self, session: SmtpSession) -> None:
        """End the session if there is a reason to."""
        if self.withdrawn:
            session.login_ended()
        elif self._overdue:
            session.timed_out()
        elif self._stopping and not self._receiver.within_text:
            session.shut_down()

    def _set_timer(self, session: SmtpSession) -> None:
        in_text = session.state is State.TEXT
        self.set_timeout(self._settings.text_timeout if in_text else self._settings.command_timeout)

    def _log_note(self, note: Note) -> None:
        if note.refused is not None and self._service.refusals is not None:
            self._service.refusals.refused(note.refused)
        if note.failure is not None:
            self.log.failure(_FORMATS[note.event], failure=note.failure, event=note.event, **note.fields)
        else:
            self.log.info(_FORMATS[note.event], event=note.event, **note.fields)

    # --- requests of the session

    def _perform(self, request: Request) -> Request | None:
        """Perform a request; returns the next request if the result was there at once and leads to one."""
        if isinstance(request, ResolveRecipient):
            return self.wait_for(self._resolver.resolve(request.address), self._recipient_resolved)
        if isinstance(request, CheckPolicy):
            return self.wait_for(self._check_policy(request.transaction), self._policy_decided)
        if isinstance(request, CheckRoom):
            assert self._service.quotas is not None, "nobody is asked where there are no quotas"
            return self.wait_for(self._service.quotas.refusal(request.resolved, request.octets), self._room_checked)
        if isinstance(request, BeginMessage):
            self._begin_message(request)
            return None
        if isinstance(request, CommitMessage):
            incoming, self._incoming = self._incoming, None
            assert incoming is not None, "no message was begun"
            try:
                committed = incoming.commit(request.prefix, request.applied_verdicts, request.disposals, request.edits)
            except Exception:
                return self._message_committed(incoming, Failure())
            return self.wait_for(committed, partial(self._message_committed, incoming), OnDisconnect.SETTLE)
        if isinstance(request, CheckSenders):
            assert self._service.rights is not None, "users are asked about only where their rights are known"
            refused = self._service.rights.not_allowed(request.login_name, request.addresses)
            return self.wait_for(refused, self._senders_checked)
        if isinstance(request, DropMessage):
            self._drop_incoming()
            return None
        if isinstance(request, SkipOctets):
            self._receiver.skip(request.count)
            return None
        if isinstance(request, BeginTls):
            self._finish_turn()
            self.start_tls(self._tls_context)
            self.set_deadline(self._settings.conversation_timeout)
            return None
        if isinstance(request, LogIn):
            assert self._portal is not None, "AUTH is offered only where there is a portal"
            answer = self._portal.login(request.credentials, Peer(self.peer_ip, self.peer_port), ISubmissionAvatar)
            return self.wait_for(answer, self._login_answered, OnDisconnect.CANCEL_AND_SETTLE)
        if isinstance(request, AwaitLogin):
            outcome = Deferred.fromCoroutine(request.pending.outcome)
            return self.wait_for(outcome, self._login_stepped)
        if isinstance(request, AwaitReply):
            request.answer.addTimeout(self._settings.extension_timeout, self._reactor)
            return self.wait_for(request.answer, self._extension_replied)
        return self.hold_back(request.delay_s, self._held_back)

    def _extension_replied(self, answer: Any) -> Request | None:
        return self.session.replied(answer)

    def _recipient_resolved(self, answer: Any) -> Request | None:
        if isinstance(answer, Failure):
            return self.session.recipient_refused(self.error_of(answer))
        return self.session.recipient_resolved(answer)

    def _room_checked(self, answer: Any) -> Request | None:
        return self.session.room_checked(self.error_of(answer) if isinstance(answer, Failure) else answer)

    def _senders_checked(self, answer: Any) -> Request | None:
        if isinstance(answer, Failure):
            return self.session.senders_unknown(self.error_of(answer))
        return self.session.senders_checked(answer)

    def _check_policy(self, transaction: MailTransaction) -> Deferred[Decision]:
        assert self._service.policies is not None, "nobody is asked where there are no policies"
        return self._service.policies.check(transaction)

    def _received(self) -> ReceivedMessage | None:
        """The facts about a message at its end that policies and sender checks need."""
        if self._incoming is None or (self._service.policies is None and not self.session.has_to_be_itself):
            return None
        return self._incoming.received(self._taps)

    def _policy_decided(self, answer: Any) -> Request | None:
        self._greeted = True
        if isinstance(answer, Failure):
            # A chain of policies does not fail: this is a defect, and no verdict on the client.
            answer = Decision(_reply_of(self.error_of(answer)))
        return self.session.policy_decided(answer)

    def _begin_message(self, request: BeginMessage) -> None:
        session = self.session
        try:
            self._taps = self._taps_for(request)
            incoming = self._intake.open(request.envelope, request.recipients, request.peer, tuple(self._taps.values()))
        except Exception:
            session.message_refused(self.error_of(Failure()))
            return
        self._incoming = incoming
        # The receiver refuses any other text.
        incoming.whole_lines = True
        session.message_begun(incoming.queue_id)
        settings = self._settings
        self._receiver.expect_text(
            settings.message_size,
            settings.text_line,
            allow_nul=settings.allow_nul,
            repair=session.is_among(settings.repair_line_ends),
        )
        self.set_deadline(self._settings.message_timeout)

    def _taps_for(self, request: BeginMessage) -> Mapping[str, IMessageTap]:
        if request.transaction is None or self._service.policies is None:
            return {}
        return self._service.policies.taps(request.transaction)

    def _write_text(self, octets: bytes) -> Request | None:
        incoming = self._incoming
        assert incoming is not None, "no message was begun"
        try:
            pause = incoming.write(octets)
        except Exception:
            return self._text_written(Failure())
        return None if pause is None else self.wait_for(pause, self._text_written, OnDisconnect.DROP)

    def _text_written(self, answer: Any) -> Request | None:
        if isinstance(answer, Failure):
            self._drop_incoming()
            self._receiver.discard_text(self.error_of(answer))
        return None

    def _message_committed(self, incoming: IIncomingMessage, answer: Any) -> Request | None:
        self.set_deadline(self._settings.conversation_timeout)
        if isinstance(answer, Failure):
            incoming.abort()
            self.session.message_refused(self.error_of(answer))
        else:
            self.session.message_committed(answer)
        return None

    def _drop_incoming(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abort()

    def _login_stepped(self, answer: Any) -> Request | None:
        return self._login_ended(answer) if isinstance(answer, Failure) else self.session.login_goes_on(answer)

    def _login_answered(self, answer: Any) -> Request | None:
        session = self.session
        if not isinstance(answer, Failure):
            _, avatar, logout = answer
            if self.connection_ended:
                logout()
            else:
                self._logout = logout
                session.logged_in(avatar.account)
                avatar.on_ended(self.withdraw)
            return None
        return None if self.connection_ended else self._login_ended(answer)

    def _login_ended(self, failure: Failure) -> Request | None:
        session, error = self.session, failure.value
        if isinstance(error, LoginFailed):
            return session.login_refused(LoginRefused())
        if isinstance(error, LoginRefused):
            return session.login_refused(error)
        self.error_of(failure)
        session.login_failed()
        return None

    def _held_back(self, _: Any) -> Request | None:
        self.session.held_back()
        return None


def _reply_of(error: MailError) -> PolicyReply:
    return PolicyReply(error.smtp_code, error.enhanced_code, error.public)
