"""What our IMAP server can do, an extension a module; :mod:`.imap4rev1` is what all others extend."""

from __future__ import annotations

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.declarations import ImapExtension, after_login, always
from pymailsuite.imap.extensions.append_limit import APPENDLIMIT
from pymailsuite.imap.extensions.binary import BINARY
from pymailsuite.imap.extensions.condstore import CONDSTORE
from pymailsuite.imap.extensions.enable import ENABLE
from pymailsuite.imap.extensions.esearch import ESEARCH
from pymailsuite.imap.extensions.id import ID
from pymailsuite.imap.extensions.idle import IDLE
from pymailsuite.imap.extensions.imap4rev1 import IMAP4REV1
from pymailsuite.imap.extensions.list_extended import CHILDREN, LIST_EXTENDED, LIST_STATUS
from pymailsuite.imap.extensions.logins import LOGINS
from pymailsuite.imap.extensions.move import MOVE
from pymailsuite.imap.extensions.namespace import NAMESPACE
from pymailsuite.imap.extensions.save_date import SAVEDATE
from pymailsuite.imap.extensions.special_use import SPECIAL_USE
from pymailsuite.imap.extensions.status_size import STATUS_SIZE
from pymailsuite.imap.extensions.uidplus import UIDPLUS
from pymailsuite.imap.extensions.unselect import UNSELECT
from pymailsuite.imap.extensions.within import WITHIN

# What is not a matter of words: literals are the receiver's (RFC 7888), several messages the APPEND's (RFC 3502).
_LITERAL_PLUS = ImapExtension("LITERAL+", always("LITERAL+"))
_MULTIAPPEND = ImapExtension("MULTIAPPEND", after_login("MULTIAPPEND"))


def make_extensions(settings: ImapSettings) -> tuple[ImapExtension, ...]:
    """All of them, in the order in which their capabilities are listed."""
    del settings  # What depends on them is told with each capability.
    return (
        IMAP4REV1,
        _LITERAL_PLUS,
        ID,
        ENABLE,
        IDLE,
        LOGINS,
        NAMESPACE,
        CHILDREN,
        UNSELECT,
        UIDPLUS,
        MOVE,
        CONDSTORE,
        ESEARCH,
        BINARY,
        WITHIN,
        SPECIAL_USE,
        LIST_EXTENDED,
        LIST_STATUS,
        STATUS_SIZE,
        _MULTIAPPEND,
        SAVEDATE,
        APPENDLIMIT,
    )
