"""LANG: the language of replies. There is only one. Source: RFC 6856 §3."""

from __future__ import annotations

from pymailsuite.errors import PeerError
from pymailsuite.pop3 import replies
from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.replies import ok
from pymailsuite.pop3.session import Pop3Session


def _lang(session: Pop3Session, argument: bytes) -> None:
    words = argument.split()
    if not words:
        session.good(replies.multi_line(ok("language listing follows:"), ["en English"]))
    elif len(words) == 1 and words[0].lower() in (b"*", b"en", b"i-default"):
        session.good(ok("en language is English"))
    else:
        raise PeerError("no such language")


lang = Pop3Extension("lang", "LANG", (Command(b"LANG", _lang, None),), position=80)
