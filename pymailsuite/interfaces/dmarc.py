"""The data of DMARC reports: written to the store, and read when a report is due."""

from __future__ import annotations

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen
class ReportedPolicy:
    """A published policy as reports show it. ``rua`` are (mail address, octets at most or None).

    ``discovery`` is ``psl`` or ``treewalk``. Source: RFC 7489 appendix C (PolicyPublishedType), RFC 9990 appendix A.
    """

    domain: str
    p: str
    sp: str = ""
    np: str = ""
    adkim: str = "r"
    aspf: str = "r"
    pct: int = 100
    fo: str = "0"
    testing: bool = False
    discovery: str = "psl"
    rua: tuple[tuple[str, int | None], ...] = ()


@frozen
class ReportedRow:
    """The results for a message, without any part of the message itself. Rows that are equal are counted.

    ``overrides`` are (type, comment); ``auth_dkim`` (domain, selector, result); ``auth_spf`` (domain, scope, result).
    """

    source_ip: str
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    auth_dkim: tuple[tuple[str, str, str], ...] = ()
    auth_spf: tuple[tuple[str, str, str], ...] = ()


@frozen
class DomainDay:
    """The results collected for one domain on one day. ``day`` counts days since 1970, in UTC; ``rows`` have
    numbers."""

    day: int
    policy: ReportedPolicy
    rows: tuple[tuple[ReportedRow, int], ...] = ()


class IDmarcStore(Interface):
    """Results waiting to be reported, shared by all nodes."""

    def note(day: int, policy: ReportedPolicy, row: ReportedRow) -> Deferred[None]:
        """Count a message. The policy noted last is the one reported."""

    def claim(before_day: int, lease_s: float, rows_max: int) -> Deferred[DomainDay | None]:
        """A domain's results of a day before ``before_day``, the oldest first, which no other caller gets for
        ``lease_s`` seconds; its ``rows_max`` most frequent rows. None if nothing waits."""

    def finish(day: int, domain: str) -> Deferred[None]:
        """The report has been handed on, or is not wanted: forget its results."""


@frozen
class FailedMessage:
    """One message as a failure report tells of it, to ``ruf``: (mail address, octets at most or None).

    ``domain`` is that of the policy. ``reverse_path`` and ``spf_domain`` (SPF failed for it) are empty unless they are
    of the author's organization. ``failed`` names the methods that found no aligned identity, ``signature`` is
    (domain, identity, selector) of an aligned one that failed. ``header`` holds the fields that are shown, in latin-1.
    """

    domain: str
    ruf: tuple[tuple[str, int | None], ...]
    header_from: str
    source_ip: str
    reverse_path: str
    arrived_at: float
    failed: tuple[str, ...]
    authentication_results: str
    signature: tuple[str, str, str] | None
    spf_domain: str
    header: str = field(repr=False)


@frozen
class ClaimedFailure:
    """A message that is to be reported, and how many came that were like it, itself among them."""

    digest: bytes
    message: FailedMessage
    incidents: int


class IFailureStore(Interface):
    """Messages that failed, waiting to be reported, shared by all nodes."""

    def note(failed: FailedMessage, digest: bytes, of_domain_max: int, in_all_max: int) -> Deferred[None]:
        """Keep a message, or count it if one of the same ``digest`` waits; forget it if so many of its domain wait, or
        of all domains: a sender of such messages may have any number of domains."""

    def claim(lease_s: float) -> Deferred[ClaimedFailure | None]:
        """A message that no other caller gets for ``lease_s`` seconds; None if nothing waits."""

    def finish(domain: str, digest: bytes) -> Deferred[None]:
        """It has been reported, or is not to be: forget it."""
