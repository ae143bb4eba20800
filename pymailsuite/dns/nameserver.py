"""A name server that dnspython asks. It is not waited for while it is known to be silent, and its TXT answers may hold
records that are none.

People publish TXT records without a single string in them. dnspython takes no answer with such a record, and the other
records of the name would be lost with it.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.rrset
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.dns.liveness import Liveness

log = Logger()

_DATAGRAM_MAX: Final = 65_535
_HEADER_OCTETS: Final = 12
_PROBES: Final = 2
"""One may be lost on the way."""
_WITHOUT_EDNS: Final = (dns.rcode.FORMERR, dns.rcode.NOTIMP)
"""What a server says that does not know EDNS, without EDNS of its own. Source: RFC 6891 §7."""


class SilentNameserver(OSError):
    """A name server that does not answer, as is known already: dnspython goes on to the next at once."""


class Nameserver(dns.nameserver.Do53Nameserver):
    """Plain DNS at ``address``; ``clock`` says how much of a timeout is left.

    When it seems silent it is probed for ``probe_timeout_s``; while it is silent it is probed every
    ``probe_interval_s`` at most, if there is something to ask. 0: it is asked every time, silent or not.
    """

    def __init__(
        self, address: str, port: int, clock: IReactorTime, probe_timeout_s: float, probe_interval_s: float
    ) -> None:
        super().__init__(address, port)
        self._clock = clock
        self._probe_timeout_s = probe_timeout_s
        self._is_probed = probe_interval_s > 0
        self._liveness = Liveness(probe_interval_s)
        self._known: dns.rrset.RRset | None = None
        self._waiting: list[Deferred[None]] | None = None

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """The answer to ``request``. dns.exception.Timeout; dns.message.Truncated asks for a question by TCP;
        SilentNameserver."""
        if self._liveness.silent_since is not None:
            await self._look_again(request, backend)
        asked_at = self._clock.seconds()
        arguments = source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
        try:
            answer = await self._query(request, timeout, *arguments)
            if answer.rcode() in _WITHOUT_EDNS and answer.edns < 0 <= request.edns:
                remaining = asked_at + timeout - self._clock.seconds()
                answer = await self._query(_without_edns(request), max(0.0, remaining), *arguments)
        except dns.exception.Timeout:
            if not max_size and self._is_probed and self._liveness.is_suspect(asked_at):
                self._start_probe(request, backend)
            raise
        except dns.message.Truncated:
            self._heard()
            raise
        self._heard()
        self._known = request.question[0]
        return answer

    async def _query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool,
        ignore_trailing: bool,
    ) -> dns.message.Message:
        if not max_size and request.question[0].rdtype is dns.rdatatype.TXT:
            return await self._query_texts(request, timeout, backend)
        return await super().async_query(
            request, timeout, source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
        )

    async def _query_texts(
        self, request: dns.message.QueryMessage, timeout: float, backend: Any
    ) -> dns.message.Message:
        server = (self.address, self.port)
        deadline = self._clock.seconds() + timeout
        udp = await backend.make_socket(dns.inet.af_for_address(self.address), socket.SOCK_DGRAM, 0, None, server)
        async with udp:
            await udp.sendto(request.to_wire(), server, timeout)
            while True:
                wire, _ = await udp.recvfrom(_DATAGRAM_MAX, max(0.0, deadline - self._clock.seconds()))
                try:
                    answer = dns.message.from_wire(wire, raise_on_truncation=True, continue_on_error=True)
                except dns.message.Truncated as truncated:
                    if request.is_response(truncated.message()):
                        raise
                except dns.exception.DNSException:
                    # What is no message may come from anybody; the server's answer may still come.
                    continue
                else:
                    if request.is_response(answer):
                        return answer

    # --- silence

    async def _look_again(self, request: dns.message.QueryMessage, backend: Any) -> None:
        """Pass if the server answers again. SilentNameserver, as a rule at once."""
        now = self._clock.seconds()
        if self._liveness.is_probe_due(now):
            self._start_probe(request, backend)
        if self._waiting is not None and self._liveness.is_old_news(now):
            probed: Deferred[None] = Deferred()
            self._waiting.append(probed)
            await probed
        if self._liveness.silent_since is not None:
            raise SilentNameserver("it does not answer, and did not when it was asked last")

    def _heard(self) -> None:
        if self._liveness.silent_since is not None:
            log.info("{event} {server}", event="dns.server_answers", server=str(self))
        self._liveness.heard(self._clock.seconds())

    def _start_probe(self, request: dns.message.QueryMessage, backend: Any) -> None:
        if self._waiting is None:
            self._waiting = []
            began_at = self._clock.seconds()
            Deferred.fromCoroutine(self._is_answering(request, backend)).addBoth(self._probed, began_at)

    def _probed(self, result: bool | Failure, began_at: float) -> None:
        was_silent = self._liveness.silent_since is not None
        if isinstance(result, Failure):
            # A socket could not be had: that says nothing about the server.
            log.failure("{event} {server}", result, event="dns.probe_failed", server=str(self))
        if result is True:
            self._heard()
        elif was_silent or (result is False and self._liveness.is_suspect(began_at)):
            self._liveness.not_heard(self._clock.seconds())
            if not was_silent:
                log.warn("{event} {server}", event="dns.server_silent", server=str(self))
        waiting, self._waiting = self._waiting or [], None
        for probed in waiting:
            probed.callback(None)

    async def _is_answering(self, request: dns.message.QueryMessage, backend: Any) -> bool:
        """Whether it answers what any server can answer at once, the servers of the root; or what it knew before, or
        what is to be known now, as some are silent about all that is not theirs."""
        wanted = dict.fromkeys((one.name, one.rdtype) for one in (self._known, request.question[0]) if one is not None)
        probes = [dns.message.make_query(*one) for one in ((dns.name.root, dns.rdatatype.NS), *wanted)]
        identifiers = {probe.id.to_bytes(2, "big") for probe in probes}
        server = (self.address, self.port)
        udp = await backend.make_socket(dns.inet.af_for_address(self.address), socket.SOCK_DGRAM, 0, None, server)
        async with udp:
            for _ in range(_PROBES):
                for probe in probes:
                    await udp.sendto(probe.to_wire(), server, self._probe_timeout_s)
                deadline = self._clock.seconds() + self._probe_timeout_s / _PROBES
                try:
                    while True:
                        remaining = max(0.0, deadline - self._clock.seconds())
                        wire, _ = await udp.recvfrom(_DATAGRAM_MAX, remaining)
                        if _is_answer(wire, identifiers):
                            return True
                except dns.exception.Timeout:
                    continue
                except OSError:
                    return False
        return False


def _without_edns(request: dns.message.QueryMessage) -> dns.message.QueryMessage:
    question = request.question[0]
    plain = dns.message.make_query(question.name, question.rdtype, question.rdclass, id=request.id)
    plain.flags = request.flags
    return plain


def _is_answer(wire: bytes, identifiers: set[bytes]) -> bool:
    """Whether it is an answer, any, to one of these questions (RFC 1035 §4.1.1)."""
    is_response = len(wire) >= _HEADER_OCTETS and int.from_bytes(wire[2:4], "big") & dns.flags.QR
    return bool(is_response) and wire[:2] in identifiers
