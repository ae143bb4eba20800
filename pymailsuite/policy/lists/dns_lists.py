"""Asks DNS lists about addresses and domains, all at the same time, for as long as the budget lasts. RFC 5782.

A list that fails, that is late or that answers nonsense lists nothing. Answers are remembered by the resolver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

import dns.reversename
from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.lists import DnsList, ListAction
from pymailsuite.dns.gather import gather_all
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver
from pymailsuite.policy.lists.codes import CodeFilter, addresses
from pymailsuite.policy.organizational import registered_domain

TEXT_MAX: Final = 300
"""Characters of a list's own explanation."""


@frozen
class Listing:
    """Something that a list has. ``name`` is what was asked about: an address or a domain."""

    zone: str
    name: str
    code: str
    action: ListAction
    score: float
    text: str


def reversed_address(ip: str) -> str:
    """``2.0.0.127`` of 127.0.0.2; the nibbles of an IPv6 address. ValueError if it is none. RFC 5782 §2.1 and §2.4."""
    try:
        name = dns.reversename.from_address(ip)
    except dns.exception.SyntaxError:
        raise ValueError(f"not an IP address: {ip!r}") from None
    return name.to_text().rpartition(".in-addr.arpa.")[0] or name.to_text().rpartition(".ip6.arpa.")[0]


@frozen
class _Meaning:
    codes: CodeFilter
    action: ListAction
    score: float
    text: str


class DnsLists:
    """Lists of one kind of thing."""

    def __init__(self, lists: Iterable[DnsList], resolver: IResolver, clock: IReactorTime, budget_s: float) -> None:
        self._lists = [(one, CodeFilter(one.codes), _meanings(one)) for one in lists]
        self._resolver = resolver
        self._clock = clock
        self._budget_s = budget_s

    def __bool__(self) -> bool:
        return bool(self._lists)

    def about_address(self, ip: str) -> Deferred[list[Listing]]:
        """The lists that have an IP address; none if it is not one."""
        try:
            label = reversed_address(ip)
        except ValueError:
            return succeed([])
        return self._about([(one, ip, label) for one in range(len(self._lists))], ip)

    def about_names(self, names: Sequence[str], ip: str) -> Deferred[list[Listing]]:
        """The lists that have any of these domains, or of addresses that stand in the place of a domain; ``ip`` is the
        client's, for texts only."""
        questions = []
        for number, (one, _, _) in enumerate(self._lists):
            asked = dict.fromkeys(_asked_name(name, one.names) for name in names)
            questions += [(number, name, label) for name, label in asked if label]
        return self._about(questions, ip)

    def _about(self, questions: Sequence[tuple[int, str, str]], ip: str) -> Deferred[list[Listing]]:
        if not questions:
            return succeed([])
        deadline = self._clock.seconds() + self._budget_s
        found = gather_all(
            Deferred.fromCoroutine(self._ask(number, name, label, ip, deadline)) for number, name, label in questions
        )
        return found.addCallback(lambda listings: [listing for listing in listings if listing is not None])

    async def _ask(self, number: int, name: str, label: str, ip: str, deadline: float) -> Listing | None:
        one, codes, meanings = self._lists[number]
        question = f"{label}.{one.zone}"
        answers = [code for code in addresses(await self._records("a", question, deadline)) if code in codes]
        if not answers:
            return None
        code, meaning = _first_meaning(answers, meanings)
        txt = ""
        if "{txt}" in meaning.text:
            records = await self._records("txt", question, deadline)
            txt = records[0].decode("ascii", "replace")[:TEXT_MAX] if records else ""
        text = meaning.text.format(ip=ip, name=name, zone=one.zone, code=code, txt=txt)
        return Listing(one.zone, name, str(code), meaning.action, meaning.score, text)

    async def _records(self, kind: str, question: str, deadline: float) -> tuple[Any, ...]:
        asked = self._resolver.a(question) if kind == "a" else self._resolver.txt(question)
        if not asked.called:
            asked.addTimeout(max(0.0, deadline - self._clock.seconds()), self._clock)
        try:
            return (await asked).records
        except (DnsFailure, DeferredTimeout):
            return ()


def _meanings(one: DnsList) -> list[_Meaning]:
    particular = [
        _Meaning(
            CodeFilter(answer.codes),
            answer.action or one.action,
            one.score if answer.score is None else answer.score,
            answer.text or one.text,
        )
        for answer in one.answers
    ]
    return [*particular, _Meaning(CodeFilter("127.0.0.0/8"), one.action, one.score, one.text)]


def _first_meaning(answers: Sequence[IPv4Address], meanings: Sequence[_Meaning]) -> tuple[IPv4Address, _Meaning]:
    """The first that fits one of the answers; the last fits all."""
    return next((code, meaning) for meaning in meanings for code in answers if code in meaning.codes)


def _asked_name(name: str, form: str) -> tuple[str, str]:
    """The subject, and the name to look up; ``""`` for a subject that no list can have."""
    bare = name.strip("[]").lower().removeprefix("ipv6:").removesuffix(".")
    try:
        return bare, reversed_address(bare)
    except ValueError:
        domain = registered_domain(bare) if form == "registered" else bare
        return domain, domain if "." in domain else ""
