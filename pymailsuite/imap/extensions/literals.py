"""LITERAL+ and LITERAL-, MULTIAPPEND, CATENATE: capabilities without commands of their own.

The receiver reads non-synchronizing literals; the ``Upload`` of an APPEND takes several messages, each of which may be
put together from parts. Source: RFC 7888, RFC 3502, RFC 4469.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.imap.extension import ImapExtension, Standing, after_login


def _literals(standing: Standing) -> Iterable[str]:
    # RFC 7888 §5: a server lists one of them. With LITERAL- a client sends no more than 4096 octets unasked.
    yield "LITERAL-" if standing.settings.literal_minus else "LITERAL+"


LITERAL_PLUS = ImapExtension("LITERAL+", _literals, position=1)
CATENATE = ImapExtension("CATENATE", after_login("CATENATE"), position=41)
MULTIAPPEND = ImapExtension("MULTIAPPEND", after_login("MULTIAPPEND"), position=19)
