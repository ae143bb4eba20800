"""Makes a decision of verdicts by the configuration: pure, and independent of how the verdicts were obtained.

Each verdict first becomes a :class:`AppliedVerdict`: the policy's action says what it counts as. Objections to a
client, its name or the sender wait until RCPT, unless the policy's section says ``at_once``: there the log can tell
whom it was about, and the recipient's own configuration is asked. What a policy that knows the client or the sender to
be good ACCEPTs, the others' objections do not undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from attrs import evolve

from pymailsuite.config.sections.policy import Exemptions, PolicyAction, PolicySection, PolicySettings
from pymailsuite.directory.roles import is_role
from pymailsuite.dns.names import comparable_address, comparable_domain, comparable_name
from pymailsuite.interfaces.edits import NO_EDITS, Edits
from pymailsuite.interfaces.policy import (
    Action,
    AppliedVerdict,
    Decision,
    Disposal,
    Effect,
    MailTransaction,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.message.authentication_results import POLICY_SCORE, authentication_results_field
from pymailsuite.policy.base import NO_OPINION
from pymailsuite.policy.combining import CombinedEdits
from pymailsuite.policy.short_keys import remember_short
from pymailsuite.values import Address
from pymailsuite.wire.addresses import in_networks

_OBJECTIONS: Final = (Effect.REJECT, Effect.TEMPFAIL)
_AFTER_RECIPIENTS: Final = (Stage.DATA, Stage.MESSAGE)
_REFUSED: Final = PolicyReply(550, "5.7.1", "Refused by policy")
_LATER: Final = PolicyReply(451, "4.7.1", "Refused for now, try again later")
_UNCHECKED: Final = PolicyReply(451, "4.7.0", "Cannot be checked now, try again later")
_TOO_HIGH: Final = PolicyReply(550, "5.7.1", "Too much speaks against this message")
_SEPARATELY: Final = PolicyReply(452, "4.5.3", "Other rules apply to this recipient: send to it separately")
_UNHEARD: Final[Mapping[PolicyAction, PolicyAction]] = {"off": "log"}
"""Actions that come to the same for a recipient: the policy is asked, and does not count."""
_WORDS_MAX: Final = 5
"""How many are named that have set an objection aside."""
_BY_RECIPIENT: Final = "recipients"
"""What ``decided_by`` says when it is only that recipients have different rules."""
_BY_SCORE: Final = "score"
"""What ``decided_by`` says when it is nobody's objection alone."""


def effect_of(action: PolicyAction, score: float, verdict: Verdict) -> tuple[Effect, float]:
    """The effect of a verdict where the policy's action is ``action`` and its score ``score``; and the score it
    adds."""
    said = verdict.action
    if said is Action.PASS:
        return Effect.NONE, 0.0
    if action in ("log", "off"):
        return Effect.NONE, 0.0
    if said is Action.ACCEPT:
        return Effect.ACCEPT, 0.0
    if said is Action.TAG:
        return Effect.TAG, 0.0
    if said is Action.SCORE:
        return Effect.SCORE, verdict.score
    if action == "score":
        # That it cannot be said now is nothing to be held against anybody.
        added = verdict.score or (score if said is Action.REJECT else 0.0)
        return (Effect.SCORE, added) if added else (Effect.NONE, 0.0)
    if said is Action.REJECT and action == "reject":
        return Effect.REJECT, 0.0
    return Effect.TEMPFAIL, 0.0


def verdict_of_failure(section: PolicySection) -> Verdict:
    """The verdict of a policy that has no answer."""
    if section.on_failure == "tempfail":
        return Verdict(Action.TEMPFAIL, "cannot be checked", reply=_UNCHECKED)
    return Verdict()


@remember_short(4096, 320)
def _comparable_entry(entry: str) -> str:
    """An entry of :func:`is_listed` in the form in which it is compared."""
    if entry.startswith("."):
        return "." + comparable_domain(entry[1:])
    return comparable_name(entry)


def is_listed(address: Address, entries: Iterable[str]) -> bool:
    """True if one of ``user@domain``, ``domain`` and ``.domain`` (all names below it) is this address."""
    whole, domain = comparable_address(address.local_part, address.domain), comparable_domain(address.domain)
    for entry in map(_comparable_entry, entries):
        if entry in (whole, domain) or (entry.startswith(".") and domain.endswith(entry)):
            return True
    return False


