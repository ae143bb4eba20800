"""The chain: asks the policies of a stage side by side, for as long as the stage has, and decides.

It remembers nothing of a transaction. A policy that is slow, that fails or that says nonsense counts as its section's
``on_failure`` says: nobody waits for it longer than the budget, and the others' verdicts stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.policy import PolicySettings
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Decision,
    IMessageTap,
    IPolicyChain,
    IVerdictRecord,
    MailTransaction,
    Stage,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION
from pymailsuite.policy.combining import are_edits
from pymailsuite.policy.decision import DecisionRules, verdict_of_failure
from pymailsuite.policy.plan import Asked, Installed, Plan, StagePlan, Standing, asking_places, plan_for
from pymailsuite.values import Peer

log = Logger()

_NO_OBJECTION: Final = Decision()
_LEAST_S: Final = 1.0
"""What a stage has in any case: not all of its policies need what earlier stages have waited for."""


def _seconds_spent(applied_verdicts: Sequence[AppliedVerdict]) -> float:
    """How long the client has waited at the stages that are over; of recipients, for the longest."""
    longest: dict[Stage, float] = {}
    for applied in applied_verdicts:
        if applied.seconds and applied.seconds > longest.get(applied.stage, 0.0):
            longest[applied.stage] = applied.seconds
    return sum(longest.values())


@implementer(IPolicyChain)
class PolicyChain:
    """``installed`` is in the order in which objections are chosen for the reply. ``record``, if given, gets every
    decision."""

    def __init__(
        self,
        settings: PolicySettings,
        installed: Sequence[Installed],
        authserv_id: str,
        clock: IReactorTime,
        record: IVerdictRecord | None = None,
    ) -> None:
        self.authserv_id = authserv_id
        self.installed = tuple(one for one in installed if one.section.action != "off")
        self.record = record
        self._settings = settings
        self._clock = clock
        policies = {one.policy.name: one.policy for one in self.installed}
        self._decision_rules = DecisionRules(
            settings,
            {one.policy.name: one.section for one in self.installed},
            lambda name, transaction: policies[name].speaks_after_recipients(transaction),
            asking_places(self.installed),
        )
        self._plans: dict[Standing, Plan] = {
            (known, trusted): plan_for(self.installed, (known, trusted), self._decision_rules.tells_recipients_apart)
            for known, trusted in product((False, True), repeat=2)
        }
        self._told: set[Standing] = set()
        """Of whose peers the log has said which policies are not asked about them."""

    def stages_for(self, peer: Peer, submission: bool) -> frozenset[Stage]:
        """The stages at which any policy is asked about this peer."""
        standing = (submission or bool(peer.login), peer.trusted)
        plan = self._plans[standing]
        if plan.exempted and standing not in self._told:
            self._told.add(standing)
            log.info(
                "{event}: {standing} clients, such as {peer_ip}, are not asked about by {policies}",
                event="policy.exempt",
                standing="logged-in" if submission or peer.login else "trusted",
                peer_ip=peer.ip,
                policies=", ".join(plan.exempted),
            )
        return plan.stages

    def _plan_for(self, peer: Peer, submission: bool) -> Plan:
        return self._plans[submission or bool(peer.login), peer.trusted]

    def check(self, transaction: MailTransaction) -> Deferred[Decision]:
        """Ask the policies of the transaction's stage, within what the stages before have left of the budget."""
        stage = transaction.stage
        plan = self._plan_for(transaction.peer, transaction.submission)
        asked = plan.by_stage[stage]
        if not (asked.order or transaction.applied_verdicts or transaction.overrides) and stage not in plan.stages:
            return succeed(_NO_OBJECTION)
        run = _StageRun(self._decision_rules, transaction, asked, self._clock)
        applied_verdicts = run.start()
        if applied_verdicts is not None:
            return succeed(self._decide(applied_verdicts, transaction))
        limit_s = self._settings.message_budget if stage is Stage.MESSAGE else self._settings.budget
        budget_s = min(limit_s, max(limit_s - _seconds_spent(transaction.applied_verdicts), _LEAST_S))
        return run.wait(budget_s).addCallback(self._decide, transaction)

    def _decide(self, applied_verdicts: Sequence[AppliedVerdict], transaction: MailTransaction) -> Decision:
        decision = self._decision_rules.decide(transaction, applied_verdicts)
        for applied in applied_verdicts:
            if applied.verdict.action is not Action.PASS or applied.failure:
                _log_verdict(transaction, applied)
        if self.record is not None:
            self.record.note(transaction, decision)
        return decision

    def ended(self, peer: Peer, submission: bool, faults: int) -> None:
        """A connection has ended: tell the policies that want to know."""
        if faults:
            for record in self._plan_for(peer, submission).records:
                try:
                    record.ended(peer, faults)
                except Exception:
                    log.failure("{event}", event="policy.record_failed")

    def taps(self, transaction: MailTransaction) -> Mapping[str, IMessageTap]:
        """The taps for the message; a policy that fails to give one has none."""
        found: dict[str, IMessageTap] = {}
        for one in self._plan_for(transaction.peer, transaction.submission).taps:
            try:
                tap = one.policy.tap(transaction)
            except Exception:
                log.failure("{event} {policy}", event="policy.tap_failed", policy=one.policy.name)
                continue
            if tap is not None:
                found[one.policy.name] = tap
        return found


