"""The client's half of an SMTP session: octets in, octets out, no socket and no clock.

A session is a queue of commands that wait for their replies. Each command is queued with the function that handles its
reply, so pipelining needs no code of its own: with it the commands of an envelope leave together, without it one by
one. The protocol feeds octets, sends the result of ``take_output``, and performs the events.

A failure of the server as such (its greeting, its EHLO, a 421, TLS) is no verdict on any recipient: the session ends
with a :class:`HostProblem` and another host, or a later attempt, may succeed.
"""

from __future__ import annotations

import enum
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import idna
from attrs import evolve, field, frozen

from pymailsuite.errors import PeerError
from pymailsuite.interfaces import RecipientState
from pymailsuite.relay.delivery_status import NO_REPLY, DeliveryStatus, delivery_status_of, refusal_of, status_of
from pymailsuite.sasl import ClientMechanism, choose_client_mechanism
from pymailsuite.smtp.client import (
    BadReply,
    Reply,
    ReplyReader,
    UnsendableAddress,
    extensions,
    mail_command,
    rcpt_command,
)
from pymailsuite.values import Address

_DATA: Final = b"DATA\r\n"


class Wait(enum.StrEnum):
    """The step that the session waits for; the protocol has its timeout."""

    GREETING = "greeting"
    COMMAND = "command"
    DATA = "data"
    BLOCK = "block"
    FINAL = "final"
    QUIT = "quit"
    IDLE = "idle"


@frozen
class HostProblem:
    """Why this host cannot be used now. ``status`` is an RFC 3463 code of class 4, ``reply`` one line."""

    status: str
    reply: str


@frozen
class Rules:
    """How to use a host. ``login`` is sent only over TLS."""

    helo_name: str
    starttls: bool = True
    require_tls: bool = False
    login: str = ""
    password: str = field(default="", repr=False)


@frozen
class MessageEnvelope:
    """The envelope of one transaction. ``recipients`` are (position, address).

    ``eight_bit`` and ``utf8`` say what the content and the addresses really need, not what the sender declared.
    ``ret``, ``envid`` and ``dsn`` (NOTIFY and ORCPT, by position) are sent to servers that offer DSN. Source: RFC 3461
    §5.2.1.
    """

    reverse_path: Address | None
    recipients: tuple[tuple[int, Address], ...]
    size: int
    eight_bit: bool = False
    utf8_header: bool = False
    ret: str = ""
    envid: str = ""
    dsn: Mapping[int, tuple[str, str]] = field(factory=dict)


# --- events


@frozen
class StartTls:
    """Begin the TLS handshake, then call ``tls_started``."""


@frozen
class Ready:
    """A transaction may begin."""


@frozen
class SendContent:
    """Send the content, dot-stuffed; then call ``content_sent`` in the same turn as its final dot."""


@frozen
class Unfit:
    """Why this host cannot take the message for a recipient. ``verdict`` is final if no other host can.

    ``takes_seven_bits``: the host would take the message in 7 bits. ``tried``: finding this out cost as much as an
    attempt."""

    verdict: DeliveryStatus
    takes_seven_bits: bool = False
    tried: bool = False


@frozen
class Finished:
    """The transaction is over. Recipients without a verdict may be tried at another host; ``problem`` is why.

    So may those in ``unfit``, which were not sent to the host; their verdicts stand if no other host takes them."""

    verdicts: dict[int, DeliveryStatus]
    problem: HostProblem | None = None
    unfit: dict[int, Unfit] = field(factory=dict)


@frozen
class Unusable:
    """The connection cannot be used, and had no transaction: close it."""

    problem: HostProblem


Event = StartTls | Ready | SendContent | Finished | Unusable


