"""Records the history for ``pymailsuite why``, and never delays or fails a message by it.

The entries of an accepted message and of an attempt are written in their own transactions. Refusals are collected and
written together every second; for a client that is refused again and again, and for a flood of clients, only numbers
are kept. If the store cannot take them, they are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define
from pydantic_core import to_json
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.errors import MailError
from pymailsuite.interfaces import Acceptance, DeliveredHere, LocalRecipient, Outcome, QueueEntry
from pymailsuite.interfaces.delivery import DeliveryPlan, PlannedRecipient
from pymailsuite.interfaces.history import (
    HistoryEntry,
    HistoryKind,
    IHistoryStore,
    IRefusalRecord,
    Refused,
    StepNote,
    TurnedAway,
)
from pymailsuite.interfaces.policy import AppliedVerdict, Disposal
from pymailsuite.policy.verdict_facts import says_something, verdict_facts
from pymailsuite.values import ContentId, Envelope, Peer, QueueId, SpecialUse, content_id_of, queue_id_of
from pymailsuite.wire.addresses import address_key

log = Logger()

_EVERYBODY: Final = ""
"""Stands for clients that are too many to be listed separately."""
_NAMES_MAX: Final = 1000
"""The greatest number of recipients of a message under which it can be found."""
_TEXT_MAX: Final = 1000
_WITHOUT_SENDER: Final = frozenset({"client_refused", "hello_refused", "login_refused", "cut_off"})


# Cyclic facts, which a plugin's evidence might have, end in RecursionError: such an entry is not made.
_patient_json = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode


def _as_json(facts: Mapping[str, Any]) -> str:
    try:
        return to_json(facts, fallback=str).decode()
    except ValueError:
        # Text that is no UTF-8, or octets. For all other values this encoder would take four times as long.
        return _patient_json(facts)


def _text(facts: Mapping[str, Any], limit: int) -> str:
    """As JSON; evidence, and then verdicts, are left out where that would be too long."""
    text = _as_json(facts)
    if len(text) <= limit:
        return text
    if facts.get("rulings"):
        short = [{**applied, "evidence": {}, "evidence_left_out": True} for applied in facts["rulings"]]
        text = _as_json({**facts, "rulings": short})
    if len(text) > limit:
        kept = {name: value for name, value in facts.items() if name in ("peer", "sender", "what", "reply", "policy")}
        text = _as_json({**kept, "left_out": True})
    return text


def _peer_facts(peer: Peer) -> dict[str, Any]:
    told = {
        "ip": peer.ip,
        "port": peer.port,
        "rdns": peer.rdns,
        "helo": peer.helo,
        "tls": peer.tls,
        "login": peer.login,
    }
    return {name: value for name, value in told.items() if value}


def _applied_verdicts(applied_verdicts: Sequence[AppliedVerdict]) -> list[dict[str, Any]]:
    return [verdict_facts(applied) for applied in applied_verdicts if says_something(applied)]


def recipient_facts(one: PlannedRecipient) -> list[dict[str, Any]]:
    """The facts about a recipient: each copy and each address its mail is forwarded to, or why there is none."""
    named = {"recipient": str(one.given)}
    target = one.target
    if target is not None and target.address != one.given:
        named["address"] = str(target.address)
    if one.discarded:
        return [{**named, "disposal": Disposal.DISCARD.value}]
    if one.refusal is not None:
        error = one.refusal
        return [{**named, "reply": f"{error.smtp_code} {error.enhanced_code} {error.public}"}]
    told: list[dict[str, Any]] = []
    for placement in one.placements:
        assert isinstance(target, LocalRecipient), "only accounts have mailboxes"
        copy: dict[str, Any] = {**named, "account_id": target.account_id, "mailbox": placement.mailbox}
        if placement.special_use is SpecialUse.JUNK:
            copy["disposal"] = Disposal.JUNK.value
        told.append(copy)
    for transmission in one.transmissions:
        on_to = {} if transmission.address == one.given else {"address": str(transmission.address)}
        told.append({"recipient": str(one.given), **on_to})
    return told


def step_facts(note: StepNote) -> dict[str, str]:
    """The facts about a delivery step's decision."""
    about = "" if note.recipient is None else str(note.recipient)
    return {"step": note.step, "recipient": about, "did": note.did, "why": note.why[:_TEXT_MAX]}


@define
class _Client:
    """The refusals of one client in its window."""

    ends_at: float
    told: int = 0
    counted: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    last_reply: str = ""
    told_early: bool = False


