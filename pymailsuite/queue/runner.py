"""Takes due entries from the store, has them sent, and records the outcomes.

An entry is claimed for a time, attempted, and settled: outcomes, next attempt and report in one transaction. Between
the end of an attempt and its settling lies the only window in which a crash sends a message twice; in it the report is
written, and nothing else done. An entry whose attempt fails with an unexpected error waits like any other delayed
entry, so that no message can block the queue.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredQueue
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.errors import MailError, NoSuchAccount, NoSuchEntry, OverQuota
from pymailsuite.interfaces import (
    Acceptance,
    DeliveredHere,
    IMailStore,
    Outcome,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
)
from pymailsuite.interfaces.history import HistoryEntry
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.store import IStoreMaintenance, needed
from pymailsuite.interfaces.transport import ITransport
from pymailsuite.queue.reporting import CALLED_OFF, DsnMaker, Reporting, reason_of
from pymailsuite.queue.schedule import (
    decide,
    hosts_that_took,
    wants_transaction_of_its_own,
)
from pymailsuite.values import EntryId

log = Logger()


_NOT_HERE: Final = DeliveredHere()


@frozen
class _Ended:
    """Outcomes of recipients of ``entry``; ``here`` those of recipients that turned out to be local."""

    entry: QueueEntry
    outcomes: Sequence[Outcome]
    here: DeliveredHere = _NOT_HERE

    def without_copies(self, again: float, status: str, reply: str, apart_s: float = 0.0) -> _Ended:
        """Delay the local recipients until ``again``: the next attempt finds the account that is gone, or full.

        ``apart_s``: each by so much more than the one before, so that they are attempted one by one."""
        ours = {one.position for one in self.here.outcomes}
        outcomes = []
        for one in self.outcomes:
            if one.position in ours and one.state is RecipientState.DELIVERED:
                one = evolve(one, state=RecipientState.DELAYED, status=status, reply=reply, next_attempt=again)  # noqa: PLW2901
                again += apart_s
            outcomes.append(one)
        return evolve(self, outcomes=outcomes, here=_NOT_HERE)


def _together(parts: Sequence[_Ended]) -> _Ended:
    """Merge the finished routes of one entry, which share one report."""
    if len(parts) == 1:
        return parts[0]
    here = [part.here for part in parts]
    return _Ended(
        parts[0].entry,
        [outcome for part in parts for outcome in part.outcomes],
        DeliveredHere(
            tuple([outcome for one in here for outcome in one.outcomes]),
            tuple([delivery for one in here for delivery in one.deliveries]),
            tuple([envelope for one in here for envelope in one.outgoing]),
            tuple([acceptance for one in here for acceptance in one.along]),
            tuple([note for one in here for note in one.notes]),
        ),
    )


_ACCOUNT_GONE = "an account has just gone"

_APART_S: Final = 60.0
"""Between the attempts of local recipients that do not fit together."""

_SHORTEST_WAIT_S = 0.1
"""Between two polls of the store without a wake-up."""

_TOGETHER_S = 0.02
"""Before the poll for a wake-up that came during a poll: under load, one transaction claims many entries."""

_SETTLE_AGAIN_S = 5.0
"""Before settling again after the store failed."""

_DEFECTS_MAX = 3
"""Number of times that settling one attempt may fail with an unexpected error."""


class LocalDelivery(Protocol):
    """Delivers to local accounts: :class:`pymailsuite.delivery.late.LateDelivery`."""

    def is_known_elsewhere(self, route: str) -> bool:
        """True if ``leads_here`` would answer False without a look-up."""

    async def leads_here(self, route: str) -> bool:
        """True if the domain has become local."""

    async def deliver(self, entry: QueueEntry, recipients: Sequence[QueuedRecipient]) -> DeliveredHere:
        """The outcomes of local recipients, and their copies."""


class AttemptRecorder(Protocol):
    """Makes history entries of attempts: :class:`pymailsuite.delivery.history.HistoryRecorder`."""

    def attempted(
        self,
        entry: QueueEntry,
        outcomes: Sequence[Outcome],
        here: DeliveredHere,
        report: Acceptance | None,
    ) -> HistoryEntry | None:
        """The history entries of an attempt that is about to be settled."""

    def reported(self, entry: QueueEntry, report: Acceptance) -> HistoryEntry | None:
        """The history entry of a report."""


class ClaimOwners(Protocol):
    """This process as an owner of claims, and the dead owners: :class:`pymailsuite.queue.presence.Presence`."""

    owner: str

    def enter(self) -> None:
        """Make this owner known."""

    def dead_owners(self) -> list[str]:
        """The owners that have died."""

    def forget_dead_owners(self) -> None:
        """The claims of the dead owners have been ended."""

    def leave(self) -> None:
        """This process has no claims any more."""


class QueueRunner:
    """The queue at work, from ``start`` to ``stop``. Several may work on one store, in any number of processes.

    ``host_name`` is the Reporting-MTA of reports.
    """

    def __init__(
        self,
        settings: QueueSettings,
        host_name: str,
        store: IMailStore,
        transport: ITransport,
        reports: DsnMaker,
        here: LocalDelivery,
        presence: ClaimOwners,
        clock: IReactorTime,
        rng: random.Random | None = None,
        history: AttemptRecorder | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._queue = needed(store, IQueueStore)
        self._maintenance = needed(store, IStoreMaintenance)
        self._transport = transport
        self._reporting = Reporting(settings, host_name, store.read_content, reports, clock)
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 (spreads retries)
        self._here = here
        self._presence = presence
        self._owner = presence.owner
        self._history = history
        self._departures_due = True
        self._under_way: dict[EntryId, Deferred[None]] = {}
        self._running = False
        self._is_looking = False
        self._looked: Deferred[None] | None = None
        self._look_again = False
        self._full = False
        self._timer: IDelayedCall | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._renewal = LoopingCall(self._renew)
        self._renewal.clock = clock

    def start(self) -> None:
        """Begin to work on due entries. OSError if this owner cannot be made known."""
        self._running = True
        self._presence.enter()
        self._unsubscribe = self._queue.subscribe(self.wake, self._poll)
        self._renewal.start(self._settings.lease / 3, now=False)
        self.wake()

    async def stop(self) -> None:
        """Claim nothing more, let running attempts end, and settle them. Recipients delayed by the stop are due at
        once."""
        self._running = False
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._set_timer(None)
        if self._looked is not None:
            await DeferredList([self._looked])
        closed = self._transport.close()
        await DeferredList(list(self._under_way.values()))
        if self._renewal.running:
            self._renewal.stop()
        await closed
        self._presence.leave()

    # --- polling for work

    def wake(self) -> None:
        """An entry may be due: poll soon. Cheap; many calls lead to one poll."""
        self._look_soon(told=True)

    def look_for_dead_owners(self) -> None:
        """Another process on this host has died: its claims may be released."""
        self._departures_due = True
        self.wake()

    def _poll(self) -> None:
        """Look for due entries. Mostly there are none: the process that sent the notice has claimed the entry
        itself."""
        self._look_soon(told=False)

    def _look_soon(self, told: bool) -> None:
        if not self._running:
            return
        if self._is_looking:
            self._look_again = True
            return
        self._is_looking = True
        self._looked = Deferred.fromCoroutine(self._look(told))

    async def _look(self, told: bool) -> None:
        self._set_timer(None)
        wait_s = self._settings.poll
        try:
            if self._departures_due:
                await self._release_dead_owners()
            # Without a wake-up, a read first: it costs less than a claim, which is a write.
            left_s = 0.0 if told else await self._time_to_wait()
            wait_s = max(left_s if left_s > 0 else await self._claim_all(), _SHORTEST_WAIT_S)
        except (MailError, CancelledError) as error:
            log.warn("{event} {reason}", event="queue.store_failed", reason=reason_of(error))
        except Exception:
            log.failure("{event}", event="queue.poll_failed")
        finally:
            self._is_looking = False
        again, self._look_again = self._look_again, False
        if again and self._running:
            self._set_timer(_TOGETHER_S, self.wake)
        elif self._running:
            self._set_timer(wait_s, self._poll)

    async def _release_dead_owners(self) -> None:
        """Release at once the claims of dead processes that share the data folder."""
        dead_owners = self._presence.dead_owners()
        if dead_owners:
            released = await self._queue.release_claims(dead_owners)
            maildrops = await self._maintenance.release_maildrops(dead_owners)
            log.info(
                "{event} {count} and {maildrops} maildrops of {owners}",
                event="queue.claims_released",
                count=released,
                maildrops=maildrops,
                owners=", ".join(dead_owners),
            )
        self._presence.forget_dead_owners()
        self._departures_due = False

    async def _claim_all(self) -> float:
        """Claim while entries are due and there is room for them; returns the seconds to wait before the next poll."""
        settings = self._settings
        while self._running:
            room = settings.concurrency - len(self._under_way)
            # Claiming one by one as places become free would cost a transaction for each message.
            self._full = room * 2 < settings.concurrency
            if self._full:
                return settings.poll
            limit = min(room, settings.claim_batch)
            entries = await self._queue.claim(self._owner, self._clock.seconds(), settings.lease, limit)
            for entry in entries:
                # The entry is active here already if its lease ended before it was renewed: this claim renews it.
                if entry.entry_id not in self._under_way:
                    self._begin(entry)
            if len(entries) < limit:
                break
        return settings.poll if self._look_again else await self._time_to_wait()

    async def _time_to_wait(self) -> float:
        """Seconds until an entry is due or the next poll; 0 or less: an entry is due."""
        now = self._clock.seconds()
        due = await self._queue.next_due(now)
        return self._settings.poll if due is None else min(due - now, self._settings.poll)

    def _set_timer(self, wait_s: float | None, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if wait_s is None or then is None else self._clock.callLater(wait_s, then)

    async def _renew_all(self) -> None:
        self._departures_due = True
        if self._under_way:
            until = self._clock.seconds() + self._settings.lease
            await self._queue.renew(self._owner, list(self._under_way), until)

    def _renew(self) -> Deferred[None]:
        def failed(failure: Failure) -> None:
            if failure.check(MailError, CancelledError) is None:
                log.failure("{event}", failure, event="queue.renew_failed")
            else:
                log.warn("{event} {reason}", event="queue.renew_failed", reason=reason_of(failure.value))

        return Deferred.fromCoroutine(self._renew_all()).addErrback(failed)

    # --- one entry

    def _begin(self, entry: QueueEntry) -> None:
        done = Deferred.fromCoroutine(self._work(entry))
        if not done.called:
            self._under_way[entry.entry_id] = done
            done.addBoth(self._done, entry.entry_id)

    def _done(self, result: object, entry_id: EntryId) -> None:
        del self._under_way[entry_id]
        if self._full and len(self._under_way) * 2 <= self._settings.concurrency:
            self._full = False
            self.wake()

    async def _work(self, entry: QueueEntry) -> None:
        by_route: dict[str, list[QueuedRecipient]] = {}
        for recipient in entry.recipients:
            by_route.setdefault(recipient.route, []).append(recipient)
        if len(by_route) == 1:
            ((route, recipients),) = by_route.items()
            await self._end(await self._attempt_route(entry, route, recipients))
            return
        # Each route is settled when it ends: a slow one must not delay recording the outcomes of the others.
        ended: DeferredQueue[_Ended] = DeferredQueue()
        for route, recipients in by_route.items():
            Deferred.fromCoroutine(self._attempt_route(entry, route, recipients)).addCallback(ended.put)
        left = len(by_route)
        while left:
            done = [await ended.get()]
            while ended.pending:
                done.append(await ended.get())
            left -= len(done)
            await self._end(_together(done), more=left > 0)

    async def _end(self, ended: _Ended, more: bool = False) -> None:
        """Settle the outcomes of an attempt, or of the part of it that has ended."""
        entry = ended.entry
        try:
            decided, report = await self._reporting.report(entry, self._decide(entry, ended.outcomes))
            if report is not None and self._history is not None:
                report = evolve(report, history=self._history.reported(entry, report))
            ended = evolve(ended, outcomes=decided)
            if any(one.success for one in decided):
                ended = await self._with_successes(ended)
            await self._settle(ended, report, more)
        except CancelledError:
            if not self._running:
                raise
            # The outcomes of other routes are settled all the same.
            log.warn(
                "{event} {queue_id} {reason}", event="queue.settle_lost", queue_id=entry.queue_id, reason=CALLED_OFF
            )
        except Exception:
            # The claim lapses, and the recipients are tried again.
            log.failure("{event} {queue_id}", event="queue.settle_failed", queue_id=entry.queue_id)

    async def _with_successes(self, ended: _Ended) -> _Ended:
        """The same, with reports of successes to go along: they are dropped with the copies that they tell of."""
        entry, here = ended.entry, ended.here
        reports = await self._reporting.report_successes(entry, ended.outcomes)
        if self._history is not None:
            reports = [evolve(one, history=self._history.reported(entry, one)) for one in reports]
        return evolve(ended, here=evolve(here, along=(*here.along, *reports)))

    async def _attempt_route(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> _Ended:
        """An outcome for each recipient, whatever happens."""
        try:
            if not self._here.is_known_elsewhere(route) and await self._here.leads_here(route):
                here = await self._here.deliver(entry, recipients)
                return _Ended(entry, here.outcomes, here)
            return _Ended(entry, await self._transport.attempt(entry, route, recipients))
        except (MailError, CancelledError) as error:
            log.warn(
                "{event} {queue_id} {reason}",
                event="queue.attempt_failed",
                queue_id=entry.queue_id,
                reason=reason_of(error),
            )
            reply = error.public if isinstance(error, MailError) else CALLED_OFF
        except Exception:
            log.failure(
                "{event} {queue_id} {route}", event="queue.attempt_broken", queue_id=entry.queue_id, route=route
            )
            reply = "internal error"
        return _Ended(entry, [Outcome(one.position, RecipientState.DELAYED, "4.3.0", reply) for one in recipients])

    def _decide(self, entry: QueueEntry, outcomes: Sequence[Outcome]) -> list[Outcome]:
        now = self._clock.seconds()
        by_position = {recipient.position: recipient for recipient in entry.recipients}
        took = hosts_that_took(outcomes)
        decided = []
        for outcome in outcomes:
            recipient = by_position[outcome.position]
            one = decide(self._settings, entry, recipient, outcome, now, self._random.random())
            # Delayed by this stop, not by a host.
            delayed_by_us = one.state is RecipientState.DELAYED and not self._running
            if delayed_by_us or wants_transaction_of_its_own(one, took):
                one = evolve(one, next_attempt=now)
            elif one.state is not outcome.state:
                log.info(
                    "{event} {queue_id} to=<{recipient}> status={status} reply={reply}",
                    event="queue.expired",
                    queue_id=entry.queue_id,
                    recipient=str(recipient.address),
                    status=one.status,
                    reply=one.reply,
                )
            decided.append(one)
        return decided

    async def _settle(self, ended: _Ended, report: Acceptance | None, more: bool) -> None:
        """Settle, and retry while the store fails: giving up here would send the message once more.

        An unexpected error may be permanent, and is retried a few times only."""
        entry = ended.entry
        defects = 0
        while True:
            outcomes, here = ended.outcomes, ended.here
            history = None
            if self._history is not None:
                history = self._history.attempted(entry, outcomes, here, report)
            try:
                await self._queue.settle(
                    self._owner,
                    entry.entry_id,
                    outcomes,
                    here.deliveries,
                    report,
                    more,
                    history,
                    here.outgoing,
                    here.along,
                )
                return
            except NoSuchEntry:
                # An operator has deleted the entry meanwhile, or the lease ended and another process has claimed it.
                log.warn("{event} {queue_id}", event="queue.claim_lost", queue_id=entry.queue_id)
                return
            except (NoSuchAccount, OverQuota) as error:
                # The account of a copy or of a report has just been deleted, or is full now: neither may keep the
                # hosts' replies from being recorded.
                if here.deliveries or here.along:
                    again = self._clock.seconds() + self._settings.retry_first
                    if isinstance(error, OverQuota):
                        # Each of them fits, as has been asked before, but not all together.
                        ended = ended.without_copies(again, "4.2.2", error.public, _APART_S)
                    else:
                        ended = ended.without_copies(again, "4.2.1", _ACCOUNT_GONE)
                elif report is not None:
                    report = None
                else:
                    raise
                continue
            except MailError as error:
                log.warn(
                    "{event} {queue_id} {reason}",
                    event="queue.settle_delayed",
                    queue_id=entry.queue_id,
                    reason=str(error),
                )
                if not self._running:
                    raise
            except CancelledError:
                # A cancelled write most likely takes place all the same: a second one would report twice.
                raise
            except Exception:
                defects += 1
                if defects >= _DEFECTS_MAX or not self._running:
                    raise
                log.failure("{event} {queue_id}", event="queue.settle_broken", queue_id=entry.queue_id)
            await deferLater(self._clock, _SETTLE_AGAIN_S)
