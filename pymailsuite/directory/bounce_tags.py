"""Tagged return paths of our own mail: Bounce Address Tag Validation.

``prvs=0DDDssssss=user@domain`` is ``user@domain`` with a tag: the last three digits of the day on which it expires, and
a signature. Only this server can make one, so a bounce to such an address is about mail that was sent from here.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from pymailsuite.directory.signed_paths import NotOurReturnPath, day_of, is_signature, signature
from pymailsuite.values import Address

_START: Final = "prvs="
_KEY: Final = "0"
_PERIOD_DAYS: Final = 1000


def is_tagged(address: Address) -> bool:
    """Whether it has the form of a tagged address."""
    return address.local_part[:5].lower() == _START


@frozen(repr=False)
class BounceTags:
    """Tags addresses with a ``secret``, for ``life_days``."""

    secret: bytes
    life_days: int

    def tag(self, address: Address, now: float) -> Address:
        """The address with its tag; ``now`` is POSIX seconds."""
        day = f"{(day_of(now) + self.life_days) % _PERIOD_DAYS:03}"
        mark = signature(self.secret, *_signed(day, address))
        return evolve(address, local_part=f"{_START}{_KEY}{day}{mark}={address.local_part}")

    def untag(self, address: Address, now: float) -> Address:
        """The address without its tag. NotOurReturnPath if that is not ours, or has expired."""
        tag, separator, local_part = address.local_part[len(_START) :].partition("=")
        day, mark = tag[1:4], tag[4:]
        plain = evolve(address, local_part=local_part)
        if not (is_tagged(address) and separator and local_part and day.isascii() and day.isdigit()):
            raise NotOurReturnPath
        if tag[0] != _KEY or not is_signature(mark, self.secret, *_signed(day, plain)):
            raise NotOurReturnPath
        if (int(day) - day_of(now)) % _PERIOD_DAYS > self.life_days:
            raise NotOurReturnPath(cause="expired")
        return plain


def _signed(day: str, address: Address) -> tuple[str, ...]:
    """What a tag is the signature of."""
    return "prvs", day, address.local_part, address.domain