class ClientSession:
    """The dialogue of one connection, from the greeting to QUIT."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._replies = ReplyReader()
        self._out: list[bytes] = []
        self._expected: deque[tuple[Wait, Callable[[Reply], None]]] = deque([(Wait.GREETING, self._greeted)])
        self._events: deque[Event] = deque()
        self._later: deque[tuple[bytes, Wait, Callable[[Reply], None]]] = deque()
        self.step = 0
        """Changes whenever the session waits for another reply than before: then, and only then, the timeout starts
        anew."""
        self._secured = False
        self._tls_pending = False
        self._ended = False
        self._extensions: dict[str, str] = {}
        self._knows_ehlo = True
        self._envelope: MessageEnvelope | None = None
        self._verdicts: dict[int, DeliveryStatus] = {}
        self._unfit: dict[int, Unfit] = {}
        self._accepted: list[int] = []
        self._sending = False
        self._content_sent = False
        self._needs_reset = False

    # --- methods that the protocol calls

    @property
    def waiting_for(self) -> Wait:
        """The step that the server must answer next."""
        if self._expected:
            return self._expected[0][0]
        if self._tls_pending:
            return Wait.COMMAND
        return Wait.BLOCK if self._envelope is not None else Wait.IDLE

    @property
    def idle(self) -> bool:
        """True if a transaction may begin."""
        return not (self._ended or self._expected or self._tls_pending or self._envelope)

    @property
    def extensions(self) -> dict[str, str]:
        """The extensions that EHLO offered: keyword in upper case to parameters. Empty after HELO."""
        return self._extensions

    def receive(self, octets: bytes) -> None:
        """Take octets from the server and act on the replies in them."""
        self._replies.receive(octets)
        try:
            while not self._tls_pending and (reply := self._replies.next_reply()) is not None:
                self._answer(reply)
        except BadReply as error:
            self.fail(HostProblem("4.5.0", str(error)))

    def next_event(self) -> Event | None:
        """The next event for the protocol, or None."""
        return self._events.popleft() if self._events else None

    def take_output(self) -> bytes:
        """The octets to send now, in one piece."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def drop_unread(self) -> int:
        """Discard unread octets (STARTTLS, RFC 3207 §4.2). Returns their number."""
        return self._replies.drop_unread()

    # --- from the greeting to Ready

    def _greeted(self, reply: Reply) -> None:
        if reply.code != 220:
            # RFC 5321 §3.1 and §4.2.1: 554 is "no SMTP service here", 421 "later". Neither is about a mailbox.
            self._host_failed(reply)
        else:
            self._say_hello()

    def _say_hello(self) -> None:
        self._command(f"EHLO {self._rules.helo_name}\r\n".encode(), Wait.COMMAND, self._hello_answered)

    def _hello_answered(self, reply: Reply) -> None:
        if reply.code == 250:
            self._extensions = extensions(reply)
            self._knows_ehlo = True
            self._after_hello()
        elif reply.code // 100 == 5:
            # RFC 5321 §3.2: an old server; no extension is used with it.
            self._command(f"HELO {self._rules.helo_name}\r\n".encode(), Wait.COMMAND, self._old_hello_answered)
        else:
            self._host_failed(reply)

    def _old_hello_answered(self, reply: Reply) -> None:
        if reply.code == 250:
            self._extensions = {}
            self._knows_ehlo = False
            self._after_hello()
        else:
            self._host_failed(reply)

    def _after_hello(self) -> None:
        rules = self._rules
        if self._secured:
            self._log_in()
        elif rules.starttls and "STARTTLS" in self._extensions:
            self._command(b"STARTTLS\r\n", Wait.COMMAND, self._tls_answered)
        elif rules.require_tls:
            self.fail(HostProblem("4.7.4", "the server does not offer STARTTLS, which is required"))
        else:
            self._log_in()

    def _tls_answered(self, reply: Reply) -> None:
        if reply.code == 220:
            self._tls_pending = True
            self._events.append(StartTls())
        elif self._rules.require_tls:
            self._host_failed(reply)
        else:
            self._log_in()

    def tls_started(self) -> None:
        """The handshake is done: everything that the server sent before is discarded (RFC 3207 §4.2)."""
        self.step += 1
        self._tls_pending = False
        self._secured = True
        self._extensions = {}
        self._say_hello()

    def _log_in(self) -> None:
        rules = self._rules
        if not rules.login:
            self._events.append(Ready())
        elif not self._secured:
            self.fail(HostProblem("4.7.0", "the server offers no TLS to log in over"))
        else:
            mechanism = choose_client_mechanism(self._extensions.get("AUTH", "").split(), rules.login, rules.password)
            if mechanism is None:
                self.fail(HostProblem("4.7.0", "the server offers no way to log in that we know"))
                return
            command = b"AUTH " + mechanism.name.encode()
            initial = mechanism.start()
            if initial is not None:
                command += b" " + (b64encode(initial) or b"=")  # RFC 4954 §4
            self._command(command + b"\r\n", Wait.COMMAND, lambda reply: self._login_answered(reply, mechanism))

    def _login_answered(self, reply: Reply, mechanism: ClientMechanism) -> None:
        if reply.code == 235:
            self._events.append(Ready())
        elif reply.code == 334:
            try:
                response = mechanism.respond(b64decode(reply.text, validate=True))
            except (ValueError, PeerError) as error:
                self.fail(HostProblem("4.5.0", f"login: {error}"))
                return
            self._command(
                b64encode(response) + b"\r\n", Wait.COMMAND, lambda reply: self._login_answered(reply, mechanism)
            )
        else:
            # A wrong password is an error of the configuration: mail waits until it is corrected.
            self._host_failed(reply)

    # --- a transaction

    def begin(self, envelope: MessageEnvelope) -> None:
        """Begin a transaction; the session must be ``idle``. A Finished event ends it, whatever happens."""
        self.step += 1
        self._verdicts, self._unfit = self._unnameable(envelope)
        if self._verdicts or self._unfit:
            left = [one for one in envelope.recipients if one[0] not in self._verdicts and one[0] not in self._unfit]
            envelope = evolve(envelope, recipients=tuple(left))
        self._envelope = envelope
        self._accepted = []
        self._sending = self._content_sent = False
        unfit = self._unfit_for(envelope)
        if unfit is not None or not envelope.recipients:
            self._unfit.update((position, unfit) for position, _ in envelope.recipients if unfit is not None)
            self._finish()
            return
        if self._needs_reset:
            self._needs_reset = False
            self._later.append((b"RSET\r\n", Wait.COMMAND, self._reset_answered))
        try:
            self._plan(envelope)
        except UnsendableAddress as error:
            self._later.clear()
            verdict = DeliveryStatus(RecipientState.FAILED, error.enhanced_code, str(error))
            self._verdicts.update((position, verdict) for position, _ in envelope.recipients)
            self._finish()
        else:
            self._send_later()

    def _plan(self, envelope: MessageEnvelope) -> None:
        """Queue the envelope's commands."""
        utf8 = _needs_utf8(envelope)
        reverse_path = envelope.reverse_path
        dsn = "DSN" in self._extensions
        mail = mail_command(
            _sendable(reverse_path, utf8) if reverse_path is not None else None,
            size=envelope.size if "SIZE" in self._extensions else None,
            body="8BITMIME" if envelope.eight_bit else "",
            smtputf8=utf8,
            ret=envelope.ret if dsn else "",
            envid=envelope.envid if dsn else "",
        )
        self._later.append((mail, Wait.COMMAND, self._mail_answered))
        for position, address in envelope.recipients:
            notify, orcpt = envelope.dsn.get(position, ("", "")) if dsn else ("", "")
            command = rcpt_command(_sendable(address, utf8), notify=notify, orcpt=orcpt, smtputf8=utf8)
            self._later.append((command, Wait.COMMAND, _bind(self._recipient_answered, position)))
        self._later.append((_DATA, Wait.DATA, self._data_answered))

    def _unnameable(self, envelope: MessageEnvelope) -> tuple[dict[int, DeliveryStatus], dict[int, Unfit]]:
        """Recipients whose address cannot be sent to any server, or not to this one; the others are not affected."""
        verdicts, unfit = {}, {}
        may_be_utf8 = "SMTPUTF8" in self._extensions or _needs_utf8(evolve(envelope, recipients=()))
        for position, address in envelope.recipients:
            if not may_be_utf8 and _needs_utf8_itself(address):
                unfit[position] = self._lacks("SMTPUTF8", "6.7")
            elif not str(address).isprintable():
                try:
                    rcpt_command(address)
                except UnsendableAddress as error:
                    verdicts[position] = DeliveryStatus(RecipientState.FAILED, error.enhanced_code, str(error))
        return verdicts, unfit

    def _unfit_for(self, envelope: MessageEnvelope) -> Unfit | None:
        """Why this server cannot take the message, where its extensions show that."""
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < envelope.size:
            text = f"message of {envelope.size} octets, server takes {limit}"
            return Unfit(DeliveryStatus(RecipientState.FAILED, "5.3.4", text))
        if "SMTPUTF8" not in self._extensions and _needs_utf8(envelope):
            # RFC 6531 §3.2: the sender asked for SMTPUTF8; the message is not converted.
            return self._lacks("SMTPUTF8", "6.7")
        if envelope.eight_bit and "8BITMIME" not in self._extensions:
            return self._lacks("8BITMIME", "6.3", takes_seven_bits=True)
        return None

    def _lacks(self, extension: str, detail: str, takes_seven_bits: bool = False) -> Unfit:
        """The verdict for a missing extension. A server that does not know EHLO now may know it later: some refuse it
        under load."""
        if not self._knows_ehlo:
            text = f"server knows HELO only, and the message needs {extension}"
            return Unfit(DeliveryStatus(RecipientState.DELAYED, f"4.{detail}", text), takes_seven_bits)
        text = f"server does not offer {extension}, which the message needs"
        return Unfit(DeliveryStatus(RecipientState.FAILED, f"5.{detail}", text), takes_seven_bits)

    def _send_later(self) -> None:
        """Send the next command of the envelope; with PIPELINING all of them (RFC 2920)."""
        pipelining = "PIPELINING" in self._extensions
        while self._later and (pipelining or not self._expected):
            self._command(*self._later.popleft())

    def _reset_answered(self, reply: Reply) -> None:
        """RSET does not fail; if it does, so will MAIL."""

    def _mail_answered(self, reply: Reply) -> None:
        if reply.code // 100 != 2:
            envelope = self._envelope
            assert envelope is not None
            self._verdicts.update((position, refusal_of(reply)) for position, _ in envelope.recipients)
            # Commands not yet sent are dropped; those sent already will be refused too.
            self._later.clear()

    def _recipient_answered(self, reply: Reply, position: int) -> None:
        if position in self._verdicts:
            return
        if reply.code // 100 == 2:
            self._accepted.append(position)
        elif (reply.code == 552 and reply.enhanced in {"", "5.5.3"}) or (reply.code == 452 and not reply.enhanced):
            # RFC 5321 §4.5.3.1.10: "too many recipients", and the code of older servers for it.
            self._verdicts[position] = DeliveryStatus(RecipientState.DELAYED, "4.5.3", str(reply))
        else:
            self._verdicts[position] = refusal_of(reply)
        if not self._accepted and self._later and self._later[0][0] is _DATA:
            self._later.clear()

    def _data_answered(self, reply: Reply) -> None:
        if reply.code == 354 and self._accepted:
            self._sending = True
            self._events.append(SendContent())
        elif reply.code == 354:
            # RFC 2920 §3.1: DATA went out with the refused recipients; an empty message ends it.
            self._out.append(b".\r\n")
            self._expected.append((Wait.FINAL, self._empty_answered))
        else:
            verdict = refusal_of(reply)
            self._verdicts.update((position, verdict) for position in self._accepted)

    def _empty_answered(self, reply: Reply) -> None:
        """The reply to an empty message without recipients does not matter."""

    def content_sent(self) -> None:
        """The final dot has been given to the transport: from now on the server may have the message."""
        self._sending = False
        self._content_sent = True
        self.step += 1
        self._expected.append((Wait.FINAL, self._content_answered))

    def _content_answered(self, reply: Reply) -> None:
        verdict = delivery_status_of(reply)
        self._verdicts.update((position, verdict) for position in self._accepted)

    def _finish(self, problem: HostProblem | None = None) -> None:
        envelope, self._envelope = self._envelope, None
        assert envelope is not None
        self._later.clear()
        # Without the final dot the server's transaction may still be open.
        self._needs_reset = not self._content_sent
        unfit = self._unfit
        verdicts = {position: one.verdict for position, one in unfit.items()} | self._verdicts
        self._events.append(Finished(verdicts, problem, unfit))

    # --- the end

    def quit(self) -> None:
        """Send QUIT; nothing depends on the reply."""
        self._ended = True
        self.step += 1
        self._out.append(b"QUIT\r\n")
        self._expected.append((Wait.QUIT, lambda reply: None))

    def fail(self, problem: HostProblem) -> None:
        """The connection was lost, timed out or cannot be used: end the transaction, if any. Harmless afterwards."""
        if self._ended:
            return
        self._ended = True
        self._expected.clear()
        if self._envelope is None:
            self._events.append(Unusable(problem))
            return
        if self._content_sent:
            # The reply to the final dot is lost. Trying elsewhere at once would duplicate the message if the server has
            # it; a later attempt may duplicate it too, but losing it is worse (RFC 1047).
            doubt = DeliveryStatus(RecipientState.DELAYED, problem.status, f"{NO_REPLY}: {problem.reply}")
            for position in self._accepted:
                self._verdicts.setdefault(position, doubt)
        self._finish(problem)

    # --- the queue of replies

    def _command(self, line: bytes, wait: Wait, answered: Callable[[Reply], None]) -> None:
        self._out.append(line)
        self._expected.append((wait, answered))

    def _answer(self, reply: Reply) -> None:
        if self._ended:
            return
        if not self._expected:
            if self._sending and reply.code // 100 == 5:
                # Refused before the end of the message: the dialogue is broken, but the verdict counts.
                self._content_answered(reply)
            self._host_failed(reply)
            return
        if reply.code == 421 and not self._content_sent:
            # RFC 5321 §3.8: 421 may answer any command; the server is about to close.
            self._host_failed(reply)
            return
        self.step += 1
        _, answered = self._expected.popleft()
        answered(reply)
        if reply.code == 421:
            self._host_failed(reply)
        elif self._envelope is not None and not self._sending:
            if self._later:
                self._send_later()
            elif not self._expected:
                self._finish()

    def _host_failed(self, reply: Reply) -> None:
        status = status_of(reply) if reply.transient else "4.3.2"
        self.fail(HostProblem(status, str(reply)))


