"""Mailboxes that users share: who may do what, and the mail of others as a user may use it.

A mailbox of another account is used through an :class:`~pymailsuite.interfaces.mail.IAccountMail` that is made for the
pair of owner and user: each of its methods checks the rights of the user in its own transaction, so that a right that
was taken away counts at once. It raises NoPermission where a right is missing, and NoSuchMailbox where the right to
know of the mailbox is missing too, as for a mailbox that is not there. The owner always has all rights: nobody can be
locked out of a mailbox of his own (RFC 4314 §2 leaves that to servers), and own mail is used without a look at rights.

``\\Seen`` belongs to the user: in mailboxes of others each has a ``\\Seen`` of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.mail import Copied, IAccountMail, Mailbox
from pymailsuite.interfaces.rights import ALL_RIGHTS, CHANGING, NO_RIGHTS, Right, Rights
from pymailsuite.values import AccountId, MailboxId, UidSet

__all__ = [
    "ALL_RIGHTS",
    "ANYONE",
    "CHANGING",
    "NO_RIGHTS",
    "OWNER",
    "AclEntry",
    "IMailSharing",
    "Identifier",
    "IdentifierKind",
    "Owner",
    "Right",
    "Rights",
    "RightsChange",
    "SharedMailbox",
]


class IdentifierKind(enum.Enum):
    """What an identifier stands for."""

    OWNER = "owner"
    ANYONE = "anyone"
    """Every account of the server."""
    USER = "user"
    GROUP = "group"


@frozen
class Identifier:
    """Who has rights: RFC 4314 §2. ``name`` is the login name of a user, or the name of a group; else empty.

    ``str()`` is the form that clients and commands use: ``owner``, ``anyone``, the login name, ``group=NAME``."""

    kind: IdentifierKind
    name: str = ""

    def __str__(self) -> str:
        if self.kind is IdentifierKind.GROUP:
            return f"{_GROUP}{self.name}"
        return self.name or self.kind.value

    @classmethod
    def parse(cls, text: str) -> Identifier:
        """Of its form; ``user=NAME`` is that user, whatever the name. ValueError for an empty name."""
        if text in {OWNER.kind.value, ANYONE.kind.value}:
            return OWNER if text == OWNER.kind.value else ANYONE
        if text.startswith(_GROUP):
            identifier = cls(IdentifierKind.GROUP, text.removeprefix(_GROUP).lower())
        else:
            identifier = cls(IdentifierKind.USER, text.removeprefix(_USER).lower())
        if not identifier.name:
            raise ValueError(f"an identifier without a name: {text!r}")
        return identifier


_GROUP: Final = "group="
_USER: Final = "user="
OWNER: Final = Identifier(IdentifierKind.OWNER)
ANYONE: Final = Identifier(IdentifierKind.ANYONE)


@frozen
class AclEntry:
    """The rights that an identifier gives, or with ``negative`` takes from those whom it stands for."""

    identifier: Identifier
    rights: Rights
    negative: bool = False


class RightsChange(enum.Enum):
    """What becomes of the rights of an entry. Source: RFC 4314 §3.1."""

    REPLACE = ""
    ADD = "+"
    REMOVE = "-"


@frozen
class Owner:
    """The account that mailboxes belong to. ``is_shared``: nobody logs in to it, and its mailboxes stand in the shared
    namespace instead of those of other users."""

    account_id: AccountId
    login_name: str
    is_shared: bool = False


@frozen
class SharedMailbox:
    """A mailbox of another account, as it is for the user that asked: ``mailbox.unseen`` counts by the user's own
    ``\\Seen``, ``mailbox.rights`` are those of the user."""

    owner: Owner
    mailbox: Mailbox

    @property
    def rights(self) -> Rights:
        """What the user may do with it."""
        return self.mailbox.rights


class IMailSharing(Interface):
    """The ability of a store to share mailboxes among accounts.

    ``by`` is the account that acts, None an operator, who may do all. A mailbox is named as its owner's account names
    it. NoSuchMailbox also where ``by`` has no right to know of the mailbox or account.
    """

    def visible_to(account_id: AccountId) -> Deferred[Sequence[SharedMailbox]]:
        """Mailboxes of other accounts that it has the right LOOKUP for, by login name of the owner and name."""

    def own_and_visible_to(account_id: AccountId) -> Deferred[tuple[Sequence[Mailbox], Sequence[SharedMailbox]]]:
        """Its own mailboxes, by name, and those of :meth:`visible_to`, at one moment."""

    def owner(login_name: str) -> Deferred[Owner | None]:
        """The account of that name, whether or not it shares anything: what its mail says to a user without rights is
        the same as if there were no account."""

    def account_mail_for(owner_id: AccountId, user_id: AccountId) -> IAccountMail:
        """The mail of the owner as this user may use it; cheap, holds nothing open. The user's own if it is the
        owner."""

    def copy(
        by: AccountId, source: AccountId, mailbox_id: MailboxId, uids: UidSet, target: AccountId, name: str
    ) -> Deferred[Copied]:
        """As :meth:`IAccountMail.copy`, from an account into the mailbox ``name`` of the account ``target``, in one
        transaction. Flags that ``by`` may not set there are left out (RFC 4314 §4); ``\\Seen`` is that of ``by``."""

    def move(
        by: AccountId, source: AccountId, mailbox_id: MailboxId, uids: UidSet, target: AccountId, name: str
    ) -> Deferred[Copied]:
        """As copy, and gone from the source, in the same transaction."""

    # --- who may do what

    def my_rights(owner_id: AccountId, name: str, by: AccountId) -> Deferred[Rights]:
        """The rights of ``by`` (MYRIGHTS). NoSuchMailbox if there are none that let it know of the mailbox."""

    def acl(owner_id: AccountId, name: str, by: AccountId | None) -> Deferred[Sequence[AclEntry]]:
        """All entries: the owner's first unless the account is a shared one, then by identifier, positive ones before
        negative ones. NoPermission without ADMINISTER."""

    def set_rights(
        owner_id: AccountId,
        name: str,
        by: AccountId | None,
        entry: AclEntry,
        change: RightsChange,
    ) -> Deferred[None]:
        """Change the entry of ``entry.identifier``, positive or negative, by its rights; without any left it is gone
        (DELETEACL is to replace by none).

        NoPermission without ADMINISTER; Refusal for the owner, whose rights are fixed, and for an identifier that
        stands for nobody; LimitReached if there are too many entries."""
