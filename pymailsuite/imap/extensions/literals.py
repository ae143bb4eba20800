"""LITERAL+ and MULTIAPPEND: capabilities without commands of their own. Source: RFC 7888, RFC 3502.

The receiver reads non-synchronizing literals; the ``Upload`` of an APPEND takes several messages.
"""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, after_login, always

LITERAL_PLUS = ImapExtension("LITERAL+", always("LITERAL+"), position=1)
MULTIAPPEND = ImapExtension("MULTIAPPEND", after_login("MULTIAPPEND"), position=19)
