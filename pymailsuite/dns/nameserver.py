"""A name server that dnspython asks, whose TXT answers may hold records that are none.

People publish TXT records without a single string in them. dnspython takes no answer with such a record, and the other
records of the name would be lost with it.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import dns.exception
import dns.inet
import dns.message
import dns.nameserver
import dns.rdatatype
from twisted.internet.interfaces import IReactorTime

_DATAGRAM_MAX: Final = 65_535


class Nameserver(dns.nameserver.Do53Nameserver):
    """Plain DNS at ``address``; ``clock`` says how much of a timeout is left."""

    def __init__(self, address: str, port: int, clock: IReactorTime) -> None:
        super().__init__(address, port)
        self._clock = clock

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
        """The answer to ``request``. dns.exception.Timeout; dns.message.Truncated asks for a question by TCP."""
        if max_size or request.question[0].rdtype is not dns.rdatatype.TXT:
            return await super().async_query(
                request, timeout, source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
            )
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
