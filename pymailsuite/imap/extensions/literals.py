"""LITERAL+ and MULTIAPPEND: nothing to say, but octets that come otherwise. Source: RFC 7888, RFC 3502.

Literals that come unasked are read by the receiver, several messages of one APPEND by its ``Upload``.
"""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, after_login, always

LITERAL_PLUS = ImapExtension("LITERAL+", always("LITERAL+"), position=1)
MULTIAPPEND = ImapExtension("MULTIAPPEND", after_login("MULTIAPPEND"), position=19)