def _log_verdict(transaction: MailTransaction, applied: AppliedVerdict) -> None:
    peer = transaction.peer
    message = transaction.message
    log.info(
        "{event} {policy} at {stage}: {said}, counts as {effect}; {reason}{failure} (from {peer_ip})",
        event="policy.verdict",
        policy=applied.policy,
        stage=applied.stage.value,
        said=applied.verdict.action.value,
        effect=applied.effect.value,
        score=applied.score,
        reason=applied.verdict.reason,
        failure=applied.failure,
        peer_ip=peer.ip,
        helo=peer.helo,
        reverse_path=str(transaction.reverse_path or ""),
        recipient=str(transaction.recipient or ""),
        queue_id=message.queue_id if message is not None else "",
        seconds=round(applied.seconds, 3),
    )


class _StageRun:
    """The policies of one stage, asked about one transaction."""

    __slots__ = (
        "_applied_verdicts",
        "_asking",
        "_clock",
        "_decision_rules",
        "_done",
        "_plan",
        "_timer",
        "_transaction",
        "_under_way",
        "_verdicts",
        "_waiting",
    )

    def __init__(
        self, decision_rules: DecisionRules, transaction: MailTransaction, plan: StagePlan, clock: IReactorTime
    ) -> None:
        self._decision_rules = decision_rules
        self._plan = plan
        self._clock = clock
        # Those who come after others see what these have said: the mapping is filled while the stage goes on.
        self._verdicts = transaction.verdicts
        for applied in transaction.applied_verdicts:
            self._verdicts[applied.policy] = applied.verdict
        self._transaction = transaction
        self._waiting: Sequence[Asked] = plan.asked
        self._under_way: dict[str, tuple[Asked, float, Deferred[Verdict]]] = {}
        self._applied_verdicts: dict[str, AppliedVerdict] = {}
        self._asking = False
        self._timer: IDelayedCall | None = None
        self._done: Deferred[Sequence[AppliedVerdict]] | None = None

    def start(self) -> Sequence[AppliedVerdict] | None:
        """The verdicts, in the order of the policies, if all answers are there, as they are where look-ups are
        remembered."""
        for one in self._plan.stuck:
            self._note(one, verdict_of_failure(one.section), 0.0, f"{one.name} waits for itself")
        self._ask_ready()
        return None if self._under_way else self._in_order()

    def wait(self, budget_s: float) -> Deferred[Sequence[AppliedVerdict]]:
        """The same once all answers are there, or the time is up."""
        self._timer = self._clock.callLater(budget_s, self._time_is_up, budget_s)
        self._done = Deferred(self._call_off)
        return self._done

    def _call_off(self, done: Deferred[Sequence[AppliedVerdict]]) -> None:
        """The client has gone: no further policy is asked, and no verdict is noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = ()
        under_way, self._under_way = self._under_way, {}
        for _, _, answer in under_way.values():
            answer.cancel()

    def _ask_ready(self) -> None:
        """Ask all policies that wait for no other (any more). A policy that comes after others stands behind them, so
        that one pass is enough unless an answer comes while others are asked."""
        self._asking = True
        asked_any = True
        while self._waiting and asked_any:
            waiting, still = self._waiting, list[Asked]()
            self._waiting = still
            for one in waiting:
                if (self._under_way or still) and one.after and self._must_wait(one):
                    still.append(one)
                else:
                    self._ask(one)
            asked_any = len(still) < len(waiting)
        self._asking = False

    def _must_wait(self, one: Asked) -> bool:
        return not one.after.isdisjoint(self._under_way) or any(other.name in one.after for other in self._waiting)

    def _ask(self, one: Asked) -> None:
        try:
            answer = one.ask(self._transaction)
        except Exception:
            self._note_failure(one, Failure(), 0.0)
            return
        if not isinstance(answer, Deferred):
            self._note_failure(one, Failure(TypeError(f"not a Deferred: {answer!r}")), 0.0)
            return
        if answer.called and not answer.paused and isinstance(answer.result, Verdict):
            # It is there, as nearly all are whose look-ups are remembered: nothing to wait for, nothing to time.
            self._note(one, answer.result, 0.0)
            return
        self._under_way[one.name] = (one, self._clock.seconds(), answer)
        answer.addBoth(self._answered, one.name)

    def _answered(self, result: object, name: str) -> None:
        known = self._under_way.pop(name, None)
        if known is None:
            return  # too late
        one, started, _ = known
        seconds = self._clock.seconds() - started
        if isinstance(result, Verdict):
            self._note(one, result, seconds)
        else:
            failure = result if isinstance(result, Failure) else Failure(TypeError(f"not a verdict: {result!r}"))
            if self._is_over and failure.check(CancelledError):
                return  # it was called off, and who did so tells why
            self._note_failure(one, failure, seconds)
        if self._timer is not None and not self._asking:
            self._ask_ready()
            if not self._under_way:
                self._timer.cancel()
                self._finish()

    @property
    def _is_over(self) -> bool:
        return self._done is not None and self._timer is None

    def _note_failure(self, one: Asked, failure: Failure, seconds: float) -> None:
        if not failure.check(DnsFailure, CancelledError):
            log.failure("{event} {policy}", failure, event="policy.failed", policy=one.name)
        self._note(one, verdict_of_failure(one.section), seconds, failure.getErrorMessage())

    def _note(self, one: Asked, verdict: Verdict, seconds: float, failure: str = "") -> None:
        self._verdicts[one.name] = verdict
        if verdict is NO_OPINION and not failure:
            self._applied_verdicts[one.name] = evolve(one.silence, seconds=seconds) if seconds else one.silence
        elif verdict.edits and not (verdict.action is Action.TAG and are_edits(verdict.edits)):
            wrong = TypeError(f"edits that are none, or without TAG: {verdict.action.value}, {verdict.edits!r}")
            self._note_failure(one, Failure(wrong), seconds)
        else:
            self._applied_verdicts[one.name] = self._decision_rules.rule(
                one.name, self._transaction, verdict, seconds, failure
            )

    def _time_is_up(self, budget_s: float) -> None:
        """Policies without an answer are cancelled; one that then gives no verdict of its own has no opinion."""
        self._timer = None
        waited, self._waiting = self._waiting, ()
        for name, (one, _, answer) in list(self._under_way.items()):
            answer.cancel()
            if self._under_way.pop(name, None) is not None or name not in self._applied_verdicts:
                self._note(one, verdict_of_failure(one.section), budget_s, f"no answer within {budget_s:g} s")
        for one in waited:
            self._note(one, verdict_of_failure(one.section), 0.0, f"no time left of {budget_s:g} s")
        self._finish()

    def _finish(self) -> None:
        self._timer = None
        assert self._done is not None, "nobody was to be waited for"
        self._done.callback(self._in_order())

    def _in_order(self) -> Sequence[AppliedVerdict]:
        applied_verdicts = self._applied_verdicts
        return [applied_verdicts[name] for name in self._plan.order]
