"""Look-ups by dnspython on the reactor's own sockets, remembered and shared.

Three answers are kept apart: the name does not exist, the name has no such data, the look-up failed. Taking the third
for one of the others would bounce good mail or let bad mail in, so a failure is always a DnsFailure and never cached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.dns import DnsSettings, split_server
from pymailsuite.dns.backend import TwistedBackend
from pymailsuite.dns.cache import AnswerCache
from pymailsuite.dns.names import absolute_name, text_of
from pymailsuite.dns.nameserver import Nameserver
from pymailsuite.errors import DnsFailure, MailError
from pymailsuite.interfaces import Answer, IResolver, MxRecord, SrvRecord

log = Logger()

_NO_SUCH_NAME = Answer((), exists=False)
_PAYLOAD = 1232
"""UDP answers of this size are not cut into fragments on the way. Source: DNS flag day 2020."""

_Question = tuple[str, dns.rdatatype.RdataType]
"""What answers are remembered by: text as it was asked for, in lower case; to make a Name of it costs more than to find
the answer. Of a PTR it is the address."""


def _mx_record(record: Any) -> MxRecord:
    return MxRecord(record.preference, text_of(record.exchange))


def _tlsa_record(record: Any) -> tuple[int, int, int, bytes]:
    return record.usage, record.selector, record.mtype, record.cert


def _srv_record(record: Any) -> SrvRecord:
    return SrvRecord(record.priority, record.weight, record.port, text_of(record.target))


_CONVERSIONS: dict[dns.rdatatype.RdataType, Callable[[Any], Any]] = {
    dns.rdatatype.MX: _mx_record,
    dns.rdatatype.A: lambda record: record.address,
    dns.rdatatype.AAAA: lambda record: record.address,
    dns.rdatatype.TXT: lambda record: b"".join(record.strings),
    dns.rdatatype.PTR: lambda record: text_of(record.target),
    dns.rdatatype.TLSA: _tlsa_record,
    dns.rdatatype.SRV: _srv_record,
}


def _dnspython_resolver(settings: DnsSettings, clock: IReactorTime) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)

    def nameserver(address: str, port: int) -> Nameserver:
        return Nameserver(address, port, clock, settings.probe_timeout, settings.probe_interval)

    if settings.servers:
        resolver.nameservers = [nameserver(*split_server(server)) for server in settings.servers]
    else:
        try:
            resolver.read_resolv_conf("/etc/resolv.conf")
        except dns.resolver.NoResolverConfiguration:
            resolver.nameservers = ["127.0.0.1"]  # what the C library does
        servers = [server for server in resolver.nameservers if isinstance(server, str)]
        resolver.nameservers = [nameserver(server, resolver.port) for server in servers]
    resolver.timeout = settings.timeout
    resolver.lifetime = settings.lifetime
    resolver.use_edns(0, 0, _PAYLOAD)
    # RFC 6840 §5.7: AD in a question asks for AD in the answer.
    resolver.flags = dns.flags.RD | dns.flags.AD
    return resolver


@implementer(IResolver)
class Resolver:
    """An :class:`~pymailsuite.interfaces.IResolver` on ``reactor`` (IReactorUDP, IReactorTCP and IReactorTime)."""

    def __init__(self, settings: DnsSettings, reactor: Any) -> None:
        self._clock: IReactorTime = reactor
        self._backend = TwistedBackend(reactor)
        self._resolver = _dnspython_resolver(settings, reactor)
        self._trust_ad = settings.trust_ad
        self._cache = AnswerCache(reactor, settings.cache_size, settings.cache_ttl_max, settings.cache_negative_ttl_max)
        self._asked: dict[_Question, list[Deferred[Answer]]] = {}

    def mx(self, name: str) -> Deferred[Answer]:
        """MxRecords, in the order the server gave."""
        return self._look_up(name, dns.rdatatype.MX)

    def a(self, name: str) -> Deferred[Answer]:
        """IPv4 addresses, text."""
        return self._look_up(name, dns.rdatatype.A)

    def aaaa(self, name: str) -> Deferred[Answer]:
        """IPv6 addresses, text."""
        return self._look_up(name, dns.rdatatype.AAAA)

    def txt(self, name: str) -> Deferred[Answer]:
        """The strings of each record joined, bytes."""
        return self._look_up(name, dns.rdatatype.TXT)

    def ptr(self, ip: str) -> Deferred[Answer]:
        """Host names of an address. ValueError if ``ip`` is none."""
        return self._look_up(ip, dns.rdatatype.PTR)

    def tlsa(self, name: str) -> Deferred[Answer]:
        """Tuples (usage, selector, matching_type, data)."""
        return self._look_up(name, dns.rdatatype.TLSA)

    def srv(self, name: str) -> Deferred[Answer]:
        """SrvRecords, in the order the server gave."""
        return self._look_up(name, dns.rdatatype.SRV)

    def _look_up(self, text: str, rdtype: dns.rdatatype.RdataType) -> Deferred[Answer]:
        """From the cache, from a query for the same that is under way, or from a server. Each caller has a Deferred of
        its own: cancelling one does not affect the others.
        """
        question = (text.lower().removesuffix("."), rdtype)
        known = self._cache.get(question)
        if known is not None:
            return succeed(known)
        name = _reverse_name(text) if rdtype is dns.rdatatype.PTR else absolute_name(text)
        if name is None:
            return succeed(_NO_SUCH_NAME)
        answered: Deferred[Answer] = Deferred(lambda cancelled: self._give_up(question, cancelled))
        waiting = self._asked.get(question)
        if waiting is not None:
            waiting.append(answered)
            return answered
        self._asked[question] = [answered]
        Deferred.fromCoroutine(self._ask(name, rdtype)).addBoth(self._tell, question)
        return answered

    def _give_up(self, question: _Question, cancelled: Deferred[Answer]) -> None:
        waiting = self._asked.get(question, [])
        if cancelled in waiting:
            waiting.remove(cancelled)

    def _tell(self, result: Answer | Failure, question: _Question) -> None:
        waiting = self._asked.pop(question)
        if isinstance(result, Failure):
            if not result.check(MailError):
                log.failure("{event} {question}", result, event="dns.broken", question=_text_of_question(question))
                result = Failure(DnsFailure(cause=repr(result.value)))
            for answered in waiting:
                answered.errback(result)
        else:
            self._cache.put(question, result)
            for answered in waiting:
                answered.callback(result)

    async def _ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Answer:
        try:
            found = await self._resolver.resolve(
                name, rdtype, raise_on_no_answer=False, search=False, backend=self._backend
            )
        except dns.resolver.NXDOMAIN as error:
            response = error.response(name)
            ttl_s = response.resolve_chaining().minimum_ttl
            return Answer((), exists=False, secure=self._is_secure(response), ttl_s=ttl_s)
        except dns.exception.DNSException as error:
            cause = f"{name} {dns.rdatatype.to_text(rdtype)}: {_cause(error)}"
            log.info("{event} {reason}", event="dns.failed", reason=cause)
            raise DnsFailure(cause=cause) from error
        records = tuple(map(_CONVERSIONS[rdtype], found.rrset)) if found.rrset is not None else ()
        ttl_s = found.chaining_result.minimum_ttl
        return Answer(records, secure=self._is_secure(found.response), ttl_s=ttl_s)

    def _is_secure(self, response: dns.message.Message) -> bool:
        return self._trust_ad and bool(response.flags & dns.flags.AD)


def _reverse_name(ip: str) -> dns.name.Name:
    try:
        return dns.reversename.from_address(ip)
    except dns.exception.SyntaxError as error:
        raise ValueError(f"not an IP address: {ip!r}") from error


def _cause(error: dns.exception.DNSException) -> str:
    """The last answer of each server. dnspython reports every attempt, and operators read this in ``why``."""
    said: dict[str, str] = {}
    for server, _, _, outcome, _ in error.kwargs.get("errors", ()):
        name = str(server).removeprefix("Do53:").replace("@", " port ")
        said[name] = "no answer" if isinstance(outcome, dns.exception.Timeout) else str(outcome)
    return "; ".join(f"{name}: {words}" for name, words in said.items()) or str(error)


def _text_of_question(question: _Question) -> str:
    return f"{question[0]} {dns.rdatatype.to_text(question[1])}"