class DecisionRules:
    """Decides by ``settings`` and the section of each policy, by its name.

    ``speaks_later`` says at RCPT whether a policy may yet say something of this transaction, at DATA or later.
    ``places`` is the order in which policies are asked, by name and stage."""

    def __init__(
        self,
        settings: PolicySettings,
        sections: Mapping[str, PolicySection],
        speaks_later: Callable[[str, MailTransaction], bool],
        places: Mapping[tuple[str, Stage], int] | None = None,
    ) -> None:
        self._settings = settings
        self._sections = sections
        self._speaks_later = speaks_later
        self._places = places or {}
        self._overrides = {_comparable_entry(name): overrides for name, overrides in settings.recipients.items()}
        self._excepted = frozenset(settings.accept_except)
        exemptions: list[Exemptions] = [settings, *sections.values()]
        self._exempt_recipients = [each.exempt_recipients for each in exemptions if each.exempt_recipients]
        self.tells_recipients_apart = bool(self._overrides or self._exempt_recipients)
        """Whether the configuration alone says that it may depend on the recipient what becomes of a message."""

    # --- one verdict

    def rule(
        self, policy: str, transaction: MailTransaction, verdict: Verdict, seconds: float, failure: str = ""
    ) -> AppliedVerdict:
        """The verdict, as it counts in general."""
        section = self._sections[policy]
        effect, score = effect_of(section.action, section.score, verdict)
        if effect not in (Effect.NONE, Effect.ACCEPT) and (
            self._is_exempt(self._settings, transaction) or self._is_exempt(section, transaction)
        ):
            effect, score = Effect.NONE, 0.0
        recipient = transaction.recipient if transaction.stage is Stage.RCPT else None
        return AppliedVerdict(policy, transaction.stage, verdict, effect, score, seconds, failure, recipient)

    def _is_exempt(self, listed: Exemptions, transaction: MailTransaction) -> bool:
        if in_networks(transaction.peer.ip, listed.exempt_networks):
            return True
        sender = transaction.reverse_path
        if sender is not None and listed.exempt_senders and is_listed(sender, listed.exempt_senders):
            return True
        return bool(listed.exempt_recipients) and any(
            is_listed(one, listed.exempt_recipients) for one in _concerned(transaction)
        )

    # --- a stage

    def decide(self, transaction: MailTransaction, applied_verdicts: Sequence[AppliedVerdict]) -> Decision:
        """What ``applied_verdicts``, those of the transaction's stage, and those of earlier stages come to."""
        stage = transaction.stage
        known = (
            (*transaction.applied_verdicts, *applied_verdicts)
            if transaction.applied_verdicts
            else tuple(applied_verdicts)
        )
        # Most verdicts count as nothing, whatever anybody wants; and where all recipients have the same rules, more do.
        differ = self._overrides or transaction.overrides
        keep = _outspoken if differ else _counting
        counting = keep(known)
        here = keep(applied_verdicts) if counting else ()
        score = _score_of(counting)
        refusal, decided_by = None, ""
        if counting and self._is_for_roles(transaction):
            pass
        elif stage is Stage.RCPT:
            if counting:
                refusal, decided_by = self._refusal_for(transaction.recipient, counting, counting, transaction)
            if refusal is None and self._is_to_come_alone(transaction, counting):
                refusal, decided_by = _SEPARATELY, _BY_RECIPIENT
        elif not counting:
            pass
        elif stage in _AFTER_RECIPIENTS:
            # One answer for all of them. Those of a stranger's message have the same rules; of those of a user's, who
            # cannot be asked to send twice, all get what one of them wants to have.
            for recipient in self._each_with_rules(transaction) if differ else transaction.recipients[:1]:
                refusal, decided_by = self._refusal_for(recipient, here, counting, transaction)
                if refusal is None:
                    break
        else:
            at_once = [applied for applied in here if self._sections[applied.policy].at_once]
            refusal, decided_by = self._objection(at_once, counting, transaction, {})
        hints: tuple[str, ...] = ()
        if refusal is None:
            hints = tuple([r.verdict.hint for r in applied_verdicts if r.verdict.hint and r.effect not in _OBJECTIONS])
        if stage is not Stage.MESSAGE:
            return Decision(refusal, tuple(applied_verdicts), decided_by, score, hints)
        if refusal is not None:
            final_verdicts = self._final_verdicts(transaction, transaction.applied_verdicts)
            return Decision(
                refusal,
                tuple(applied_verdicts),
                decided_by,
                score,
                final_verdicts=(*final_verdicts, *applied_verdicts) if final_verdicts else (),
            )
        edits = self._edits(transaction, counting, known) if counting else NO_EDITS
        prefix = self._prefix(transaction, known, score, edits)
        disposals = self._disposals(transaction, known)
        final_verdicts = self._final_verdicts(transaction, known) if counting else ()
        return Decision(None, tuple(applied_verdicts), "", score, hints, prefix, disposals, final_verdicts, edits)

    def _is_for_roles(self, transaction: MailTransaction) -> bool:
        """Whether all that a stage is about are roles, whose mail is taken in any case (RFC 5321 §4.5.1)."""
        concerned = _concerned(transaction)
        return self._settings.exempt_roles and bool(concerned) and all(map(is_role, concerned))

    def _final_verdicts(
        self, transaction: MailTransaction, over: Sequence[AppliedVerdict]
    ) -> tuple[AppliedVerdict, ...]:
        """Verdicts after which mail went on, if any of them is an objection: it has not counted."""
        if not any(applied.effect in _OBJECTIONS for applied in over):
            return ()
        vouching = [other for other in over if other.effect is Effect.ACCEPT]
        return tuple(
            [
                evolve(
                    applied, effect=Effect.OVERRULED, overruled_by=self._who_overruled(applied, transaction, vouching)
                )
                if applied.effect in _OBJECTIONS
                else applied
                for applied in over
            ]
        )

    def _who_overruled(
        self, applied: AppliedVerdict, transaction: MailTransaction, vouching: Sequence[AppliedVerdict]
    ) -> str:
        """The reason: the policy that vouches, or the recipients with other rules."""
        concerned = (None, applied.recipient)
        words = dict.fromkeys(
            f"{other.policy} vouches"
            for other in vouching
            if applied.policy not in self._excepted and (applied.recipient is None or other.recipient in concerned)
        )
        for recipient in transaction.recipients if applied.recipient is None else (applied.recipient,):
            if self._settings.exempt_roles and is_role(recipient):
                words[f"{recipient} takes all mail"] = None
            action = self._wanted_by(recipient, transaction)[0].get(applied.policy)
            if action is not None and action != self._sections[applied.policy].action:
                words[f"{recipient} wants {applied.policy}={action}"] = None
            if len(words) >= _WORDS_MAX:
                break
        return ", ".join(words)

    def _disposals(self, transaction: MailTransaction, known: Sequence[AppliedVerdict]) -> dict[Address, Disposal]:
        """Where copies go instead, by the rules of each recipient and policies that vouch for the mail; of two
        disposals the graver."""
        found: dict[Address, Disposal] = {}
        objections = [applied for applied in known if applied.verdict.disposal is not None]
        for recipient in transaction.recipients if objections else ():
            actions, _ = self._wanted_by(recipient, transaction)
            vouched = _vouched(known, recipient)
            for applied in objections:
                disposal = applied.verdict.disposal
                if disposal is None or applied.recipient not in (None, recipient):
                    continue
                if self._counted(applied, actions)[0] is not Effect.TAG or (
                    vouched and applied.policy not in self._excepted
                ):
                    continue
                if found.get(recipient) is not Disposal.DISCARD:
                    found[recipient] = disposal
        return found

    def _edits(
        self, transaction: MailTransaction, counting: Sequence[AppliedVerdict], known: Sequence[AppliedVerdict]
    ) -> Edits:
        """The edits, in the order in which policies are asked. Of a user's message, whose recipients may have rules of
        their own, all get what is changed for any of them; who gets it, and where, is up to each."""
        wanting = [applied for applied in counting if applied.verdict.edits]
        if not wanting:
            return NO_EDITS
        combined = CombinedEdits()
        for applied in sorted(wanting, key=lambda applied: self._places.get((applied.policy, applied.stage), 0)):
            concerned = [
                recipient
                for recipient in transaction.recipients
                if applied.recipient in (None, recipient)
                and self._counted(applied, self._wanted_by(recipient, transaction)[0])[0] is Effect.TAG
            ]
            if concerned:
                excepted = applied.policy in self._excepted
                vouched = [] if excepted else [one for one in concerned if _vouched(known, one)]
                combined.add(applied.policy, applied.stage, applied.verdict.edits, concerned, vouched)
        signatures = [applied.verdict.signature for applied in _latest(known)]
        return combined.edits(signature for signature in signatures if signature is not None)

    def _each_with_rules(self, transaction: MailTransaction) -> Iterator[Address]:
        """The recipients; of those with the same rules one."""
        seen: set[object] = set()
        for recipient in transaction.recipients:
            actions, limit = self._wanted_by(recipient, transaction)
            rules = (frozenset(actions.items()), limit)
            if rules not in seen:
                seen.add(rules)
                yield recipient

    def _wanted_by(
        self, recipient: Address | None, transaction: MailTransaction
    ) -> tuple[dict[str, PolicyAction], float]:
        """The actions that a recipient's domain and account want otherwise, and the score they refuse from: what the
        directory says goes before what the configuration does, and of each, the account before the domain."""
        actions: dict[str, PolicyAction] = {}
        limit = self._settings.reject_score
        if recipient is not None and (self._overrides or transaction.overrides):
            for overrides in (
                self._overrides.get(comparable_domain(recipient.domain)),
                self._overrides.get(comparable_address(recipient.local_part, recipient.domain)),
                transaction.overrides.get(recipient),
            ):
                if overrides is not None:
                    actions |= overrides.actions
                    limit = limit if overrides.reject_score is None else overrides.reject_score
        return actions, limit

    def _refusal_for(
        self,
        recipient: Address | None,
        considered: Sequence[AppliedVerdict],
        known: Sequence[AppliedVerdict],
        transaction: MailTransaction,
    ) -> tuple[PolicyReply | None, str]:
        """The refusal by the rules of this recipient, and the policy that decided it."""
        actions, limit = self._wanted_by(recipient, transaction)
        objection, decided_by = self._objection(considered, known, transaction, actions)
        if objection is not None:
            return objection, decided_by
        score = self._score_by(known, actions)
        if limit and score >= limit and not _accepted(known, transaction):
            return self._explained(_TOO_HIGH), _BY_SCORE
        return None, ""

    def _score_by(self, known: Sequence[AppliedVerdict], actions: Mapping[str, PolicyAction]) -> float:
        if not actions:
            return _score_of(known)
        return sum(self._counted(applied, actions)[1] for applied in _latest(known))

    def _is_to_come_alone(self, transaction: MailTransaction, known: Sequence[AppliedVerdict]) -> bool:
        """Whether the recipient has other rules than those before it. There is one reply to a message: it would get
        what it does not want, or they would not get what they want. Source: RFC 5321 §4.5.3.1.10."""
        peer, recipient = transaction.peer, transaction.recipient
        if recipient is None or not transaction.recipients:
            return False
        if not (self.tells_recipients_apart or transaction.overrides):
            return False
        if transaction.submission or peer.login or peer.trusted:
            return False
        first = transaction.recipients[0]
        return self._rules_of(recipient, transaction, known) != self._rules_of(first, transaction, known)

    def _rules_of(
        self, recipient: Address, transaction: MailTransaction, known: Sequence[AppliedVerdict]
    ) -> tuple[object, ...]:
        """Of a recipient's rules, those that the answer to the message may depend on: what is for RCPT and before has
        been decided for each recipient, and is no reason to send twice."""
        actions, limit = self._wanted_by(recipient, transaction)
        later = {
            policy: wanted
            for policy, action in actions.items()
            if (section := self._sections.get(policy)) is not None
            and (wanted := _UNHEARD.get(action, action)) != section.action
            and self._speaks_later(policy, transaction)
        }
        exempt = tuple([is_listed(recipient, listed) for listed in self._exempt_recipients])
        return later, limit, self._score_by(known, actions), exempt

    def _counted(self, applied: AppliedVerdict, actions: Mapping[str, PolicyAction]) -> tuple[Effect, float]:
        action = actions.get(applied.policy)
        if action is None:
            return applied.effect, applied.score
        return effect_of(action, self._sections[applied.policy].score, applied.verdict)

    def _objection(
        self,
        considered: Sequence[AppliedVerdict],
        known: Sequence[AppliedVerdict],
        transaction: MailTransaction,
        actions: Mapping[str, PolicyAction],
    ) -> tuple[PolicyReply | None, str]:
        """The objection that stands: a final one before one for now, and of those the first."""
        found: tuple[Effect, AppliedVerdict] | None = None
        for applied in considered:
            effect, _ = self._counted(applied, actions)
            if effect is Effect.REJECT or (effect is Effect.TEMPFAIL and found is None):
                if applied.policy not in self._excepted and _accepted(known, transaction):
                    continue
                found = (effect, applied)
                if effect is Effect.REJECT:
                    break
        if found is None:
            return None, ""
        effect, applied = found
        return self._explained(_reply_of(effect, applied.verdict.reply)), applied.policy

    def _explained(self, reply: PolicyReply) -> PolicyReply:
        url = self._settings.help_url
        if not url or url in reply.text:
            return reply
        return PolicyReply(reply.code, reply.enhanced_code, f"{reply.text}; see {url}")

    # --- what goes in front of the message

    def _prefix(
        self, transaction: MailTransaction, known: Sequence[AppliedVerdict], score: float, edits: Edits
    ) -> bytes:
        rcpt = Stage.RCPT
        latest = _latest([applied for applied in known if applied.verdict is not NO_OPINION or applied.stage is rcpt])
        results = [result for applied in latest for result in applied.verdict.results]
        pieces = [
            field
            for applied in latest
            for field in applied.verdict.fields
            if applied.verdict.action is not Action.TAG or applied.effect is Effect.TAG
            # What signs the message signs it anew when it has been changed.
            if not edits.signatures or applied.verdict.signature not in edits.signatures
        ]
        if results:
            sender = transaction.reverse_path
            # What was declared may not be needed: only with such a sender do all hosts on the way take UTF-8.
            utf8 = transaction.smtputf8 and sender is not None and not sender.local_part.isascii()
            pieces.append(authentication_results_field(transaction.authserv_id, results, smtputf8=utf8))
        limit = self._settings.tag_score
        if limit and score >= limit:
            names = dict.fromkeys(applied.policy for applied in latest if applied.score)
            pieces.append(f"{POLICY_SCORE}: {score:g} ({', '.join(names)})\r\n".encode())
        return b"".join(pieces)


