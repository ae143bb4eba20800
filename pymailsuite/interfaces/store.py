"""Stores: what every one gives, what some are able to, and how one is made from a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.errors import MissingAbility
from pymailsuite.interfaces.content import IContentWriter
from pymailsuite.interfaces.mail import IAccountMail
from pymailsuite.interfaces.state import IExpiringState, IStateStore
from pymailsuite.message.limits import ScanLimits
from pymailsuite.values import AccountId, ContentId, ModSeq

T = TypeVar("T")


class IChangeNotices(Interface):
    """Tells that an account has moved on; the subscriber asks the store for the changes."""

    def subscribe(account_id: AccountId, callback: Callable[[ModSeq], None]) -> Callable[[], None]:
        """Call ``callback`` in the reactor thread after each commit that changed the account; answers how to stop."""

    def watched() -> Sequence[AccountId]:
        """Accounts with subscribers in this process."""

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


class IStoreMaintenance(Interface):
    """Maintenance of a store by operators and by the server itself."""

    def verify(deep: bool) -> Deferred[Sequence[str]]:
        """A line for each thing found wrong: counts, references, orphans; ``deep`` reads all octets against digests."""

    def rebuild() -> Deferred[Mapping[str, int]]:
        """Derive anew, from the octets, everything derived; what was done, by kind."""

    def fill() -> Deferred[int | None]:
        """Make some of what is derived from octets for contents that were stored before it was; of how many, which may
        be none, and None if there is nothing left to be looked at. The next call goes on from there, after a restart
        too."""

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

    def release_maildrops(owners: Iterable[str]) -> Deferred[int]:
        """End the maildrop locks of processes that are known to be gone; how many.

        The owner of a lock is its process's name, a colon, and what tells the process's sessions apart.
        """

    def statistics() -> Deferred[Mapping[str, int]]:
        """Accounts, mailboxes, messages, content octets, queue entries, schema version."""


class IDryRuns(Interface):
    """A store that can be written to without effect."""

    def dry_run() -> IMailStore:
        """A view of the open store whose writes are answered as they would be, and undone. It is open already."""


class IMailStore(Interface):
    """What every store gives: accounts, their mail, and the octets of messages. All else is an ability.

    Without IQueueStore among its abilities it takes no mail in: it is read by IMAP and POP3.
    """

    directory = Attribute("IDirectory")
    notices = Attribute("IChangeNotices")
    is_shared = Attribute("False: what is in it is in one process, and others that open it see nothing of that")
    writes_in_turn = Attribute(
        "True: one transaction writes at a time, whichever process it is in, so that several gain nothing by writing"
    )

    def open() -> Deferred[None]:
        """Connect, bring what is there up to date. ConfigError if it cannot be used as it is."""

    def close() -> Deferred[None]:
        """Finish what was asked, then close."""

    def ability(interface: type[T]) -> T | None:
        """What provides an interface, from the beginning and for good; None if the store has no such ability.

        Whoever puts the server together asks once, and leaves out what needs an ability that is missing, or says so:
        :func:`needed`. The abilities that are asked for:

        ===================================== ==========================================================
        IDirectoryStore                       accounts, domains and aliases are changed by operators
        IMailSharing, IGroupStore             users share mailboxes
        IAnnotations                          clients keep annotations of mailboxes
        IQueueStore                           mail comes in, and goes on to other hosts
        IQuotaStore                           how much mail accounts may hold
        IStateStore                           counts and what plugins keep
        ISecretStore, IKeptPaths              return paths of forwarded mail, tags of bounces
        IKeyStore                             keys that sign mail
        ISendAsStore                          as whom users may send
        IStoreMaintenance                          sweeping, verifying, bringing back
        IStoreChannel                         words between processes
        IHistoryStore                         what became of a message
        IListStore, IFetchedLists             lists of senders
        IGreylistStore, ICorrespondents       greylisting
        IReputationStore, IJunkFeedback       reputation of senders
        IDmarcStore, IFailureStore            reports of DMARC
        ITextIndex                            searches that read few messages
        IDryRuns                              telling what would happen
        ===================================== ==========================================================
        """

    def modseqs(account_ids: Sequence[AccountId]) -> Deferred[Mapping[AccountId, ModSeq]]:
        """How far each of these accounts has moved on; one that is gone is left out."""

    def account_mail(account_id: AccountId) -> IAccountMail:
        """The mail of one account; cheap, holds nothing open."""

    def new_content() -> IContentWriter:
        """A place to write one message to. StoreUnavailable, raised, if no id can be made just now; Refusal if
        nothing is ever written."""

    def read_content(content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
        """Octets of a content (at most MAX_CHUNK of them), without any prefix: what relay sends."""


def needed(store: IMailStore, interface: type[T], by: str = "") -> T:
    """An ability that there is no doing without; ``by`` names the setting or part that needs it.

    MissingAbility.
    """
    ability = store.ability(interface)
    if ability is None:
        raise MissingAbility(f"{by or 'store.url'}: this kind of store has no {interface.__name__}")
    return ability


def plugin_state(store: IMailStore, kind: str, name: str) -> IExpiringState:
    """What a plugin of a kind keeps for a time, the same on every node, under names of its own. MissingAbility."""
    return needed(store, IStateStore, name).namespace(f"{kind}:{name}")


@frozen
class StoreContext:
    """What a store is made from: ``url`` as it is in the settings, ``settings`` the section ``[store]``.

    ``scan_limits`` is how far a store looks into messages, ``history_keep_s`` how long what happened is remembered.
    """

    url: str
    settings: Any
    reactor: Any
    scan_limits: ScanLimits
    history_keep_s: float
    quota: Any = None
    """The section ``[quota]``; None: as it is if nothing is said there."""


class IStoreScheme(Interface):
    """One kind of store: a Twisted plugin that provides IPlugin too."""

    name = Attribute("The scheme of its URLs: what stands before the colon.")

    def make(context: StoreContext) -> IMailStore:
        """The store, not yet open; nothing is touched. ConfigError if the URL is none of it."""