def as_said(envelope: MessageEnvelope, offered: Mapping[str, str]) -> tuple[Address | None, tuple[Address, ...]]:
    """The reverse-path and the recipients as they are sent to a server that offers these extensions, without those that
    cannot be sent."""
    may_be_utf8 = "SMTPUTF8" in offered
    utf8 = may_be_utf8 and _needs_utf8(envelope)
    named = [
        _sendable(address, utf8)
        for _, address in envelope.recipients
        if _is_sendable(address) and (may_be_utf8 or not _needs_utf8_itself(address))
    ]
    reverse_path = envelope.reverse_path
    if reverse_path is not None and not _needs_utf8_itself(reverse_path):
        reverse_path = _sendable(reverse_path, utf8)
    return reverse_path, tuple(named)


def _is_sendable(address: Address) -> bool:
    try:
        rcpt_command(address)
    except UnsendableAddress:
        return False
    return True


def _bind(answered: Callable[[Reply, int], None], position: int) -> Callable[[Reply], None]:
    return lambda reply: answered(reply, position)


def _needs_utf8(envelope: MessageEnvelope) -> bool:
    """True if only SMTPUTF8 can carry this. A domain alone does not need it: it has A-labels (RFC 6531 §3.2)."""
    if envelope.utf8_header:
        return True
    addresses = [address for _, address in envelope.recipients]
    if envelope.reverse_path is not None:
        addresses.append(envelope.reverse_path)
    return any(_needs_utf8_itself(address) for address in addresses)


def _needs_utf8_itself(address: Address) -> bool:
    return not (address.local_part.isascii() and _has_a_labels(address.domain))


def _has_a_labels(domain: str) -> bool:
    if domain.isascii():
        return True
    try:
        idna.encode(domain, uts46=True)
    except idna.IDNAError:
        return False
    return True


def _sendable(address: Address, utf8: bool) -> Address:
    """The address as it is sent to the server: without SMTPUTF8, its domain in A-labels."""
    if utf8 or address.domain.isascii():
        return address
    return Address(address.local_part, idna.encode(address.domain, uts46=True).decode("ascii"))
