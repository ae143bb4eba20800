"""The built-in POP3 extensions; ``twisted/plugins/pymailsuite_pop3.py`` declares them."""

from pymailsuite.pop3.extension import Extensions
from pymailsuite.pop3.extensions.lang import lang
from pymailsuite.pop3.extensions.logins import login_delay, sasl, stls, user
from pymailsuite.pop3.extensions.promises import auth_resp_code, expire, implementation, pipelining, resp_codes
from pymailsuite.pop3.extensions.top import top
from pymailsuite.pop3.extensions.uidl import uidl
from pymailsuite.pop3.extensions.utf8 import utf8

__all__ = ["OURS"]

OURS = Extensions(
    (
        top,
        uidl,
        pipelining,
        resp_codes,
        auth_resp_code,
        expire,
        utf8,
        lang,
        login_delay,
        sasl,
        user,
        stls,
        implementation,
    )
)
"""The built-in extensions alone, for callers that look for no plugins."""
