"""UTF8: replies and names may be UTF-8. Source: RFC 6856 §2."""

from __future__ import annotations

from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.grammar import no_argument
from pymailsuite.pop3.replies import ok
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State


def _utf8(session: Pop3Session, argument: bytes) -> None:
    # Departs from RFC 6856 §4: without UTF8 too a message is sent as it was stored. Surrogates for its header would
    # break its signatures, and clients that do not know UTF8 show such headers well enough.
    no_argument(argument)
    session.utf8 = True
    session.good(ok("UTF-8 enabled"))


utf8 = Pop3Extension("utf8", "UTF8 USER", (Command(b"UTF8", _utf8, State.AUTHORIZATION),), position=70)
