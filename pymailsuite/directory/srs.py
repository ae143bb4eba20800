"""Return paths of forwarded mail: the Sender Rewriting Scheme.

``SRS0=hash=time=host=user@forwarder`` stands for ``user@host``. What another forwarder has rewritten so becomes
``SRS1=hash=first==hash=time=host=user@forwarder``, which leads back to the first one however many come after: a path
never grows longer than that. The hash is ours to check, so its length and making are nobody else's business; here it
has 40 bits, and case does not count. ``time`` is a day modulo 1024.

A local part has at most 64 octets (RFC 5321 §4.5.3.1.1), and hosts do refuse longer ones. For an address that does not
fit, ``SRS0=hash=time==token@forwarder`` names a token, by which the store knows it. To other forwarders this is a path
like any other.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pymailsuite.directory.signed_paths import NotOurReturnPath, day_of, is_signature, signature
from pymailsuite.values import Address

_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PERIOD_DAYS: Final = 1024
_SEPARATORS: Final = "=+-"
"""What may follow SRS0 and SRS1 in other forwarders' paths; we write the first."""


def _is_tagged(local_part: str, tag: str) -> bool:
    return local_part[:4].upper() == tag and local_part[4:5] in _SEPARATORS and len(local_part) > 5


def is_rewritten(address: Address) -> bool:
    """Whether it has the form of a rewritten return path of ours."""
    return address.local_part[:5].upper() in ("SRS0=", "SRS1=")


def _stamp(day: int) -> str:
    day %= _PERIOD_DAYS
    return _BASE32[day >> 5] + _BASE32[day & 31]


def _day(stamp: str) -> int | None:
    stamp = stamp.lower()
    if len(stamp) != 2 or not all(letter in _BASE32 for letter in stamp):
        return None
    return _BASE32.index(stamp[0]) << 5 | _BASE32.index(stamp[1])


@frozen(repr=False)
class SenderRewriting:
    """Rewrites and restores return paths with a ``secret``; those older than ``life_days`` are no longer restored."""

    secret: bytes
    life_days: int

    def rewrite(self, sender: Address, domain: str, now: float) -> Address:
        """The return path at ``domain`` that stands for ``sender``; ``now`` is POSIX seconds."""
        known = self.bounces_to(sender)
        local_part = known.local_part
        if _is_tagged(local_part, "SRS0"):
            return self._second(known.domain, local_part[4:], domain, sender.unquoted)
        stamp = _stamp(day_of(now))
        mark = signature(self.secret, "SRS0", stamp, sender.domain, local_part)
        return Address(f"SRS0={mark}={stamp}={sender.domain}={local_part}", domain, sender.unquoted)

    def bounces_to(self, sender: Address) -> Address:
        """Where mail goes that comes back to the path of ``sender``: past all forwarders but the first."""
        pieces = sender.local_part[5:].split("=", 2)
        if _is_tagged(sender.local_part, "SRS1") and len(pieces) == 3 and pieces[2][:1] in _SEPARATORS and pieces[1]:
            return Address(f"SRS0{pieces[2]}", pieces[1].lower(), sender.unquoted)
        return sender

    def _second(self, first: str, rest: str, domain: str, unquoted: bool) -> Address:
        return Address(f"SRS1={signature(self.secret, 'SRS1', first, rest)}={first}={rest}", domain, unquoted)

    def name(self, token: str, domain: str, now: float) -> Address:
        """The return path at ``domain`` that names a token; ``now`` is POSIX seconds."""
        stamp = _stamp(day_of(now))
        return Address(f"SRS0={signature(self.secret, 'SRS0-token', stamp, token)}={stamp}=={token}", domain)

    def token(self, address: Address, now: float) -> str | None:
        """The token that a return path names; None if it has none. NotOurReturnPath."""
        pieces = address.local_part[5:].split("=", 3)
        if address.local_part[:5].upper() != "SRS0=" or len(pieces) != 4 or pieces[2]:
            return None
        mark, stamp, _, token = pieces
        if not is_signature(mark, self.secret, "SRS0-token", stamp, token):
            raise NotOurReturnPath
        self._check_age(stamp, now)
        return token.lower()

    def restore(self, address: Address, now: float) -> Address:
        """What a return path without a token stands for. NotOurReturnPath."""
        if address.local_part[:5].upper() == "SRS0=":
            return self._restore_first(address, now)
        pieces = address.local_part[5:].split("=", 2)
        if not is_rewritten(address) or len(pieces) != 3:
            raise NotOurReturnPath
        mark, first, rest = pieces
        if not is_signature(mark, self.secret, "SRS1", first, rest):
            raise NotOurReturnPath
        # It has no time of its own: the first forwarder checks the one it gave.
        return Address(f"SRS0{rest}", first.lower(), address.unquoted)

    def _restore_first(self, address: Address, now: float) -> Address:
        pieces = address.local_part[5:].split("=", 3)
        if len(pieces) != 4:
            raise NotOurReturnPath
        mark, stamp, host, user = pieces
        if not is_signature(mark, self.secret, "SRS0", stamp, host, user):
            raise NotOurReturnPath
        self._check_age(stamp, now)
        return Address(user, host.lower(), address.unquoted)

    def _check_age(self, stamp: str, now: float) -> None:
        day = _day(stamp)
        if day is None:
            raise NotOurReturnPath
        if (day_of(now) - day) % _PERIOD_DAYS > self.life_days:
            raise NotOurReturnPath(cause="expired")
