"""Quotas: how much mail accounts may hold, and how much they do.

A limit may be set for an account, for the accounts of a domain, for all accounts (the section ``[quota]``), and for all
accounts of a domain together, its total. Octets are those of messages as clients see their size; a message counts for
the account whose mailbox it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import frozen
from pydantic import Field
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.config.base import Section, Size
from pymailsuite.errors import OverQuota
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.queue import Acceptance
from pymailsuite.values import AccountId


class FolderRule(Section):
    """What a quota says of some of an account's mailboxes."""

    counted: bool = True
    """Whether their messages count for the account. They count for the total of the domain in any case."""

    extra: Size = Field(default=0, ge=0)
    """Octets by which the storage limit is higher for what is put into them: a client that has no MOVE can then put
    messages of a full account into its trash."""


class Limits(Section):
    """Upper limits. None: as what is more general says, in the end none; 0: there is none."""

    storage: Size | None = Field(default=None, ge=0)
    """Octets of all messages together."""

    messages: int | None = Field(default=None, ge=0)

    mailboxes: int | None = Field(default=None, ge=0)
    """Levels that only have others below them included."""


class Quota(Limits):
    """The quota of an account, or the default of a domain's accounts."""

    folders: dict[str, FolderRule] = Field(default_factory=dict)
    r"""Rules by mailboxes: a special use (``\Trash``), or a name in which ``*`` stands for anything and ``%`` for
    anything within a level. A rule goes for what is below such a mailbox too; the first one that fits counts."""

    def over(self, general: Quota) -> Quota:
        """Both: what is said here goes before what ``general`` says."""
        return Quota(
            storage=general.storage if self.storage is None else self.storage,
            messages=general.messages if self.messages is None else self.messages,
            mailboxes=general.mailboxes if self.mailboxes is None else self.mailboxes,
            folders=self.folders | {name: rule for name, rule in general.folders.items() if name not in self.folders},
        )


class DomainQuota(Section):
    """What is kept with a domain: the default of its accounts, and the total of all of them together."""

    accounts: Quota = Field(default_factory=Quota)
    total: Limits = Field(default_factory=Limits)

    @property
    def has_total(self) -> bool:
        """Whether the total has any limit."""
        return bool(self.total.storage or self.total.messages or self.total.mailboxes)


NO_QUOTA: Final = Quota()
NO_DOMAIN_QUOTA: Final = DomainQuota()

ChangeQuota = Callable[[Quota], Quota]
ChangeDomainQuota = Callable[[DomainQuota], DomainQuota]
"""What is wanted from what was wanted; without side effects, for they may be called twice."""


@frozen
class Usage:
    """What there is: ``storage`` in octets."""

    storage: int = 0
    messages: int = 0
    mailboxes: int = 0


@frozen
class FolderUsage:
    """What is in a mailbox, and the rule for it."""

    name: str
    storage: int
    messages: int
    counted: bool = True
    extra: int = 0


@frozen
class QuotaRoot:
    """What there is below a limit, and the limits: of an account, or of all accounts of a domain."""

    usage: Usage
    limits: Limits

    def percent(self) -> int:
        """How full it is: the highest percentage of those resources that have a limit, rounded down; 0 without one."""
        pairs = (
            (self.usage.storage, self.limits.storage),
            (self.usage.messages, self.limits.messages),
            (self.usage.mailboxes, self.limits.mailboxes),
        )
        return max([used * 100 // limit for used, limit in pairs if limit], default=0)


@frozen
class AccountQuota:
    """What is known of one account's quota. ``domain_total`` None: its domain has no total. ``folders`` are by name,
    and empty unless they were asked for."""

    account_id: AccountId
    login_name: str
    account: QuotaRoot
    domain: str
    domain_total: QuotaRoot | None = None
    folders: tuple[FolderUsage, ...] = ()


@frozen
class QuotaWarning:
    """A user is to be told that the account, or the administrator that all accounts of a domain (``account`` None), has
    passed ``percent`` of a limit."""

    percent: int
    root: QuotaRoot
    account: AccountQuota | None
    domain: str


class IRecipientQuotas(Interface):
    """What is asked about the quotas of recipients before their mail comes."""

    def concern(resolved: Recipients) -> bool:
        """Whether any of these accounts has a quota."""

    def refusal(resolved: Recipients, octets: int) -> Deferred[OverQuota | None]:
        """The error that refuses a recipient, if a message of so many octets (0: not known) has room in none of the
        accounts that the address leads to, and goes to no other host."""


class IQuotaStore(Interface):
    """The quotas of a store's accounts, and what they hold, at one moment and exactly.

    Whatever adds messages or mailboxes raises OverQuota if it adds too much, in the transaction that adds it.
    """

    def account_quota(account_id: AccountId, with_folders: bool) -> Deferred[AccountQuota]:
        """The limits of an account, and its usage. NoSuchAccount."""

    def domain_total(domain: str) -> Deferred[QuotaRoot]:
        """The usage of all accounts of a domain, and their total limits, if there are any. Without one it reads them
        all. NoSuchEntry."""

    def without_room(copies: Sequence[tuple[AccountId, str]], octets: int) -> Deferred[Mapping[AccountId, OverQuota]]:
        """Those of the accounts that a message of so many octets does not fit into now, if it is delivered to these
        mailboxes."""

    def subscribe_warnings(callback: Callable[[], None]) -> None:
        """Call ``callback`` in the reactor thread after each commit of this process that made a warning due."""

    def due_warnings() -> Deferred[Sequence[QuotaWarning]]:
        """Some of the warnings that are due; the next call answers the same until they are settled."""

    def settle_warning(warning: QuotaWarning, messages: Sequence[Acceptance]) -> Deferred[bool]:
        """Accept these messages, and note that the warning was given: both or neither. False if it is due no more, as
        another process has given it; then nothing was accepted."""
