"""The login of a user whose mail is on a back-end.

The back-end proves the password, which is passed on to it as SASL PLAIN: such a user needs no account here. A back-end
with a master login takes our word for it: there the password was proved here before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.cred.credentials import ICredentials

from pymailsuite.auth.throttle import login_elsewhere
from pymailsuite.config.sections.imap import ImapBackend
from pymailsuite.directory.names import login_key
from pymailsuite.errors import LoginRefused
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.proxy.connection import BackendConnection, BackendUnavailable
from pymailsuite.imap.proxy.dialogue import BackendLogin
from pymailsuite.sasl import SaslPassword
from pymailsuite.values import Peer

Proved = tuple[Any, Any, Callable[[], object]]
"""As a portal answers: an interface, what was logged in to, and how to log out."""


def refuse_loops(context: Context) -> None:
    """BackendUnavailable if the client is a front end, behind which there are too many others already."""
    if context.proxy_ttl <= 1:
        raise BackendUnavailable(cause="this login has come through too many front ends")


def _client(context: Context) -> dict[str, str]:
    """What the back-end is told of the client. Source: these fields are Dovecot's."""
    connection = context.connection
    fields = {"x-originating-ip": connection.peer_ip, "x-originating-port": str(connection.peer_port)}
    told = fields if connection.peer_ip else {}
    return {"name": "pymailsuite", **told, "x-proxy-ttl": str(context.proxy_ttl - 1)}


async def prove(context: Context, backend: ImapBackend, credentials: ICredentials, peer: Peer) -> Proved:
    """Have the back-end prove the password of the user; counted and throttled as any other login.

    LoginRefused, BackendUnavailable.
    """
    if not isinstance(credentials, SaslPassword):
        raise replies.CannotAuthenticate()
    name, password = credentials.username, credentials.password

    async def ask() -> Proved:
        if b"\0" in name or b"\0" in password:
            raise LoginRefused(cause="NUL in a name or password")
        connection = await context.shared.backends.log_in(
            backend, BackendLogin(name, password, client=_client(context))
        )
        return None, connection, connection.close

    return await login_elsewhere(context.shared.portal, credentials, peer, ask)


async def pass_on(context: Context, backend: ImapBackend, name: str, proved: Proved) -> bytes:
    """From the completion of the command on, which is returned, the client speaks with the back-end.

    LimitReached if the user has too many sessions; BackendUnavailable if a master login does not succeed. In either
    case the login has been given back.
    """
    shared = context.shared
    _, found, log_out = proved
    # Not to be taken for an account of ours.
    key = f"{backend} {login_key(name, context.settings.default_domain)}"
    ends: list[Callable[[], object]] = [log_out]

    def end() -> None:
        while ends:
            ends.pop()()

    try:
        shared.note_login(key)
        ends.append(lambda: shared.forget_login(key))
        if backend.master_login:
            connection = await _log_in_as_master(context, backend, found.account.login_name)
            ends.append(connection.close)
            found.on_ended(context.connection.withdraw)
        else:
            connection = found
        if context.connection.closing:
            raise LoginRefused(cause="the client left before the login was done")
    except BaseException:
        end()
        raise
    context.pass_on(connection, end)
    context.connection.log.info(
        "{event} {login_name} from {peer_ip} to {target}",
        event="imap.passed_on",
        login_name=name,
        peer_ip=context.connection.peer_ip,
        target=str(backend),
    )
    context.out += [line + replies.CRLF for line in connection.untagged]
    return connection.completion


async def _log_in_as_master(context: Context, backend: ImapBackend, login_name: str) -> BackendConnection:
    backends = context.shared.backends
    try:
        return await backends.log_in(backend, backends.master_login(backend, login_name, _client(context)))
    except LoginRefused as error:
        # The user's password was right.
        raise BackendUnavailable(cause=f"the master login: {error.cause}") from None
