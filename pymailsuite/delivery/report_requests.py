"""What a sender asks of reports (RFC 3461): the part that is passed on with the mail, and the part that is done here.

Mail for an address that leads to one other is sent on with all requests: the last host reports on it. For an address
that leads to several, success is reported once and here, as an expansion, and the other requests are passed on to each
(RFC 3461 §5.2.7). Mail that is sent on keeps its sender, if need be in a return path of ours (SRS), so that reports on
it reach the sender: aliases are no mailing lists, which resend mail in their own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pymailsuite.interfaces import LocalRecipient, Notify
from pymailsuite.interfaces.delivery import PlannedRecipient
from pymailsuite.interfaces.queue import SuccessKind
from pymailsuite.values import Address, Envelope

Requests = Mapping[Address, tuple[Notify, str]]
"""NOTIFY and ORCPT, by the address that was given."""

NO_REQUEST: Final = (Notify.UNSAID, "")
NO_REQUESTS: Final[Requests] = {}


def requests_of(envelope: Envelope) -> Requests:
    """The requests of RCPT."""
    said = envelope.recipient_parameters
    return {address: (each.get("NOTIFY", Notify.UNSAID), each.get("ORCPT", "")) for address, each in said.items()}


def requests_to_go_along(requests: Requests, recipients: Sequence[PlannedRecipient]) -> Requests:
    """The requests to pass on with the mail."""
    return {
        given: (notify if len(_ends(given, recipients)) <= 1 else notify.without_success, original)
        for given, (notify, original) in requests.items()
    }


def successes(requests: Requests, recipients: Sequence[PlannedRecipient]) -> Mapping[Address, SuccessKind]:
    """The successes to report to the sender once the message is accepted.

    There is none for an address if a part of its mail is refused, which is reported, or if all of it is discarded."""
    found = {}
    for given, (notify, _) in requests.items():
        if Notify.SUCCESS not in notify:
            continue
        mine = [one for one in recipients if one.given == given]
        if any(one.refusal for one in mine) or all(one.discarded for one in mine):
            continue
        if len(_ends(given, recipients)) > 1:
            found[given] = SuccessKind.EXPANDED
        elif not any(one.transmissions for one in mine):
            found[given] = SuccessKind.DELIVERED
    return found


def _ends(given: Address, recipients: Sequence[PlannedRecipient]) -> set[object]:
    """The accounts and the addresses elsewhere to which mail for the address goes."""
    ends: set[object] = set()
    for one in recipients:
        if one.given == given:
            if isinstance(one.target, LocalRecipient) and (one.placements or not one.transmissions):
                ends.add(one.target.account_id)
            ends.update([each.address for each in one.transmissions])
    return ends