def _concerned(transaction: MailTransaction) -> tuple[Address, ...]:
    """The recipients a stage is about."""
    if transaction.stage is Stage.RCPT:
        return () if transaction.recipient is None else (transaction.recipient,)
    return transaction.recipients if transaction.stage in _AFTER_RECIPIENTS else ()


def _outspoken(applied_verdicts: Sequence[AppliedVerdict]) -> Sequence[AppliedVerdict]:
    """Without those that have no effect under any rule; for RCPT as in :func:`_counting`."""
    kept = [applied for applied in applied_verdicts if applied.verdict.action is not Action.PASS]
    if any(applied.verdict.score < 0 for applied in kept):
        return [
            applied
            for applied in applied_verdicts
            if applied.verdict.action is not Action.PASS or applied.stage is Stage.RCPT
        ]
    return kept


def _counting(applied_verdicts: Sequence[AppliedVerdict]) -> Sequence[AppliedVerdict]:
    """Without those that count as nothing; but if one weighs less than nothing, another at RCPT may outweigh it by
    that."""
    none = Effect.NONE
    kept = [applied for applied in applied_verdicts if applied.effect is not none]
    if kept and any(applied.score < 0 for applied in kept):
        return [applied for applied in applied_verdicts if applied.effect is not none or applied.stage is Stage.RCPT]
    return kept


