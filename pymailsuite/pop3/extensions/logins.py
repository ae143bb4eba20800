"""USER and PASS, AUTH, STLS, LOGIN-DELAY: the commands before the maildrop is open.

Source: RFC 1939 §7; RFC 5034 §4; RFC 2595 §4; RFC 2449 §6.6.
"""

from __future__ import annotations

from pymailsuite.errors import PeerError
from pymailsuite.pop3 import replies
from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.grammar import no_argument
from pymailsuite.pop3.replies import ok
from pymailsuite.pop3.requests import BeginTls, Request
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State
from pymailsuite.sasl import SaslPassword, decode_initial


def _offers_user(session: Pop3Session) -> str:
    return "USER" if session.state is State.AUTHORIZATION and session.mechanisms() else ""


def _user(session: Pop3Session, argument: bytes) -> None:
    """Any name is accepted, so that USER does not show which users exist. Source: RFC 1939 §7."""
    if not session.mechanisms():
        session.refuse(replies.TLS_FIRST)
    elif not argument:
        raise PeerError("name missing")
    else:
        session.user = argument
        session.good(ok("send PASS"))


def _pass(session: Pop3Session, argument: bytes) -> Request | None:
    if not session.mechanisms():
        session.refuse(replies.TLS_FIRST)
        return None
    user, session.user = session.user, None
    if user is None:
        session.refuse(replies.USER_FIRST)
        return None
    if not argument:
        raise PeerError("password missing")
    return session.log_in(SaslPassword(user, argument))


def _offers_sasl(session: Pop3Session) -> str:
    offered = session.mechanisms()
    return f"SASL {' '.join(offered)}" if offered else ""


def _auth(session: Pop3Session, argument: bytes) -> Request | None:
    """Source: RFC 5034 §4."""
    offered = session.mechanisms()
    words = argument.split()
    if not words:
        # Clients asked this way before there was CAPA, and some still do.
        session.good(replies.multi_line(ok("mechanisms follow"), offered))
        return None
    if not offered:
        session.refuse(replies.TLS_FIRST)
        return None
    factory = offered.get(words[0].decode("ascii", "replace").upper())
    if factory is None:
        raise PeerError("no such mechanism")
    if len(words) > 2:
        raise PeerError("too many arguments")
    return session.begin_login(factory(), decode_initial(words[1]) if len(words) == 2 else None)


def _offers_stls(session: Pop3Session) -> str:
    before_login = session.state is State.AUTHORIZATION
    return "STLS" if before_login and session.tls_available and not session.secure else ""


def _stls(session: Pop3Session, argument: bytes) -> Request:
    """Source: RFC 2595 §4."""
    no_argument(argument)
    if session.secure:
        raise PeerError("TLS is active already")
    if not session.tls_available:
        raise PeerError("no TLS here")
    if session.utf8:
        # RFC 6856 §2.1: what follows UTF8 is not to be begun anew.
        raise PeerError("no STLS after UTF8")
    session.good(replies.BEGIN_TLS)
    return BeginTls()


def _login_delay(session: Pop3Session) -> str:
    delay_s = session.settings.login_delay
    return f"LOGIN-DELAY {round(delay_s)}" if delay_s else ""


login_delay = Pop3Extension("login-delay", _login_delay, position=90)
sasl = Pop3Extension("sasl", _offers_sasl, (Command(b"AUTH", _auth, State.AUTHORIZATION),), position=100)
user = Pop3Extension(
    "user",
    _offers_user,
    (Command(b"USER", _user, State.AUTHORIZATION), Command(b"PASS", _pass, State.AUTHORIZATION)),
    position=110,
)
stls = Pop3Extension("stls", _offers_stls, (Command(b"STLS", _stls, State.AUTHORIZATION),), position=120)
