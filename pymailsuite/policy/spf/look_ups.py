"""Questions of one evaluation: remembered for the trace, counted where they find nothing, bounded in all."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver
from pymailsuite.policy.spf.macros import NAME_MAX
from pymailsuite.policy.spf.values import LookUp

_NAME: Final = re.compile(r"(?:[^.]{1,63}\.)*[^.]{1,63}", re.DOTALL)


class LimitExceeded(Exception):
    """One of the limits of RFC 7208 §4.6.4: the result is permerror."""


def is_name(name: str) -> bool:
    """Whether a question can be made of it: labels of 1 to 63 octets, 253 in all. Source: RFC 1035 §2.3.4."""
    return len(name) <= NAME_MAX and _NAME.fullmatch(name) is not None


class LookUps:
    """Asks ``resolver``; ``taken()`` are the look-ups since it was called last."""

    def __init__(self, resolver: IResolver, void_max: int) -> None:
        self._ask = {
            "txt": resolver.txt,
            "a": resolver.a,
            "aaaa": resolver.aaaa,
            "mx": resolver.mx,
            "ptr": resolver.ptr,
        }
        self._void_max = void_max
        self._void = 0
        self._made: list[LookUp] = []
        self.ttl_s = math.inf
        """The least TTL of all answers; 0 if one could not be had."""

    def taken(self) -> tuple[LookUp, ...]:
        """What was asked since the last call."""
        if not self._made:
            return ()
        made, self._made = tuple(self._made), []
        return made

    async def records(self, kind: str, name: str, *, may_be_void: bool = False) -> tuple[Any, ...]:
        """The records of a name, for ``ptr`` of an IP address; none for what can be no name, which is not asked for.

        DnsFailure as the resolver has it; LimitExceeded for one look-up without an answer too many, unless it
        ``may_be_void``.
        """
        if kind != "ptr" and not is_name(name):
            self._made.append(LookUp(kind, name, "not a name"))
            return ()
        try:
            answer = await self._ask[kind](name)
        except DnsFailure:
            self._made.append(LookUp(kind, name, "failed"))
            self.ttl_s = 0
            raise
        records: tuple[Any, ...] = answer.records
        self.ttl_s = min(self.ttl_s, answer.ttl_s)
        if records:
            self._made.append(LookUp(kind, name, "found", records))
            return records
        self._made.append(LookUp(kind, name, "no data" if answer.exists else "no such name"))
        if not may_be_void:
            self.count_void()
        return ()

    def count_void(self) -> None:
        """One more term whose look-up found nothing. LimitExceeded."""
        self._void += 1
        if self._void > self._void_max:
            raise LimitExceeded(f"more than {self._void_max} look-ups found nothing")
