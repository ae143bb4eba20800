"""The one transactional store: accounts, mailboxes, messages, octets and queue rows."""

from pymailsuite.store.mail_store import MailStore, inline_store, is_database, mail_store, open_engine
from pymailsuite.values import queue_id_of

__all__ = ["MailStore", "inline_store", "is_database", "mail_store", "open_engine", "queue_id_of"]
