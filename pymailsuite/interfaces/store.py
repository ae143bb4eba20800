"""The one transactional store, in its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.content import IContentWriter
from pymailsuite.interfaces.mail import IAccountMail
from pymailsuite.values import AccountId, ContentId, ModSeq


class IChangeNotices(Interface):
    """Tells that an account moved on; who cares asks the store what happened."""

    def subscribe(account_id: AccountId, callback: Callable[[ModSeq], None]) -> Callable[[], None]:
        """Call ``callback`` in the reactor thread after each commit that changed the account; answers how to stop."""

    def watched() -> Sequence[AccountId]:
        """Accounts that somebody subscribes to here."""

    def carry(carrier: Callable[[Mapping[AccountId, ModSeq]], None]) -> Callable[[], None]:
        """Call ``carrier`` after each commit of this process, with all accounts it moved on; answers how to stop."""

    def hear(moved: Mapping[AccountId, ModSeq]) -> None:
        """Accounts moved on by another's commit: tell who subscribes to them here."""


@define
class RestoredMail:
    """What was brought back from a backup, or would be.

    ``messages`` are numbers by mailbox; ``there`` is how many the mailboxes had already. ``account_made``: the account
    was not there."""

    account: str
    messages: dict[str, int] = field(factory=dict)
    there: int = 0
    octets: int = 0
    account_made: bool = False


class IStoreUpkeep(Interface):
    """What operators do to a store."""

    def verify(deep: bool) -> Deferred[Sequence[str]]:
        """A line for each thing found wrong: counts, references, orphans; ``deep`` reads all octets against digests."""

    def rebuild() -> Deferred[Mapping[str, int]]:
        """Derive anew, from the octets, everything derived; what was done, by kind."""

    def sweep(now: float) -> Deferred[Mapping[str, int]]:
        """Drop what is past its undelete time and content nobody refers to; what was dropped, by kind."""

    def restore_expunged(account_id: AccountId, since: float, mailbox: str | None) -> Deferred[int]:
        """Bring messages expunged after ``since`` (POSIX seconds) back, with new UIDs; how many."""

    def restore_mail(
        backup: Path, at: float | None, login_name: str, mailbox: str | None, to: str | None, dry_run: bool
    ) -> Deferred[RestoredMail]:
        """Bring back what an account (or one mailbox of it) had in the backup in a folder and has not now.

        From the newest set, or the newest that is no younger than ``at`` (POSIX seconds). What comes back gets new
        UIDs. Into that account, which is made again if it has been removed, or into the account ``to``. NoSuchAccount,
        NoSuchMailbox, ConfigError if there is no such set. Reads files where it is called: for commands, not servers.
        """

    def statistics() -> Deferred[Mapping[str, int]]:
        """Accounts, mailboxes, messages, content octets, queue entries, schema version."""


class IMailStore(Interface):
    """The one transactional store, in its parts."""

    directory = Attribute("IDirectoryStore")
    queue = Attribute("IQueueStore")
    notices = Attribute("IChangeNotices")
    upkeep = Attribute("IStoreUpkeep")
    state = Attribute("IStateStore")
    lists = Attribute("IListStore")
    fetched_lists = Attribute("IFetchedLists")
    channel = Attribute("IStoreChannel, or None if the database carries no words between processes")
    writes_in_turn = Attribute(
        "True: one transaction writes at a time, whichever process it is in, so that several gain nothing by writing"
    )
    dmarc = Attribute("IDmarcStore")
    dmarc_failures = Attribute("IFailureStore")
    keys = Attribute("IKeyStore")
    greylist = Attribute("IGreylistStore")
    correspondents = Attribute("ICorrespondents")
    secrets = Attribute("ISecretStore")
    kept_paths = Attribute("IKeptPaths")
    send_as = Attribute("ISendAsStore")
    reputations = Attribute("IReputationStore")
    marks = Attribute("IJunkMarks")
    history = Attribute("IHistoryStore")

    def open() -> Deferred[None]:
        """Connect, migrate the schema. ConfigError if the schema is newer than this code."""

    def close() -> Deferred[None]:
        """Finish what was asked, then close."""

    def in_vain() -> IMailStore:
        """A view of the open store whose writes are answered as they would be, and undone. It is open already."""

    def modseqs(account_ids: Sequence[AccountId]) -> Deferred[Mapping[AccountId, ModSeq]]:
        """How far each of these accounts has moved on; one that is gone is left out."""

    def account_mail(account_id: AccountId) -> IAccountMail:
        """The mail of one account; cheap, holds nothing open."""

    def release_maildrops(owners: Iterable[str]) -> Deferred[int]:
        """End the maildrop locks of processes that are known to be gone; how many.

        The owner of a lock is its process's name, a colon, and what tells the process's sessions apart.
        """

    def new_content() -> IContentWriter:
        """A place to write one message to. StoreUnavailable, raised, if no id can be made just now."""

    def read_content(content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
        """Octets of a content (at most MAX_CHUNK of them), without any prefix: what relay sends."""
