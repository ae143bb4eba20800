"""CAPABILITY, LOGOUT, STARTTLS, LOGIN, AUTHENTICATE: the connection and the login.

RFC 3501 §6.1 and §6.2, RFC 4959.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin

from pymailsuite import sasl
from pymailsuite.errors import LoginRefused, MailError, PeerError, TooManyFailedLogins
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.connection import parse_authenticate, parse_login
from pymailsuite.imap.proxy.login import pass_on, prove, refuse_loops
from pymailsuite.imap.states import ANY, BEFORE_LOGIN
from pymailsuite.imap.values import Authenticate, Command, Login
from pymailsuite.interfaces import IImapAvatar
from pymailsuite.values import Peer

_MOST_DOUBLINGS = 4


async def _capability(context: Context, _: Command) -> bytes:
    """RFC 3501 §6.1.1."""
    context.out.append(b"* CAPABILITY " + context.capabilities() + replies.CRLF)
    return b"OK CAPABILITY completed"


async def _logout(context: Context, _: Command) -> bytes:
    """BYE before OK. Source: RFC 3501 §6.1.3."""
    context.deselect()
    context.answer(replies.bye("Logging out"))
    return b"OK LOGOUT completed"


async def _start_tls(context: Context, _: Command) -> bytes:
    """The session begins TLS after this reply was sent. Source: RFC 3501 §6.2.1."""
    if context.connection.secure:
        raise PeerError("TLS is in use already")
    if context.connection.compressed:
        # A client that logged out by UNAUTHENTICATE: TLS would have to be below the compression.
        raise PeerError("The connection is compressed")
    if not context.shared.offers_tls:
        raise PeerError("TLS is not offered")
    return b"OK Begin TLS negotiation now"


async def _login(context: Context, command: Login) -> bytes:
    """RFC 3501 §6.2.3."""
    if not context.shared.plaintext_allowed(context.connection):
        raise replies.PrivacyRequired()
    return await _log_in(context, sasl.SaslPassword(command.user.encode("utf-8"), command.password), "LOGIN")


async def _authenticate(context: Context, command: Authenticate) -> bytes | None:
    """RFC 3501 §6.2.2, with the initial response of RFC 4959."""
    offered = context.shared.mechanisms_on(context.connection)
    make = offered.get(command.mechanism)
    if make is None:
        if command.mechanism in sasl.mechanisms(True):
            raise replies.PrivacyRequired()
        raise replies.CannotAuthenticate()
    exchange = sasl.Exchange(make())
    return await _go_on(context, command.tag.encode("ascii"), exchange, exchange.begin(command.initial))


async def _go_on(context: Context, tag: bytes, exchange: sasl.Exchange, outcome: sasl.Outcome) -> bytes | None:
    """Send the challenge, or try the login."""
    while isinstance(outcome, sasl.Pending):
        outcome = await outcome.outcome
    if isinstance(outcome, sasl.Challenge):
        context.out.append(b"+ " + sasl.encode_challenge(outcome.octets) + replies.CRLF)
        context.expect_line(_Response(tag, exchange))
        return None
    return await _log_in(context, outcome, exchange.mechanism.name)


@frozen
class _Response:
    """An AUTHENTICATE in progress, whose client owes a response; ``tag`` is for its completion."""

    tag: bytes
    _exchange: sasl.Exchange

    async def take_line(self, context: Context, line: bytes) -> bytes | None:
        """The client's response to the last challenge; ``*`` cancels."""
        try:
            octets = sasl.decode_response(line)
        except sasl.Cancelled:
            raise PeerError("Authentication cancelled") from None
        return await _go_on(context, self.tag, self._exchange, self._exchange.go_on(octets))


async def _log_in(context: Context, credentials: ICredentials, mechanism: str) -> bytes:
    """Ask the portal; every failure of a login has the response code AUTHENTICATIONFAILED of RFC 5530, after a
    delay."""
    shared, connection = context.shared, context.connection
    credentials = _with_domain(credentials, shared.settings.default_domain)
    name = getattr(credentials, "username", b"").decode("utf-8", "replace")
    host = shared.settings.host_of(name)
    if host:
        raise replies.Referral(name, host)
    backend = shared.settings.backend_of(name)
    if backend is not None:
        refuse_loops(context)
    peer = Peer(ip=connection.peer_ip, port=connection.peer_port, tls=connection.tls_description())
    try:
        answer: tuple[Any, Any, Callable[[], object]] = await (
            shared.portal.login(credentials, peer, IImapAvatar)
            if backend is None or backend.master_login
            else prove(context, backend, credentials, peer)
        )
    except (LoginRefused, UnauthorizedLogin) as error:
        connection.log.info(
            "{event} {login_name} from {peer_ip}",
            event="imap.login_refused",
            login_name=name,
            mechanism=mechanism,
            peer_ip=connection.peer_ip,
            reason=error.cause if isinstance(error, MailError) else "",
        )
        refusal = TooManyFailedLogins() if isinstance(error, TooManyFailedLogins) else LoginRefused()
        connection.count_refusal("login_refused", refusal.public.encode())
        await _let_wait(context)
        raise refusal from None
    _, avatar, log_out = answer
    if connection.closing:
        log_out()
        raise LoginRefused(cause="the client left before the login was done")
    if backend is None:
        try:
            shared.note_login(str(avatar.account.account_id))
        except MailError:
            log_out()
            raise
        context.logged_in(avatar, log_out)
        completion = b"OK [CAPABILITY " + context.capabilities() + b"] Logged in"
    else:
        completion = await pass_on(context, backend, name, answer)
    connection.log.info(
        "{event} {login_name} from {peer_ip}",
        event="imap.logged_in",
        login_name=name if backend is not None else avatar.account.login_name,
        mechanism=mechanism,
        peer_ip=connection.peer_ip,
        tls=peer.tls,
    )
    return completion


async def _let_wait(context: Context) -> None:
    settings = context.settings
    context.failed_logins += 1
    delay_s = settings.failed_login_delay * 2 ** min(context.failed_logins - 1, _MOST_DOUBLINGS)
    if delay_s:
        await context.connection.wait(delay_s)


def _with_domain(credentials: ICredentials, domain: str) -> ICredentials:
    if domain and isinstance(credentials, sasl.SaslPassword) and b"@" not in credentials.username:
        return sasl.SaslPassword(credentials.username + b"@" + domain.encode("utf-8"), credentials.password)
    return credentials


def _end(context: Context) -> None:
    context.end_after_reply()


def _begin_tls(context: Context) -> None:
    context.flush()
    context.connection.begin_tls()


COMMANDS: Final = (
    ImapCommand("CAPABILITY", ANY, _capability),
    ImapCommand("LOGOUT", ANY, _logout, after=_end),
)
LOGIN_COMMANDS: Final = (
    ImapCommand("STARTTLS", BEFORE_LOGIN, _start_tls, after=_begin_tls),
    ImapCommand("AUTHENTICATE", BEFORE_LOGIN, _authenticate, parse_authenticate),
    ImapCommand("LOGIN", BEFORE_LOGIN, _login, parse_login),
)
