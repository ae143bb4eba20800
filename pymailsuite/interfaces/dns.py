"""DNS look-ups."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.transient import transient


@frozen
class MxRecord:
    """One MX record: ``exchange`` without the final dot, ``""`` for the null MX ``.`` (RFC 7505)."""

    preference: int
    exchange: str


@frozen
class SrvRecord:
    """One SRV record: ``target`` without the final dot, ``""`` for ``.``: the service is not there (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@transient
class Answer:
    """A successful look-up. Empty ``records`` is "no data" (the name exists, or may, without this type).

    ``exists`` False is "no such name" (NXDOMAIN). ``secure`` is the AD bit of a trusted resolver. ``ttl_s`` is the
    least TTL on the way.
    """

    records: tuple[Any, ...]
    exists: bool = True
    secure: bool = False
    ttl_s: int = 0


class IResolver(Interface):
    """DNS look-ups. Names are absolute, with or without the final dot, in Unicode or A-labels.

    Each answers an :class:`Answer` or fails with :class:`~pymailsuite.errors.DnsFailure` (timeout, SERVFAIL, bogus):
    "no such name", "no data" and "failed" are three answers.
    """

    def mx(name: str) -> Deferred[Answer]:
        """``records`` are MxRecord."""

    def a(name: str) -> Deferred[Answer]:
        """``records`` are IPv4 addresses, text."""

    def aaaa(name: str) -> Deferred[Answer]:
        """``records`` are IPv6 addresses, text."""

    def txt(name: str) -> Deferred[Answer]:
        """``records`` are bytes, the strings of each record joined."""

    def ptr(ip: str) -> Deferred[Answer]:
        """``records`` are host names, without the final dot, of an IPv4 or IPv6 address."""

    def srv(name: str) -> Deferred[Answer]:
        """``records`` are SrvRecord."""

    def tlsa(name: str) -> Deferred[Answer]:
        """``records`` are tuples (usage, selector, matching_type, data)."""
