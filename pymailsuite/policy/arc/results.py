"""The result for a chain, in the words of RFC 8617 §4.4."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from pymailsuite.interfaces.policy import MethodResult


class ChainStatus(StrEnum):
    """The chain validation status. Source: RFC 8617 §4.4."""

    NONE = "none"
    """No ARC field is there."""
    PASS = "pass"  # noqa: S105
    FAIL = "fail"


@frozen
class SealedHop:
    """The statement of one sealer. ``results`` is what follows ``i=N;`` in its ARC-Authentication-Results, on one
    line."""

    instance: int
    domain: str
    selector: str
    results: str


@frozen
class ArcResult:
    """The result for a chain. ``instance`` is its highest, 0 without one; ``hops`` are in order, only if it passed.

    ``temporary``: it failed for want of a DNS answer. ``ended``: its newest seal says ``cv=fail``, so nobody is to add
    to it.
    """

    status: ChainStatus
    reason: str = ""
    instance: int = 0
    hops: tuple[SealedHop, ...] = ()
    temporary: bool = False
    ended: bool = False

    @property
    def passed(self) -> bool:
        """Whether all its sealers vouch for what they saw."""
        return self.status is ChainStatus.PASS

    def as_row(self) -> dict[str, str | int]:
        """As commands print it."""
        return {"result": self.status.value, "instance": self.instance, "reason": self.reason}

    def as_method_result(self, remote_ip: str = "") -> MethodResult:
        """As Authentication-Results tells it. Source: RFC 8617 §10.1."""
        return MethodResult(
            "arc", self.status.value, self.reason, (("smtp.remote-ip", remote_ip),) if remote_ip else ()
        )
