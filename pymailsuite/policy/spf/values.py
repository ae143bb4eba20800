"""The words of SPF: results, identities, and what an evaluation found. Source: RFC 7208 §2.6."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from attrs import field, frozen

from pymailsuite.interfaces import MxRecord


class Result(enum.Enum):
    """The result of check_host(). Source: RFC 7208 §2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Identity(enum.Enum):
    """Which identity was checked, named as in Received-SPF. Source: RFC 7208 §9.1."""

    HELO = "helo"
    MAIL_FROM = "mailfrom"


def client_address(ip: str) -> IPv4Address | IPv6Address:
    """The client's address; an IPv4 address mapped into IPv6 is the IPv4 address (RFC 7208 §5). ValueError if none."""
    address = ip_address(ip.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@frozen
class Query:
    """The arguments of check_host() and what macros want besides. Source: RFC 7208 §4.1 and §7.

    ``domain`` is where the first record is looked for; ``local_part`` and ``sender_domain`` are the sender's;
    ``receiver`` is our name. Names are as the client gave them.
    """

    ip: IPv4Address | IPv6Address
    domain: str
    local_part: str
    sender_domain: str
    helo: str = ""
    receiver: str = "unknown"
    identity: Identity = Identity.MAIL_FROM

    @property
    def sender(self) -> str:
        """The whole sender."""
        return f"{self.local_part}@{self.sender_domain}"

    @classmethod
    def of_mail_from(cls, ip: str, sender: str, helo: str, receiver: str = "unknown") -> Query:
        """The check of MAIL FROM; with the null path it is that of HELO. ValueError if ``ip`` is no IP address.

        A sender without local part is postmaster there. Source: RFC 7208 §2.4 and §4.3.
        """
        if not sender:
            return cls.of_helo(ip, helo, receiver)
        local_part, _, domain = sender.rpartition("@")
        return cls(client_address(ip), domain, local_part or "postmaster", domain, helo, receiver or "unknown")

    @classmethod
    def of_helo(cls, ip: str, helo: str, receiver: str = "unknown") -> Query:
        """The check of HELO. ValueError if ``ip`` is no IP address. Source: RFC 7208 §2.3."""
        return cls(client_address(ip), helo, "postmaster", helo, helo, receiver or "unknown", Identity.HELO)


@frozen
class LookUp:
    """One question of an evaluation: ``kind`` is ``txt``, ``a``, ``aaaa``, ``mx`` or ``ptr``.

    ``outcome`` is ``found``, ``no such name``, ``no data`` or ``failed``; ``records`` are as IResolver has them.
    """

    kind: str
    name: str
    outcome: str
    records: tuple[Any, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(_shown(record) for record in self.records) or self.outcome
        return f"{self.kind.upper()} {self.name}: {shown}"


def _shown(record: Any) -> str:
    if isinstance(record, bytes):
        return repr(record)[1:]
    return f"{record.preference} {record.exchange or '.'}" if isinstance(record, MxRecord) else str(record)


@frozen
class Step:
    """One term of a record that was asked about, or a record that was read: what it said, and after which look-ups."""

    domain: str
    term: str
    outcome: str
    look_ups: tuple[LookUp, ...] = ()


@frozen
class Evaluation:
    """An evaluation by check_host().

    ``mechanism`` is the directive that matched, ``default`` if none did. ``reason`` is one line for operators.
    ``explanation`` is for the sender and only there when the result is fail; it is text of the sender's domain, at most
    ASCII, and has to be made harmless before it goes anywhere. ``is_own_explanation``: the domain has none, it is ours.
    ``good_for_s`` is how many seconds the same would be found for each sender of the domain whose local part is ASCII:
    the least TTL of what it rests on; 0 if it rests on the local part, on the time, or on what could not be looked up.
    """

    query: Query
    result: Result
    reason: str
    mechanism: str = ""
    explanation: str = ""
    is_own_explanation: bool = False
    trace: tuple[Step, ...] = field(default=(), repr=False)
    good_for_s: float = 0.0
