"""A name server for a made-up zone on loopback: UDP and TCP, in threads, so that any process may ask it."""

from __future__ import annotations

import errno
import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], Sequence[str]]

TTL_S = 300
NEGATIVE_TTL_S = 60


class ZoneServer:
    """Serves ``records``: (name, type) to record texts: ``("example.test", "MX"): ["10 mx.example.test."]``.

    Names in ``broken`` get SERVFAIL, in ``silent`` nothing at all, in ``truncated`` a truncated answer over UDP.
    Without ``edns`` it takes a question with EDNS for a broken one. ``asked`` remembers (transport, name, type). Use as
    a context manager; ``address`` is then ``"127.0.0.1:port"``.
    """

    def __init__(
        self,
        records: Records,
        *,
        broken: Sequence[str] = (),
        silent: Sequence[str] = (),
        truncated: Sequence[str] = (),
        secure: bool = False,
        edns: bool = True,
    ) -> None:
        self.records = {(name.lower().rstrip("."), kind): list(texts) for (name, kind), texts in records.items()}
        self.broken, self.silent, self.truncated, self.secure = set(broken), set(silent), set(truncated), secure
        self.edns = edns
        self.asked: list[tuple[str, str, str]] = []
        self._servers: list[Any] = []
        self.address = ""

    def __enter__(self) -> ZoneServer:
        zone = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                wire, sock = self.request
                answer = zone.answer(wire, "udp")
                if answer is not None:
                    sock.sendto(answer, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while prefix := self.rfile.read(2):
                    (length,) = struct.unpack("!H", prefix)
                    answer = zone.answer(self.rfile.read(length), "tcp")
                    if answer is None:
                        return
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        tcp, udp = _on_one_port(Stream, Datagram)
        self._servers = [tcp, udp]
        self.address = f"127.0.0.1:{tcp.server_address[1]}"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((transport, name, kind))
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if self.secure:
            response.flags |= dns.flags.AD
        if query.edns >= 0 and not self.edns:
            response.use_edns(False)
            response.set_rcode(dns.rcode.FORMERR)
        elif name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif transport == "udp" and name in self.truncated:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        while (target := self.records.get((name, "CNAME"))) and kind != "CNAME":
            response.answer.append(dns.rrset.from_text(name + ".", TTL_S, "IN", "CNAME", target[0]))
            name = target[0].lower().rstrip(".")
        texts = self.records.get((name, kind))
        if texts:
            response.answer.append(dns.rrset.from_text(name + ".", TTL_S, "IN", kind, *texts))
            return
        if not any(known == name or known.endswith("." + name) for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. admin.test. 1 3600 600 86400 {NEGATIVE_TTL_S}"
        response.authority.append(dns.rrset.from_text(name.rpartition(".")[2] + ".", TTL_S, "IN", "SOA", soa))


def _on_one_port(stream: Any, datagram: Any) -> tuple[socketserver.TCPServer, socketserver.UDPServer]:
    """Servers of TCP and of UDP on the same number. One that is free for TCP may be somebody's for UDP."""
    while True:
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), stream)
        tcp.daemon_threads = True
        try:
            return tcp, socketserver.UDPServer(tcp.server_address, datagram)
        except OSError as error:
            tcp.server_close()
            if error.errno != errno.EADDRINUSE:
                raise
