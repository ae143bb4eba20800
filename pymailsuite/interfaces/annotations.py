"""Annotations of mailboxes and of accounts: small values that clients keep under names. Source: RFC 5464.

An entry is named ``/private/...`` or ``/shared/...``, in lower case: private ones are those of one user, whichever
account the mailbox belongs to, shared ones are the same for all who may read the mailbox.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.values import AccountId, MailboxId, SpecialUse

PRIVATE: Final = "/private"
SHARED: Final = "/shared"
SPECIAL_USE: Final = "/private/specialuse"
"""What a mailbox is for, as LIST tells it: setting it changes that. Source: RFC 6154 §4."""


def uses_value(uses: Iterable[SpecialUse]) -> bytes:
    """The value of SPECIAL_USE."""
    return " ".join(use.value for use in uses).encode("ascii")


class IAnnotations(Interface):
    """The ability of a store to keep annotations.

    ``owner_id`` is the account that a mailbox belongs to, ``name`` what it is called there, ``by`` the user; without a
    name the annotations are those of the user's account. NoSuchMailbox, NoPermission: reading takes the rights LOOKUP
    and READ, changing shared ones WRITE too (RFC 5464 §3.3).
    """

    def annotations(owner_id: AccountId, name: str | None, by: AccountId) -> Deferred[Mapping[str, bytes]]:
        """All that the user may read, by entry."""

    def annotations_of_all(
        by: AccountId, owner_ids: Collection[AccountId], entries: Collection[str]
    ) -> Deferred[Mapping[tuple[AccountId, MailboxId], Mapping[str, bytes]]]:
        """These entries of all mailboxes of some accounts, without a look at rights, and without SPECIAL_USE.
        LimitReached if there is too much."""

    def annotate(
        owner_id: AccountId, name: str | None, by: AccountId, values: Mapping[str, bytes | None]
    ) -> Deferred[None]:
        """Set entries, and remove those whose value is None: all or nothing. AnnotationTooLong, TooManyAnnotations;
        UnsupportedUse for a SPECIAL_USE that there is not."""
