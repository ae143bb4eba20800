"""Where the name of a mailbox leads: to which account's mail, and to which name in the store."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen

from pymailsuite.errors import NoSuchMailbox, Refusal
from pymailsuite.imap.naming import MailboxName, Namespace, Naming, of_subscription
from pymailsuite.imap.render import NameForm
from pymailsuite.interfaces import IImapAvatar, Mailbox
from pymailsuite.interfaces.sharing import Owner, SharedMailbox
from pymailsuite.values import DELIMITER, AccountId


class OutsideOfNamespaces(Refusal):
    """No mailbox can be made of that name. Source: RFC 5530 (CANNOT)."""

    text = "Mailbox name is outside of your namespace"


@frozen
class MailboxPlace:
    """A name that a client gave, resolved; whether there is a mailbox is not known yet.

    ``mail`` is the IAccountMail to ask for the mailbox called :attr:`name`: the user's own, or that of another account
    as far as the user has rights there. ``wire`` is the name as clients are told it.
    """

    mail: Any
    full_name: MailboxName
    wire: str
    asked: str
    """The name as the client wrote it."""

    @property
    def name(self) -> str:
        """The name in the store."""
        return self.full_name.name

    @property
    def was_normalized(self) -> bool:
        """True if the mailbox has another name than the client wrote, of the same characters."""
        same = unicodedata.normalize("NFC", self.asked) == unicodedata.normalize("NFC", self.wire)
        return same and self.asked != self.wire

    @property
    def account_id(self) -> AccountId:
        """The account that the mailbox belongs to."""
        account_id: AccountId = self.mail.account_id
        return account_id


class Places:
    """Resolves the names that one user gives."""

    __slots__ = ("_account_id", "_login_name", "_mail", "_sharing", "form", "naming")

    def __init__(self, naming: Naming, sharing: Any, avatar: IImapAvatar) -> None:
        """``sharing`` is the store's IMailSharing, or None."""
        self.naming = naming
        self.form = NameForm(naming.profile.delimiter)
        self._sharing = sharing
        self._account_id: AccountId = avatar.account.account_id
        self._login_name: str = avatar.account.login_name
        self._mail = avatar.mail

    async def find(self, wire: str) -> MailboxPlace:
        """The place of a mailbox that is or was there. NoSuchMailbox if there can be none of that name."""
        place = await self._of_others(wire) or self._own(wire)
        if place is None:
            raise NoSuchMailbox()
        return place if wire.isascii() else await self._normalized(place)

    async def find_new(self, wire: str) -> MailboxPlace:
        """The place of a mailbox that is to be made. OutsideOfNamespaces if that is impossible; NoSuchMailbox where
        another account would have to be there, as for one that shares nothing with the user."""
        place = await self._of_others(wire)
        if place is None and self.naming.of_others(wire, self._login_name) is not None:
            raise NoSuchMailbox()
        if place is None and not self.naming.is_reserved(wire):
            place = self._own(wire)
        if place is None:
            raise OutsideOfNamespaces()
        return place if wire.isascii() else await self._normalized(place)

    async def _normalized(self, place: MailboxPlace) -> MailboxPlace:
        """The place under the name that is stored, or under the normalized one where none is.

        New mailboxes have normalized names (NFC: RFC 9051 §5.1, RFC 5198 §3), but other names may be in the store.
        """
        composed, decomposed = (unicodedata.normalize(form, place.name) for form in ("NFC", "NFD"))
        if composed == decomposed == place.name:
            return place
        for name in dict.fromkeys((place.name, composed, decomposed)):
            try:
                await place.mail.mailbox(name)
            except NoSuchMailbox:
                continue
            return self._renamed(place, name)
        return self._renamed(place, composed)

    def subscription(self, wire: str) -> str:
        """The form in which a subscription is kept, whether or not there is such a mailbox. NoSuchMailbox."""
        name = self.naming.of_others(wire, self._login_name)
        if name is not None:
            return name.as_subscription()
        own = self._own(wire)
        if own is None:
            raise NoSuchMailbox()
        return own.name

    def kept_above(self, wire: str) -> str | None:
        """What the kept subscriptions of a mailbox and of all below it begin with; None if there can be no such
        mailbox. A namespace of others, and all mailboxes of another account, count as a mailbox here."""
        naming, delimiter = self.naming, self.naming.profile.delimiter
        if not naming.is_reserved(wire):
            own = self._own(wire)
            return None if own is None else own.name
        # A further level makes the name that of a mailbox; it is taken off again.
        for levels in range(3):
            name = naming.of_others(delimiter.join((wire, *["-"] * levels)), self._login_name)
            if name is not None:
                kept = name.as_subscription()
                return DELIMITER.join(kept.split(DELIMITER)[:-levels]) if levels else kept
        return None

    def kept_of_others(self, owner: Owner, name: str) -> tuple[str, str]:
        """What the kept subscriptions of all mailboxes of another account begin with, and that of one of them."""
        kept = MailboxName(name, _namespace_of(owner), owner.login_name).as_subscription()
        return kept.removesuffix(name), kept

    def mail_of(self, owner: Owner) -> Any:
        """The IAccountMail of another account as far as the user has rights there."""
        return self._sharing.account_mail_for(owner.account_id, self._account_id)

    async def visible(self) -> Sequence[SharedMailbox]:
        """Mailboxes of other accounts that the user has the right to know of."""
        if self._sharing is None:
            return ()
        shared: Sequence[SharedMailbox] = await self._sharing.visible_to(self._account_id)
        return shared

    async def own_and_visible(self) -> tuple[Sequence[Mailbox], Sequence[SharedMailbox]]:
        """The user's own mailboxes too, in one read. Only where the store shares mailboxes."""
        both: tuple[Sequence[Mailbox], Sequence[SharedMailbox]]
        both = await self._sharing.own_and_visible_to(self._account_id)
        return both

    def wire_of_others(self, owner: Owner, name: str) -> str:
        """What the user calls a mailbox of another account, there called ``name``."""
        return self._wire(MailboxName(name, _namespace_of(owner), owner.login_name))

    def wire_of_subscription(self, kept: str) -> str:
        """The name of a subscription, of :meth:`subscription`, as the user writes it."""
        return self._wire(of_subscription(kept))

    def _wire(self, name: MailboxName) -> str:
        return self.naming.wire(name, self._login_name)

    def _own(self, wire: str) -> MailboxPlace | None:
        profile = self.naming.profile
        name = profile.personal(wire)
        return None if name is None else MailboxPlace(self._mail, MailboxName(name), profile.wire(name), wire)

    def _renamed(self, place: MailboxPlace, name: str) -> MailboxPlace:
        full_name = evolve(place.full_name, name=name)
        return evolve(place, full_name=full_name, wire=self._wire(full_name))

    async def _of_others(self, wire: str) -> MailboxPlace | None:
        name = self.naming.of_others(wire, self._login_name)
        if name is None:
            return None
        owner: Owner | None = await self._sharing.owner(name.owner)
        if owner is None or owner.account_id == self._account_id:
            return None
        if _namespace_of(owner) is not name.namespace:
            return None
        mail = self._sharing.account_mail_for(owner.account_id, self._account_id)
        return MailboxPlace(mail, name, self._wire(name), wire)


def _namespace_of(owner: Owner) -> Namespace:
    return Namespace.SHARED if owner.is_shared else Namespace.OTHERS