def _latest(known: Sequence[AppliedVerdict]) -> list[AppliedVerdict]:
    """The last of each policy and stage, in the order of their first; of RCPT, the one that weighs most."""
    found: dict[tuple[str, Stage], AppliedVerdict] = {}
    for applied in known:
        key = (applied.policy, applied.stage)
        earlier = found.get(key)
        if earlier is None or applied.stage is not Stage.RCPT or applied.score >= earlier.score:
            found[key] = applied
    return list(found.values())


def _score_of(known: Sequence[AppliedVerdict]) -> float:
    if not any(applied.score for applied in known):
        return 0.0
    return sum(applied.score for applied in _latest(known))


def _accepted(known: Sequence[AppliedVerdict], transaction: MailTransaction) -> bool:
    """Whether a policy vouches for the client, the sender or the message, or for each of the recipients."""
    vouched: set[Address] = set()
    for applied in known:
        if applied.effect is Effect.ACCEPT:
            if applied.stage is not Stage.RCPT:
                return True
            if applied.recipient is not None:
                vouched.add(applied.recipient)
    concerned = _concerned(transaction)
    return bool(concerned) and all(recipient in vouched for recipient in concerned)


def _vouched(known: Sequence[AppliedVerdict], recipient: Address) -> bool:
    """Whether a policy vouches for the client, the sender or the message, as far as this recipient goes."""
    return any(applied.effect is Effect.ACCEPT and applied.recipient in (None, recipient) for applied in known)


def _reply_of(effect: Effect, reply: PolicyReply | None) -> PolicyReply:
    if reply is None:
        return _REFUSED if effect is Effect.REJECT else _LATER
    if effect is Effect.TEMPFAIL and reply.code >= 500:
        return PolicyReply(451, f"4{reply.enhanced_code[1:]}", reply.text)
    return reply
