"""The ``[store]`` section: where mail is kept and how the database is driven."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, FilePath, Section, Size


class StoreSection(Section):
    """Where mail is kept and how the database is driven."""

    url: str = ""
    """The database: ``sqlite:///path/to/file`` or ``postgresql://user:password@host/database``, or a URL whose
    scheme a plugin knows. Empty: ``store.sqlite`` in the data folder."""

    encryption_keys: FilePath | None = None
    """A file of keys that private keys (DKIM) and secrets in the store are encrypted with: base64, one a line, the
    first for what is written (``pymailsuite secret keygen``). It belongs to the user the server runs as, and nobody
    else may read it. Without it they are stored in the clear, readable for anybody who can read the database or a
    backup of it."""

    reader_threads: int = Field(default=3, ge=1, le=64)
    """Threads that read, each with a connection of its own."""

    group_limit: int = Field(default=500, ge=1)
    """Requests committed together at most; bounds how long the last of a crowd waits."""

    busy_limit: Duration = 30.0
    """How long a request waits for another process that holds the database before it fails."""

    away_limit: Duration = 10.0
    """How long requests wait for a database that cannot be reached. Once it has been away for longer they fail at once
    until it is back."""

    slow: Duration = 0.5
    """A transaction that takes longer than this is logged."""

    chunks_in_flight: int = Field(default=4, ge=1)
    """Chunks of one incoming message held in memory, waiting for the disk, before its sender is paused."""

    undelete_time: Duration = 7 * 86400.0
    """How long an expunged message, and the mail of a removed account, stays recoverable."""

    expunge_log_time: Duration = 180 * 86400.0
    """How long is remembered that a message was expunged and what happened to mailboxes and subscriptions, so that
    clients can catch up cheaply."""

    staging_time: Duration = 86400.0
    """After this time octets that were received but never became a message are dropped."""

    account_mailboxes: int = Field(default=25_000, ge=10)
    """Mailboxes that a user may have, levels that only have others below them included."""

    account_subscriptions: int = Field(default=25_000, ge=10)
    """Names that a user may be subscribed to."""

    account_changes: int = Field(default=50_000, ge=100)
    """How many changes of a user's mailboxes and subscriptions are remembered, so that clients can catch up cheaply;
    the oldest are forgotten first."""

    mailbox_name: Size = Field(default=1000, ge=50)
    """Octets of a mailbox name in UTF-8, all its levels together."""

    mailbox_depth: int = Field(default=50, ge=1)
    """Levels of a mailbox name."""

    share_with_anyone: bool = True
    """Whether users may give ``anyone`` rights to their mailboxes, which all users see then. If not, only operators do
    that."""

    mailbox_rights: int = Field(default=1000, ge=1)
    """Entries in the access control list of a mailbox."""

    mailbox_annotations: int = Field(default=100, ge=1)
    """Annotations of a mailbox or an account (METADATA of IMAP); the private ones of each user count by themselves."""

    annotation: Size = Field(default=16384, ge=1024)
    """Octets of the value of an annotation."""

    mailbox_keywords: int = Field(default=1000, ge=10)
    """Different keywords that the messages of a mailbox may have."""

    message_keywords: int = Field(default=100, ge=1)
    """Keywords that a message may have."""

    greylist_entries: int = Field(default=1_000_000, ge=1)
    """Triplets of greylisting that are kept; a sweep of the store removes those above this number, beginning with those
    that expire first."""

    state_keys: int = Field(default=1_000_000, ge=1)
    """Names that a plugin may keep state under; what is above is dropped when the store is swept, those first that
    would expire first."""

    state_value: Size = Field(default=4096, ge=64, le=2**20)
    """Octets that may be kept as state under one name."""

    reputation_time: Duration = 180 * 86400.0
    """A sender without an event for that long is forgotten."""

    sqlite_page_size: int = 4096
    """Octets of a database page; takes effect when the file is made."""

    sqlite_cache_size: Size = 16 * 2**20
    """Page cache of each connection."""

    sqlite_mmap_size: Size = 256 * 2**20
    """How much of the file is read through memory mapping."""

    sqlite_wal_limit: Size = 64 * 2**20
    """The write-ahead log is emptied into the database when it grows past this, and its file cut back to this."""

    sqlite_checkpoint_interval: Duration = 2.0
    """How often the write-ahead log is looked after while there are commits."""

    postgres_writers: int = Field(default=2, ge=1, le=32)
    """Connections of each process that write: while one waits for another process the others go on."""

    postgres_lock_wait: Duration = 5.0
    """How long a statement waits for a row that another process holds before its transaction is begun anew."""
