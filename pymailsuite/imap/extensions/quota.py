"""QUOTA: what an account may hold, and what it holds. Source: RFC 9208; RFC 2087, which older clients speak.

An account's own root is ``ROOT``, that of another account is its login name, and the total of a domain, where there is
one, is the domain with ``@`` in front. A root without any limit is not told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from pymailsuite.errors import NoPermission, NoSuchAccount, NoSuchEntry, PeerError, Refusal
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, Standing, StatusItem
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.render import astring
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command
from pymailsuite.interfaces import Mailbox
from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.quota import DomainQuota, IQuotaStore, Limits, Quota, QuotaRoot
from pymailsuite.values import AccountId

_OWN: Final = "ROOT"
_UNIT: Final = 1024
"""Octets: of STORAGE and DELETED-STORAGE. Source: RFC 9208 §5.1."""
_RESOURCES: Final = {"STORAGE": "storage", "MESSAGE": "messages", "MAILBOX": "mailboxes"}
_FULL: Final = 100


@frozen
class RootCommand(Command):
    """GETQUOTA."""

    root: str


@frozen
class MailboxCommand(Command):
    """GETQUOTAROOT."""

    mailbox: str


@frozen
class SetQuota(RootCommand):
    """SETQUOTA: limits by the names of resources, STORAGE in units of 1024 octets."""

    limits: Mapping[str, int]


# --- grammar


def _root_name(cursor: Cursor) -> str:
    # quota-root-name = astring   ; RFC 9208 §6
    return cursor.astring("a quota root").decode("utf-8", "replace")


def _parse_root(cursor: Cursor, tag: str) -> RootCommand:
    # getquota = "GETQUOTA" SP quota-root-name
    cursor.space()
    return RootCommand(tag, _root_name(cursor))


def _parse_mailbox(cursor: Cursor, tag: str) -> MailboxCommand:
    # getquotaroot = "GETQUOTAROOT" SP mailbox
    cursor.space()
    return MailboxCommand(tag, cursor.mailbox())


def _parse_set(cursor: Cursor, tag: str) -> SetQuota:
    # setquota = "SETQUOTA" SP quota-root-name SP setquota-list
    # setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"
    # setquota-resource = resource-name SP resource-limit;  resource-limit = number64
    cursor.space()
    name = _root_name(cursor)
    cursor.space()
    limits: dict[str, int] = {}
    for _ in cursor.listed(2 * len(_RESOURCES), "resources"):
        resource = cursor.word("a resource")
        cursor.space()
        limits[resource] = cursor.number64()
    return SetQuota(tag, name, limits)


# --- what there is


def _quotas(context: Context) -> Any:
    quotas = context.shared.store.ability(IQuotaStore)
    if quotas is None:
        raise Refusal("There are no quotas here")
    return quotas


def _told(name: str, root: QuotaRoot) -> bytes:
    """``* QUOTA ROOT (STORAGE 10 512)``, in units of 1024 octets; nothing for a root without any limit."""
    resources = []
    for resource, field in _RESOURCES.items():
        used, limit = getattr(root.usage, field), getattr(root.limits, field)
        if limit:
            unit = _UNIT if resource == "STORAGE" else 1
            resources.append(f"{resource} {-(-used // unit)} {limit // unit}")
    if not resources:
        return b""
    return b"* QUOTA %b (%b)\r\n" % (astring(name.encode("utf-8")), " ".join(resources).encode("ascii"))


async def _roots(context: Context, account_id: AccountId) -> Sequence[tuple[str, QuotaRoot]]:
    """The roots that mail of an account counts for, by the names this user has for them."""
    quota = await _quotas(context).account_quota(account_id, False)
    name = _OWN if account_id == context.mail.account_id else quota.login_name
    roots = [(name, quota.account)]
    if quota.domain_total is not None:
        roots.append((f"@{quota.domain}", quota.domain_total))
    return [(name, root) for name, root in roots if _told(name, root)]


def _tell(context: Context, roots: Iterable[tuple[str, QuotaRoot]]) -> None:
    for name, root in roots:
        context.out.append(_told(name, root))
        if root.percent() >= _FULL:
            # RFC 9208 §4.3.1: in an untagged NO it says that there is too much already.
            context.out.append(b"* NO [OVERQUOTA] The quota %b is used up\r\n" % astring(name.encode("utf-8")))


async def _get_root(context: Context, command: MailboxCommand) -> bytes:
    """RFC 9208 §4.1.2: the mailbox need not exist; but who may not know of another's is told nothing."""
    place = await context.place(command.mailbox)
    if place.account_id != context.mail.account_id:
        await place.mail.mailbox(place.name)
    roots = await _roots(context, place.account_id)
    names = [astring(name.encode("utf-8")) for name, _ in roots]
    context.out.append(b" ".join([b"* QUOTAROOT", context.places.form.mailbox(place.asked), *names]) + replies.CRLF)
    _tell(context, roots)
    return b"OK GETQUOTAROOT completed"


