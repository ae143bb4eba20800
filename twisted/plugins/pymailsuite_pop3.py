"""The extensions of POP3."""

from pymailsuite.pop3.extensions.lang import lang
from pymailsuite.pop3.extensions.logins import login_delay, sasl, stls, user
from pymailsuite.pop3.extensions.promises import auth_resp_code, expire, implementation, pipelining, resp_codes
from pymailsuite.pop3.extensions.top import top
from pymailsuite.pop3.extensions.uidl import uidl
from pymailsuite.pop3.extensions.utf8 import utf8

__all__ = [
    "auth_resp_code",
    "expire",
    "implementation",
    "lang",
    "login_delay",
    "pipelining",
    "resp_codes",
    "sasl",
    "stls",
    "top",
    "uidl",
    "user",
    "utf8",
]
