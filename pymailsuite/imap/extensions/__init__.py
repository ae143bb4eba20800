"""The built-in IMAP extensions, a module each; all others extend :mod:`.imap4rev1`."""

from pymailsuite.imap.extensions.acl import ACL
from pymailsuite.imap.extensions.append_limit import APPENDLIMIT
from pymailsuite.imap.extensions.binary import BINARY
from pymailsuite.imap.extensions.compress import COMPRESS
from pymailsuite.imap.extensions.condstore import CONDSTORE
from pymailsuite.imap.extensions.enable import ENABLE
from pymailsuite.imap.extensions.esearch import ESEARCH
from pymailsuite.imap.extensions.esort import ESORT
from pymailsuite.imap.extensions.fuzzy import FUZZY
from pymailsuite.imap.extensions.id import ID
from pymailsuite.imap.extensions.idle import IDLE
from pymailsuite.imap.extensions.imap4rev1 import IMAP4REV1
from pymailsuite.imap.extensions.imap4rev2 import IMAP4REV2, UTF8_ACCEPT
from pymailsuite.imap.extensions.in_progress import INPROGRESS
from pymailsuite.imap.extensions.language import LANGUAGE
from pymailsuite.imap.extensions.list_extended import CHILDREN, LIST_EXTENDED, LIST_STATUS
from pymailsuite.imap.extensions.list_my_rights import LIST_MYRIGHTS
from pymailsuite.imap.extensions.literals import CATENATE, LITERAL_PLUS, MULTIAPPEND
from pymailsuite.imap.extensions.login_referrals import LOGIN_REFERRALS
from pymailsuite.imap.extensions.logins import LOGINS
from pymailsuite.imap.extensions.message_limit import MESSAGELIMIT
from pymailsuite.imap.extensions.metadata import LIST_METADATA, METADATA
from pymailsuite.imap.extensions.move import MOVE
from pymailsuite.imap.extensions.multisearch import MULTISEARCH
from pymailsuite.imap.extensions.namespace import NAMESPACE
from pymailsuite.imap.extensions.notify import NOTIFY
from pymailsuite.imap.extensions.object_id import OBJECTID
from pymailsuite.imap.extensions.partial import PARTIAL
from pymailsuite.imap.extensions.preview import PREVIEW
from pymailsuite.imap.extensions.qresync import QRESYNC
from pymailsuite.imap.extensions.quota import QUOTA
from pymailsuite.imap.extensions.replace import REPLACE
from pymailsuite.imap.extensions.save_date import SAVEDATE
from pymailsuite.imap.extensions.search_context import SEARCH_CONTEXT
from pymailsuite.imap.extensions.searchres import SEARCHRES
from pymailsuite.imap.extensions.sort import SORT
from pymailsuite.imap.extensions.special_use import SPECIAL_USE
from pymailsuite.imap.extensions.status_size import STATUS_SIZE
from pymailsuite.imap.extensions.thread import THREAD
from pymailsuite.imap.extensions.uidbatches import UIDBATCHES
from pymailsuite.imap.extensions.uidonly import UIDONLY
from pymailsuite.imap.extensions.uidplus import UIDPLUS
from pymailsuite.imap.extensions.unauthenticate import UNAUTHENTICATE
from pymailsuite.imap.extensions.unselect import UNSELECT
from pymailsuite.imap.extensions.within import WITHIN
from pymailsuite.imap.extensions.xlist import XLIST

OURS = (
    IMAP4REV1,
    IMAP4REV2,
    UTF8_ACCEPT,
    LITERAL_PLUS,
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
    QRESYNC,
    NOTIFY,
    ESEARCH,
    SORT,
    ESORT,
    FUZZY,
    THREAD,
    BINARY,
    WITHIN,
    SPECIAL_USE,
    LIST_EXTENDED,
    LIST_STATUS,
    STATUS_SIZE,
    MULTIAPPEND,
    SAVEDATE,
    OBJECTID,
    PREVIEW,
    QUOTA,
    APPENDLIMIT,
    UNAUTHENTICATE,
    SEARCHRES,
    PARTIAL,
    COMPRESS,
    XLIST,
    SEARCH_CONTEXT,
    MULTISEARCH,
    INPROGRESS,
    UIDONLY,
    UIDBATCHES,
    MESSAGELIMIT,
    ACL,
    LIST_MYRIGHTS,
    CATENATE,
    REPLACE,
    METADATA,
    LIST_METADATA,
    LANGUAGE,
    LOGIN_REFERRALS,
)