async def _get(context: Context, command: RootCommand) -> bytes:
    """RFC 9208 §4.1.1."""
    roots = dict(await _roots(context, context.mail.account_id))
    if command.root not in roots:
        account_id = await _others_account(context, command.root)
        roots = {} if account_id is None else dict(await _roots(context, account_id))
    if command.root not in roots:
        raise NoSuchEntry("There is no such quota root")
    _tell(context, [(command.root, roots[command.root])])
    return b"OK GETQUOTA completed"


async def _others_account(context: Context, name: str) -> AccountId | None:
    """The account of that login name, if the user may set its quota, or sees a mailbox of it."""
    if await _may_set(context):
        account = await context.shared.store.directory.account(name)
        return None if account is None else account.account_id
    owners = [one.owner for one in await context.places.visible()]
    return next((owner.account_id for owner in owners if owner.login_name == name.lower()), None)


# --- setting


async def _may_set(context: Context) -> bool:
    setters = context.settings.quota_setters
    if not setters:
        return False
    quota = await _quotas(context).account_quota(context.mail.account_id, False)
    return quota.login_name in setters


async def _set(context: Context, command: SetQuota) -> bytes:
    """RFC 9208 §4.1.3: limits of the root that are not named are given up; what is more general goes for them then."""
    directory = context.shared.store.ability(IDirectoryStore)
    if directory is None or not await _may_set(context):
        raise NoPermission()
    limits = _limits(command.limits)
    if command.root.startswith("@"):

        def change_total(old: DomainQuota) -> DomainQuota:
            return DomainQuota(accounts=old.accounts, total=Limits(**limits))

        domain = await directory.change_domain_quota(command.root[1:], change_total)
        root = await _quotas(context).domain_total(domain.name)
    else:
        own = await _quotas(context).account_quota(context.mail.account_id, False)
        login_name = own.login_name if command.root == _OWN else command.root

        def change(old: Quota) -> Quota:
            return Quota(**limits, folders=dict(old.folders))

        try:
            account = await directory.change_account_quota(login_name, change)
        except NoSuchAccount:
            raise NoSuchEntry("There is no such quota root") from None
        root = (await _quotas(context).account_quota(account.account_id, False)).account
    context.connection.log.info(
        "{event} {address}: {limit}", event="imap.quota_set", address=command.root, limit=dict(command.limits)
    )
    told = _told(command.root, root)
    if told:
        context.out.append(told)
    return b"OK SETQUOTA completed"


def _limits(given: Mapping[str, int]) -> dict[str, int]:
    limits = {}
    for resource, limit in given.items():
        if resource not in _RESOURCES:
            raise Refusal(f"There is no limit of {resource} here")
        if not limit:
            raise Refusal("A limit of nothing at all cannot be set")
        limits[_RESOURCES[resource]] = limit * _UNIT if resource == "STORAGE" else limit
    if any(limit >= 1 << 63 for limit in limits.values()):
        raise PeerError("Limit too high")
    return limits


# --- what would become free


async def _with_deleted_size(mail: Any, mailbox: Mailbox) -> Mailbox:
    if not mailbox.deleted:
        return mailbox
    return evolve(mailbox, deleted_size=await mail.deleted_size(mailbox.mailbox_id))


def _deleted_storage(_: Context, mailbox: Mailbox) -> int:
    size = mailbox.deleted_size
    if size is None:
        # RFC 9208 §4.1.4: it may be an estimate. LIST asks nothing more of each mailbox.
        size = mailbox.size * mailbox.deleted // mailbox.messages if mailbox.deleted and mailbox.messages else 0
    return -(-size // _UNIT)


def _capabilities(standing: Standing) -> Iterable[str]:
    if not standing.logged_in:
        return ()
    offered = ("QUOTA", *[f"QUOTA=RES-{resource}" for resource in _RESOURCES])
    return (*offered, "QUOTASET") if standing.settings.quota_setters else offered


QUOTA = ImapExtension(
    "QUOTA",
    _capabilities,
    commands=(
        ImapCommand("GETQUOTA", AFTER_LOGIN, _get, _parse_root),
        ImapCommand("GETQUOTAROOT", AFTER_LOGIN, _get_root, _parse_mailbox),
        ImapCommand("SETQUOTA", AFTER_LOGIN, _set, _parse_set),
    ),
    # DELETED is in the base (RFC 9051 §6.3.11).
    status_items=(StatusItem("DELETED-STORAGE", _deleted_storage, first=_with_deleted_size),),
    position=31,
)
