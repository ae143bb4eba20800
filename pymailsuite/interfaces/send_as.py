"""The addresses that accounts may send as."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.values import AccountId, Address


@frozen
class SendAsGrant:
    """An address that an account may send as though its mail does not come to it; with an empty ``local_part`` all
    addresses of the domain. Both are in lower case, the domain in A-labels."""

    domain: str
    local_part: str = ""

    def __str__(self) -> str:
        return str(Address(self.local_part, self.domain)) if self.local_part else f"@{self.domain}"


class ISendAsStore(Interface):
    """Grants by administrators. They end with the account."""

    def grant(account_id: AccountId, grant: SendAsGrant) -> Deferred[None]:
        """Let an account send as another address. AlreadyExists."""

    def revoke(account_id: AccountId, grant: SendAsGrant) -> Deferred[None]:
        """Take it back. NoSuchEntry."""

    def grants_of(login_name: str) -> Deferred[Sequence[SendAsGrant]]:
        """What an account may send as, by domain and local part; nothing for one that is not there."""

    def all_grants() -> Deferred[Sequence[tuple[str, SendAsGrant]]]:
        """Login names and what they may send as, in that order."""


class ISenderRights(Interface):
    """The addresses that a user may send as: that of the account, aliases that lead to it, and granted ones."""

    def not_allowed(login_name: str, addresses: Sequence[Address]) -> Deferred[Address | None]:
        """The first of the addresses that the user may not send as; None if the user may send as all of them. Fired
        already where no look-up is needed. StoreUnavailable."""
