"""The result of one signature, in the words of RFC 8601 §2.7.1."""

from __future__ import annotations

from enum import StrEnum

from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.interfaces.transient import transient


class DkimStatus(StrEnum):
    """The result words of the method ``dkim``."""

    NONE = "none"
    """The message is not signed."""
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    """The message or its signed fields are not what was signed."""
    POLICY = "policy"
    """Something about the signature is not acceptable here: a key too small, a body signed in part only."""
    NEUTRAL = "neutral"
    """The signature's syntax is wrong, or it is of a kind not known here."""
    TEMPERROR = "temperror"
    """The key could not be asked for now."""
    PERMERROR = "permerror"
    """It can never verify: no key, a revoked or broken one, From not signed, expired."""


BEST_FIRST = (
    DkimStatus.PASS,
    DkimStatus.TEMPERROR,
    DkimStatus.POLICY,
    DkimStatus.FAIL,
    DkimStatus.PERMERROR,
    DkimStatus.NEUTRAL,
    DkimStatus.NONE,
)


@transient
class DkimResult:
    """One signature's result. ``domain``, ``selector`` and the like are as the signature says, as far as it could be
    read; ``identity`` is its ``i=``. ``signature`` is the beginning of its ``b=`` (RFC 6008).

    ``testing``: the domain says that it only tries DKIM out (``t=y``). ``unsigned_octets`` of the body are not covered
    by its ``l=``.
    """

    status: DkimStatus
    reason: str = ""
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    signature: str = ""
    key_bits: int = 0
    testing: bool = False
    unsigned_octets: int = 0

    @property
    def passed(self) -> bool:
        """Whether the domain takes responsibility for the message."""
        return self.status is DkimStatus.PASS

    def as_row(self) -> dict[str, str]:
        """As commands print it."""
        return {
            "result": self.status.value,
            "domain": self.domain,
            "selector": self.selector,
            "reason": self.reason,
        }

    def as_method_result(self) -> MethodResult:
        """As Authentication-Results tells it. Source: RFC 8601 §2.7.1, RFC 6008 §4."""
        properties = (
            ("header.d", self.domain),
            ("header.i", self.identity),
            ("header.s", self.selector),
            ("header.a", self.algorithm),
            ("header.b", self.signature),
        )
        known = tuple(pair for pair in properties if pair[1])
        comment = f"{self.key_bits}-bit key" if self.key_bits else ""
        return MethodResult("dkim", self.status.value, self.reason, known, comment)


def best(results: list[DkimResult]) -> DkimResult:
    """The result that says most for the message; the first of equals."""
    return min(results, key=lambda result: BEST_FIRST.index(result.status))
