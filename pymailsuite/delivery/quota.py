"""What becomes of mail for accounts that are full.

At RCPT a recipient is refused whose account has no room, for as much as is known by then. Whether a message fits is
decided by the transaction that would store it: if it does not fit for some recipients, the plan is changed for these
alone, and carried out for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.errors import OverQuota, OverQuotaNow
from pymailsuite.interfaces import LocalRecipient
from pymailsuite.interfaces.delivery import (
    DeliveryAction,
    Place,
    PlannedRecipient,
    Refuse,
    SendOn,
    Transmission,
)
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.quota import IQuotaStore, IRecipientQuotas
from pymailsuite.values import AccountId, Address

STEP = "quota"
"""The name under which what is decided here is told."""


@implementer(IRecipientQuotas)
class RecipientQuotas:
    """Knows whether mail fits, and what a full account's mail comes to by the settings."""

    def __init__(self, settings: QuotaSettings, quotas: IQuotaStore) -> None:
        self._quotas = quotas
        self._defers = settings.over_quota == "defer"
        self._is_general = bool(settings.storage or settings.messages)

    def concern(self, resolved: Recipients) -> bool:
        """As the interface says."""
        for one in resolved:  # noqa: SIM110 (a generator would be a call more for each recipient)
            if isinstance(one, LocalRecipient) and (self._is_general or one.has_quota):
                return True
        return False

    def refusal(self, resolved: Recipients, octets: int) -> Deferred[OverQuota | None]:
        """As the interface says."""
        return Deferred.fromCoroutine(self._refusal(resolved, octets))

    async def _refusal(self, resolved: Recipients, octets: int) -> OverQuota | None:
        copies = [(one.account_id, one.mailbox) for one in resolved if isinstance(one, LocalRecipient)]
        if len(copies) < len(resolved):
            return None
        over = await self.without_room(copies, max(octets, 1))
        if len(over) < len({account_id for account_id, _ in copies}):
            return None
        return self.error_of(next(iter(over.values())))

    def without_room(
        self, copies: Sequence[tuple[AccountId, str]], octets: int
    ) -> Deferred[Mapping[AccountId, OverQuota]]:
        """As :meth:`IQuotaStore.without_room`."""
        return self._quotas.without_room(copies, octets)

    def error_of(self, over: OverQuota) -> OverQuota:
        """The error that a sender is told. Numbers are for the log and the history alone."""
        kind = OverQuotaNow if self._defers else OverQuota
        return kind(cause=over.cause, account_ids=over.account_ids)

    def actions(
        self, recipients: Sequence[PlannedRecipient], over: OverQuota, reverse_path: Address | None
    ) -> list[DeliveryAction] | None:
        """What is to become of the recipients a message does not fit for; None: of no other is anything left."""
        full = [one for one in recipients if _is_among(one, over)]
        if all(one in full or not (one.placements or one.transmissions) for one in recipients):
            return None
        if not self._defers:
            error = self.error_of(over)
            return [Refuse(one, error, over.cause) for one in full]
        actions: list[DeliveryAction] = []
        for one in full:
            assert one.target is not None, "only accounts are full"
            waiting = (*one.transmissions, Transmission(one.target.address, reverse_path))
            actions += [SendOn(one, waiting, over.cause), Place(one, (), over.cause)]
        return actions


def _is_among(recipient: PlannedRecipient, over: OverQuota) -> bool:
    target = recipient.target
    return bool(recipient.placements) and isinstance(target, LocalRecipient) and target.account_id in over.account_ids
