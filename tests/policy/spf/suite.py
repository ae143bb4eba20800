"""The public test suite of RFC 7208, as JSON, and its zones as a resolver.

``data/rfc7208-tests.json`` holds the documents of ``rfc7208-tests.yml`` (release 2014.04) as they are; its licence is
beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.reversename
from attrs import frozen

from pymailsuite.dns.fake import FakeResolver

Zone = dict[str, list[tuple[str, Any]]]
"""(type, value) pairs of each name, in lower case; the type ``TIMEOUT`` makes those fail that are not there."""


@frozen
class SuiteCase:
    """One test: a question, the results that are right, the preferred one first, and the explanation or None."""

    name: str
    ip: str
    sender: str
    helo: str
    results: tuple[str, ...]
    explanation: str | None
    zone: Zone


def cases() -> Iterator[SuiteCase]:
    """All of the suite."""
    documents = json.loads((Path(__file__).parent / "data/rfc7208-tests.json").read_text(encoding="ascii"))
    for document in documents:
        zone = {name.lower(): list(_records(entries)) for name, entries in document["zonedata"].items()}
        for name, test in document["tests"].items():
            results = test["result"] if isinstance(test["result"], list) else [test["result"]]
            explanation = test.get("explanation")
            yield SuiteCase(
                f"{document['description']}: {name}",
                test["host"],
                test["mailfrom"],
                test["helo"],
                tuple(results),
                explanation,
                zone,
            )


def _records(entries: list[Any]) -> Iterator[tuple[str, Any]]:
    """Records of the type SPF stand for TXT records unless the name has TXT records, by the rules of the suite."""
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    has_txt = any(kind == "TXT" for kind, _ in pairs)
    for kind, value in pairs:
        if (kind == "SPF" and has_txt) or value == "NONE":
            continue
        if kind in ("SPF", "TXT"):
            strings = [value] if isinstance(value, str) else value
            yield "TXT", "".join(strings).encode("latin-1")
        else:
            yield kind, value
    if "TIMEOUT" in entries:
        yield "TIMEOUT", None


def resolver_of(zone: Zone) -> FakeResolver:
    """The zone's names; what times out in it fails."""
    tables: dict[str, dict[str, list[Any]]] = {kind: {} for kind in ("A", "AAAA", "MX", "TXT", "PTR")}
    aliases, failing = {}, []
    for name, records in zone.items():
        if name.endswith(".arpa"):
            name = dns.reversename.to_address(dns.name.from_text(name))
        kinds = {kind for kind, _ in records}
        for kind, value in records:
            if kind == "CNAME":
                aliases[name] = value
            elif kind == "TIMEOUT":
                failing += [(missing.lower(), name) for missing in tables if missing not in kinds]
            else:
                tables[kind].setdefault(name, []).append(tuple(value) if kind == "MX" else value)
    return FakeResolver(
        mx=tables["MX"],
        a=tables["A"],
        aaaa=tables["AAAA"],
        txt=tables["TXT"],
        ptr=tables["PTR"],
        cname=aliases,
        failing=failing,
    )
