"""Entries of local lists: read from text, and found for a host, a sender and its recipient. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, cast, get_args

from attrs import evolve, frozen

from pymailsuite.dns.names import absolute_name, comparable_address, comparable_domain, text_of
from pymailsuite.interfaces.lists import EntryAction, EntryKind, ListEntry, ListVerdict

KINDS: Final = get_args(EntryKind)
VERDICTS: Final = get_args(ListVerdict)
COMMENT_MAX: Final = 200
_HOST_NAME = re.compile(r"[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*")


def entry_of(
    value: str, verdict: ListVerdict, *, kind: str = "", scope: str = "", action: EntryAction = "reject"
) -> ListEntry:
    """An entry for ``value`` as people write it: an address or network, ``user@domain``, a domain (which stands for all
    below it too), or any of these behind ``kind:``. ValueError if it is none."""
    prefix, colon, rest = value.partition(":")
    if not kind and colon and prefix.lower() in KINDS:
        kind, value = prefix.lower(), rest
    value = value.strip()
    kind = kind or _kind_of(value)
    match kind:
        case "ip":
            compared = str(ip_network(value, strict=False))
        case "address":
            local_part, at, domain = value.lower().rpartition("@")
            if not at or not local_part:
                raise ValueError(f"not an address of the form user@domain: {value!r}")
            compared = f"{local_part}@{_domain(domain)}"
        case "domain":
            compared = _domain(value.removeprefix("*").removeprefix("."))
        case "helo":
            compared = comparable_domain(value)
        case _:
            raise ValueError(f"no such kind: {kind!r} (there are {', '.join(KINDS)})")
    if not compared or any(character.isspace() for character in compared):
        raise ValueError(f"not a value of the kind {kind}: {value!r}")
    return ListEntry(verdict, kind, compared, scope_of(scope), action)


def _compared_address(address: str) -> str:
    local_part, at, domain = address.rpartition("@")
    return comparable_address(local_part, domain) if at else ""


def scope_of(text: str) -> str:
    """A scope in the form in which it is compared: ``""``, a domain or an address. ValueError if it is none."""
    if "@" not in text:
        return _domain(text) if text else ""
    local_part, _, domain = text.lower().rpartition("@")
    return f"{local_part}@{_domain(domain)}"


def _kind_of(value: str) -> str:
    if "@" in value:
        return "address"
    try:
        ip_network(value, strict=False)
    except ValueError:
        return "domain"
    return "ip"


def _domain(name: str) -> str:
    absolute = absolute_name(name)
    text = text_of(absolute) if absolute is not None else ""
    if not _HOST_NAME.fullmatch(text):
        # A page that says "not found" would otherwise make a list of its words.
        raise ValueError(f"not a domain: {name!r}")
    return text


def entries_in_text(
    text: str, verdict: ListVerdict = "deny", action: EntryAction = "reject", source: str = ""
) -> Iterator[ListEntry]:
    """Entries of a file, ``[allow|deny] [kind:]value [comment]`` a line; what stands after ``#`` is left out.

    ValueError names the line that is none.
    """
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(None, 2)
        if not words:
            continue
        said = verdict
        if words[0].lower() in VERDICTS and len(words) > 1:
            said, words = cast(ListVerdict, words[0].lower()), [words[1], *words[2:]]
        try:
            entry = entry_of(words[0], said, action=action)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        comment = " ".join(words[1:])[:COMMENT_MAX]
        yield evolve(entry, comment=comment, source=source) if comment or source else entry


@frozen
class Subject:
    """The values that entries are compared with; unknown ones are empty. ``names`` are domains: of the sender, and of
    the host if it is known."""

    ip: str = ""
    names: tuple[str, ...] = ()
    address: str = ""
    helo: str = ""


class EntryIndex:
    """Entries, found by what they stand for without looking at each."""

    def __init__(self, entries: Iterable[ListEntry]) -> None:
        self._by_value: dict[tuple[str, str, str], list[ListEntry]] = {}
        self._by_network: dict[tuple[str, int, int, int], list[ListEntry]] = {}
        self._prefixes: dict[int, set[int]] = {4: set(), 6: set()}
        self.count = 0
        for entry in entries:
            self.count += 1
            if entry.kind == "ip":
                network = ip_network(entry.value)
                self._prefixes[network.version].add(network.prefixlen)
                key = (entry.scope, network.version, network.prefixlen, int(network.network_address))
                self._by_network.setdefault(key, []).append(entry)
            else:
                self._by_value.setdefault((entry.scope, entry.kind, entry.value), []).append(entry)

    def find(self, subject: Subject, scopes: Sequence[str], now: float) -> list[ListEntry]:
        """All that hold for the subject in any of these scopes at ``now``, those that allow first."""
        if not self.count:
            return []
        found = [
            entry
            for scope in scopes
            for entry in self._all(subject, scope)
            if not entry.expires_at or entry.expires_at > now
        ]
        return sorted(found, key=lambda entry: entry.verdict != "allow")

    def _all(self, subject: Subject, scope: str) -> Iterator[ListEntry]:
        for kind, value in (("address", _compared_address(subject.address)), ("helo", comparable_domain(subject.helo))):
            if value:
                yield from self._by_value.get((scope, kind, value), ())
        for name in subject.names:
            labels = comparable_domain(name).split(".")
            for start in range(len(labels)):
                yield from self._by_value.get((scope, "domain", ".".join(labels[start:])), ())
        if subject.ip:
            yield from self._of_address(subject.ip, scope)

    def _of_address(self, ip: str, scope: str) -> Iterator[ListEntry]:
        try:
            address = ip_address(ip)
        except ValueError:
            return
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number, bits = int(address), address.max_prefixlen
        for prefix in self._prefixes[address.version]:
            masked = number >> (bits - prefix) << (bits - prefix)
            yield from self._by_network.get((scope, address.version, prefix, masked), ())