@implementer(IRefusalRecord)
class HistoryRecorder(Service):
    """Makes the entries of the history; its methods return ``None`` for an event that cannot be recorded."""

    def __init__(self, settings: HistorySettings, store: IHistoryStore, clock: IReactorTime) -> None:
        self.setName("history")  # type: ignore[no-untyped-call]
        self._settings = settings
        self._store = store
        self._clock = clock
        self._collected: list[HistoryEntry] = []
        self._clients: dict[str, _Client] = {}
        self._minute = 0
        self._told_this_minute = 0
        self._loop = LoopingCall(self._flush)
        self._loop.clock = clock

    # --- messages

    def accepted(
        self,
        content_id: ContentId,
        peer: Peer,
        envelope: Envelope,
        plan: DeliveryPlan,
        size: int,
        message_id: str,
        applied_verdicts: Sequence[AppliedVerdict],
    ) -> HistoryEntry | None:
        """The entry of an accepted message, with its delivery plan."""
        told: list[dict[str, Any]] = []
        sender = str(envelope.reverse_path or "")
        names = {peer.ip: None, message_id: None, sender: None}
        for one in plan.recipients:
            facts_of_it = recipient_facts(one)
            for facts in facts_of_it:
                names[facts["recipient"]] = None
                if "address" in facts:
                    names[facts["address"]] = None
            told += facts_of_it
        facts = {
            "peer": _peer_facts(peer),
            "sender": sender,
            "recipients": told,
            "size": size,
            "message_id": message_id,
            "rulings": _applied_verdicts(applied_verdicts),
        }
        if plan.notes:
            facts["steps"] = [step_facts(note) for note in plan.notes]
        return self._entry(HistoryKind.ACCEPTED, content_id, content_id, facts, tuple(names)[:_NAMES_MAX])

    def attempted(
        self,
        entry: QueueEntry,
        outcomes: Sequence[Outcome],
        here: DeliveredHere,
        report: Acceptance | None,
    ) -> HistoryEntry | None:
        """The entry of an attempt that is about to be settled; ``here`` has the outcomes of recipients that turned out
        to be local."""
        addresses = {recipient.position: recipient.address for recipient in entry.recipients}
        facts: dict[str, Any] = {
            "entry_id": queue_id_of(entry.entry_id),
            "outcomes": [
                {
                    "recipient": str(addresses[outcome.position]),
                    "state": outcome.state.value,
                    "host": outcome.host,
                    "status": outcome.status,
                    "reply": outcome.reply[:_TEXT_MAX],
                    "next_attempt": outcome.next_attempt,
                }
                for outcome in outcomes
            ],
            "copies": [{"account_id": one.account_id, "mailbox": one.mailbox} for one in here.deliveries],
            "report": "" if report is None else queue_id_of(report.content.content_id),
        }
        if here.notes:
            facts["steps"] = [step_facts(note) for note in here.notes]
        return self._entry(HistoryKind.ATTEMPT, entry.content_id, None, facts, ())

    def reported(self, entry: QueueEntry, report: Acceptance) -> HistoryEntry | None:
        """The entry of a report about ``entry``, which is a message of its own."""
        return self.added(entry.queue_id, str(entry.reverse_path or ""), report)

    def added(self, about: QueueId, recipient: str, report: Acceptance) -> HistoryEntry | None:
        """The entry of a message that the server made about another one, to ``recipient``."""
        copies = [{"recipient": recipient, "account_id": d.account_id, "mailbox": d.mailbox} for d in report.deliveries]
        relays = [
            {"recipient": recipient, "address": str(relay.address)}
            for envelope in report.outgoing
            for relay in envelope.recipients
        ]
        facts = {"sender": "", "about": about, "recipients": [*copies, *relays], "size": report.content.size}
        content_id = report.content.content_id
        return self._entry(HistoryKind.REPORT, content_id, content_id, facts, (recipient,))

    def _entry(
        self,
        kind: HistoryKind,
        story_id: ContentId | None,
        entry_id: ContentId | None,
        facts: Mapping[str, Any],
        names: tuple[str, ...],
    ) -> HistoryEntry | None:
        try:
            entry_id = self._store.new_id() if entry_id is None else entry_id
            text = _text(facts, self._settings.facts_max)
        except MailError as error:
            log.warn("{event} {reason}", event="history.not_recorded", reason=str(error))
            return None
        except Exception:
            # The evidence of a plugin may be any object. The message matters more than its entry.
            log.failure("{event}", event="history.not_recorded")
            return None
        return HistoryEntry(
            entry_id if story_id is None else story_id, entry_id, self._clock.seconds(), kind, text, names
        )

    # --- refusals

    def refused(self, refusal: Refused) -> None:
        """Collect the refusal, or only count it if there are too many."""
        settings, now = self._settings, self._clock.seconds()
        client = self._client(refusal.peer.ip, now)
        if int(now // 60) != self._minute:
            self._minute, self._told_this_minute = int(now // 60), 0
        if client.told >= settings.refusals_per_address or self._told_this_minute >= settings.refusals_per_minute:
            client.counted += 1
            client.first_at = client.first_at or now
            client.last_at, client.last_reply = now, refusal.reply[:_TEXT_MAX]
            return
        client.told += 1
        self._told_this_minute += 1
        facts = {
            "peer": _peer_facts(refusal.peer),
            "what": refusal.what,
            "sender": None if refusal.what in _WITHOUT_SENDER else str(refusal.reverse_path or ""),
            "recipients": [{"recipient": str(one)} for one in refusal.recipients],
            "reply": refusal.reply[:_TEXT_MAX],
            "policy": refusal.policy,
            "rulings": _applied_verdicts(refusal.applied_verdicts),
        }
        if refusal.reason:
            facts["reason"] = refusal.reason[:_TEXT_MAX]
        names = (refusal.peer.ip, str(refusal.reverse_path or ""), *map(str, refusal.recipients))[:_NAMES_MAX]
        # The queue id of a refused message names its story; no other story has that id.
        story_id = content_id_of(refusal.queue_id) if refusal.queue_id else None
        self._collect(self._entry(HistoryKind.REFUSED, story_id, story_id, facts, tuple(dict.fromkeys(names))))

    def turned_away(self, count: TurnedAway) -> None:
        """Collect it: the caller bounds the number of these counts."""
        facts = {
            "peer": {"ip": count.ip} if count.ip else {},
            "what": count.what,
            "protocol": count.protocol,
            "number": count.number,
            "since": count.since,
            "until": count.until,
            "reply": count.reply[:_TEXT_MAX],
        }
        names = (count.ip, address_key(count.ip)) if count.ip else ()
        self._collect(self._entry(HistoryKind.TURNED_AWAY, None, None, facts, tuple(dict.fromkeys(names))))

    def _client(self, ip: str, now: float) -> _Client:
        client = self._clients.get(ip)
        if client is not None and client.ends_at > now:
            return client
        if client is not None:
            self._tell_number(ip, client)
        elif len(self._clients) >= self._settings.addresses_max and ip != _EVERYBODY:
            return self._client(_EVERYBODY, now)
        client = self._clients[ip] = _Client(now + self._settings.refusal_window)
        return client

    def _is_due(self, client: _Client, now: float) -> bool:
        """Whether to write a client's numbers: at the end of its window, and once before, so that ``why`` shows within
        the hour that the refusals go on."""
        if client.ends_at <= now:
            return True
        return bool(client.counted) and not client.told_early and now - client.first_at >= self._settings.limits_window

    def _tell_number(self, ip: str, client: _Client) -> None:
        if not client.counted:
            return
        facts = {
            "peer": {"ip": ip} if ip else {},
            "number": client.counted,
            "since": client.first_at,
            "until": client.last_at,
            "reply": client.last_reply,
        }
        self._collect(self._entry(HistoryKind.MORE_REFUSED, None, None, facts, (ip,)))

    def _collect(self, entry: HistoryEntry | None) -> None:
        if entry is not None:
            self._collected.append(entry)

    # --- the service

    def startService(self) -> None:
        """Begin to write collected entries."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(self._settings.flush_interval, now=False)

    def stopService(self) -> Deferred[None]:
        """Fires when all collected entries are written, numbers too."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()
        clients, self._clients = self._clients, {}
        for ip, client in clients.items():
            self._tell_number(ip, client)
        return Deferred.fromCoroutine(self._write())

    def _flush(self) -> Deferred[None] | None:
        now = self._clock.seconds()
        for ip, client in [(ip, client) for ip, client in self._clients.items() if self._is_due(client, now)]:
            self._tell_number(ip, client)
            if client.ends_at <= now:
                del self._clients[ip]
            else:
                client.told_early, client.counted, client.first_at = True, 0, 0.0
        return Deferred.fromCoroutine(self._write()) if self._collected else None

    async def _write(self) -> None:
        collected, self._collected = self._collected, []
        if not collected:
            return
        try:
            await self._store.add(collected)
        except (MailError, CancelledError) as error:
            reason = str(error) or "called off"
            log.warn("{event} {count} {reason}", event="history.forgotten", count=len(collected), reason=reason)
        except Exception:
            log.failure("{event} {count}", failure=Failure(), event="history.forgotten", count=len(collected))
