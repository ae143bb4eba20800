"""The policy ``lists``: local lists of the server at each stage, those of a domain or a user at RCPT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread

from pymailsuite.config.sections.lists import ListSettings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.names import comparable_domain
from pymailsuite.interfaces.lists import IFetchedLists, IListStore, ListEntry
from pymailsuite.interfaces.policy import Action, Disposal, MailTransaction, PolicyContext, PolicyReply, Stage, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.lists.entries import EntryIndex, Subject
from pymailsuite.policy.lists.fetching import ListFetcher
from pymailsuite.policy.lists.sources import EntrySource, EntrySources, FileSource, ListRefresh, StoreSource, UrlSource
from pymailsuite.values import Address


class LocalListPolicy(Policy):
    """An entry that allows has precedence over all that deny, whoever made them."""

    name = "lists"

    def __init__(self, settings: ListSettings, sources: EntrySources, clock: IReactorTime) -> None:
        self._settings = settings
        self._sources = sources
        self._clock = clock
        self.services = (ListRefresh(sources, settings.refresh, clock),)

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        peer = transaction.peer
        return self._about(Subject(ip=peer.ip, names=(peer.rdns,) if peer.rdns else ()), ("",), transaction)

    def helo(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return self._about(Subject(helo=transaction.peer.helo), ("",), transaction)

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        return self._about(_sender(transaction.reverse_path), ("",), transaction)

    def rcpt(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """What the recipient's domain and the recipient say; an address with a detail (``user+detail``) is its user's
        too, and so is an alias that leads to one account. What one of several behind an alias says is not for all."""
        peer, sender = transaction.peer, _sender(transaction.reverse_path)
        names = (*sender.names, peer.rdns) if peer.rdns else sender.names
        subject = Subject(peer.ip, names, sender.address, peer.helo)
        scopes = dict.fromkeys((*_scopes(transaction.recipient), *_scopes(transaction.account)))
        return self._about(subject, tuple(scopes), transaction)

    def _about(self, subject: Subject, scopes: Sequence[str], transaction: MailTransaction) -> Deferred[Verdict]:
        def verdict(index: EntryIndex) -> Verdict:
            found = index.find(subject, scopes, self._clock.seconds())
            return self._verdict(found[0], transaction) if found else NO_OPINION

        known = self._sources.fresh_index()
        return self._sources.index().addCallback(verdict) if known is None else succeed(verdict(known))

    def _verdict(self, entry: ListEntry, transaction: MailTransaction) -> Verdict:
        whose = entry.scope or "the server"
        reason = f"{entry.kind} {entry.value} is on the {entry.verdict} list of {whose}"
        evidence: dict[str, object] = {
            "verdict": entry.verdict,
            "kind": entry.kind,
            "value": entry.value,
            "scope": entry.scope,
            "source": entry.source or "store",
            "comment": entry.comment,
        }
        if entry.verdict == "allow":
            return Verdict(Action.ACCEPT, reason, evidence=evidence)
        evidence["disposition"] = entry.action
        if entry.action != "reject":
            return Verdict(Action.TAG, reason, evidence=evidence, disposal=Disposal(entry.action))
        # RFC 5321 §3.1: a client is refused in the greeting by 554.
        code = 554 if transaction.stage is Stage.CONNECT and self._settings.at_once else 550
        return Verdict(Action.REJECT, reason, reply=PolicyReply(code, "5.7.1", self._settings.text), evidence=evidence)


def _sender(path: Address | None) -> Subject:
    if path is None:
        return Subject()
    return Subject(names=(path.domain,), address=f"{path.local_part}@{path.domain}")


def _scopes(recipient: Address | None) -> tuple[str, ...]:
    if recipient is None:
        return ()
    domain, local_part = comparable_domain(recipient.domain), recipient.local_part.lower()
    user, plus, _ = local_part.partition("+")
    scopes = [domain, f"{local_part}@{domain}"]
    return (*scopes, f"{user}@{domain}") if plus and user else tuple(scopes)


def make_policy(context: PolicyContext) -> LocalListPolicy:
    """The policy as the chain wants it."""
    settings: ListSettings = context.section
    clock: Any = context.clock
    fetcher = ListFetcher(clock, address_filter=AddressFilter(context.settings.outgoing))
    lists = context.needs(IListStore)
    sources: list[EntrySource] = [StoreSource(lists)]
    for source in settings.sources:
        if source.file is not None:
            sources.append(FileSource(source, source.file, deferToThread))
        else:
            fetched = context.needs(IFetchedLists)
            sources.append(UrlSource(source, fetched, fetcher, deferToThread, clock))
    return LocalListPolicy(settings, EntrySources(sources, settings.refresh, clock), clock)
