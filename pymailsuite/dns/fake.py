"""Look-ups in a plain table, for tests and for trying things out: no network, every answer at once.

resolver = FakeResolver(
    mx={"example.com": [(10, "mx.example.com")]},
    a={"mx.example.com": ["192.0.2.1"]},
    failing=["broken.example", ("mx", "flaky.example")],
)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from pymailsuite.dns.names import ascii_name
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver, MxRecord, SrvRecord


@implementer(IResolver)
class FakeResolver:
    """Answers from tables of name to records; a name in no table does not exist, unless another name ends in it.

    ``mx`` rows are (preference, exchange), ``tlsa`` rows (usage, selector, matching type, data); ``ptr`` is keyed by IP
    address; ``cname`` leads one name to another. ``failing`` names, or pairs of type and name, fail. Answers are
    ``secure`` for names in ``secure``. ``questions`` remembers what was asked: (type, name).
    """

    def __init__(
        self,
        *,
        mx: Mapping[str, Sequence[tuple[int, str]]] | None = None,
        a: Mapping[str, Sequence[str]] | None = None,
        aaaa: Mapping[str, Sequence[str]] | None = None,
        txt: Mapping[str, Sequence[bytes]] | None = None,
        ptr: Mapping[str, Sequence[str]] | None = None,
        tlsa: Mapping[str, Sequence[tuple[int, int, int, bytes]]] | None = None,
        srv: Mapping[str, Sequence[SrvRecord]] | None = None,
        cname: Mapping[str, str] | None = None,
        failing: Collection[str | tuple[str, str]] = (),
        secure: Collection[str] = (),
        ttl_s: int = 300,
    ) -> None:
        self._tables: dict[str, dict[str, tuple[Any, ...]]] = {
            "mx": {
                ascii_name(name): tuple(MxRecord(p, ascii_name(x)) for p, x in rows)
                for name, rows in (mx or {}).items()
            },
            "ptr": {ip: tuple(map(ascii_name, names)) for ip, names in (ptr or {}).items()},
        }
        for kind, table in (("a", a), ("aaaa", aaaa), ("txt", txt), ("tlsa", tlsa), ("srv", srv)):
            rows_of: Mapping[str, Sequence[Any]] = table or {}
            self._tables[kind] = {ascii_name(name): tuple(rows) for name, rows in rows_of.items()}
        self._cname = {ascii_name(name): ascii_name(target) for name, target in (cname or {}).items()}
        self._failing = {(f[0], ascii_name(f[1])) if isinstance(f, tuple) else ascii_name(f) for f in failing}
        self._secure = {ascii_name(name) for name in secure}
        self._ttl_s = ttl_s
        self.questions: list[tuple[str, str]] = []

    def mx(self, name: str) -> Deferred[Answer]:
        return self._answer("mx", ascii_name(name))

    def a(self, name: str) -> Deferred[Answer]:
        return self._answer("a", ascii_name(name))

    def aaaa(self, name: str) -> Deferred[Answer]:
        return self._answer("aaaa", ascii_name(name))

    def txt(self, name: str) -> Deferred[Answer]:
        return self._answer("txt", ascii_name(name))

    def ptr(self, ip: str) -> Deferred[Answer]:
        return self._answer("ptr", ip)

    def tlsa(self, name: str) -> Deferred[Answer]:
        return self._answer("tlsa", ascii_name(name))

    def srv(self, name: str) -> Deferred[Answer]:
        return self._answer("srv", ascii_name(name))

    def _answer(self, kind: str, name: str) -> Deferred[Answer]:
        self.questions.append((kind, name))
        for _ in range(len(self._cname) + 1):
            if name in self._failing or (kind, name) in self._failing:
                return fail(DnsFailure(cause=f"{name} {kind} fails in this test"))
            if name not in self._cname:
                break
            name = self._cname[name]
        else:
            return fail(DnsFailure(cause=f"{name} is an alias of itself"))
        records = self._tables[kind].get(name, ())
        return succeed(Answer(records, self._exists(name), name in self._secure, self._ttl_s))

    def _exists(self, name: str) -> bool:
        names = [*self._cname, *(known for table in self._tables.values() for known in table)]
        return any(known == name or known.endswith("." + name) for known in names)
