"""A dry run of receiving a message: the decisions about it, stage by stage.

The chain is the server's, and so is the code that resolves recipients, reads the header, and plans the delivery; there
is no connection, and nothing is accepted at the end. Unlike a server it does not stop at a refusal, so that all checks
run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from pymailsuite.delivery.incoming import IncomingMessage, ReceivingRules
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.interfaces import IContentWriter, IRecipientResolver, RemoteRecipient, StagedContent
from pymailsuite.interfaces.delivery import NO_TAPS, DeliveryMessage, DeliveryPlan
from pymailsuite.interfaces.edits import Edits
from pymailsuite.interfaces.intake import Recipients, account_of, overrides_of
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.policy import AppliedVerdict, Decision, IMessageTap, IPolicyChain, MailTransaction, Stage
from pymailsuite.interfaces.quota import IRecipientQuotas
from pymailsuite.message.scan import StructureScanner
from pymailsuite.message.structure import MessageStructure
from pymailsuite.smtp import replies
from pymailsuite.values import MAX_CHUNK, Address, ContentId, Envelope, Peer, QueueId

_BEFORE_RECIPIENTS: Final = (Stage.CONNECT, Stage.HELO, Stage.MAIL)


@implementer(IContentWriter)
class _Nowhere:
    """The sink of the octets, for a long message an unnamed file; and the message."""

    content_id = ContentId(0)
    whole_lines = False

    def __init__(self) -> None:
        self.size = 0
        self._octets = SpooledTemporaryFile(MAX_CHUNK)  # noqa: SIM115
        self._scanner = StructureScanner()
        self._structure: MessageStructure | None = None

    def write(self, octets: bytes) -> Deferred[None] | None:
        self.size += len(octets)
        self._octets.seek(0, SEEK_END)
        self._octets.write(octets)
        self._scanner.feed(octets)
        return None

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        self._octets.seek(start)
        return succeed(self._octets.read(max(0, min(stop - start, MAX_CHUNK))))

    def structure(self) -> MessageStructure:
        if self._structure is None:
            self._structure = self._scanner.finish()
        return self._structure

    def finish(self) -> Deferred[StagedContent]:
        return fail(TemporaryFailure(cause="only a dry run"))

    def abort(self) -> None:
        self._octets.close()

    def accept_received(self, *_: object) -> Deferred[QueueId]:
        """Nothing is accepted."""
        return fail(TemporaryFailure(cause="only a dry run"))

    def new_content(self) -> IContentWriter:
        """Nothing is changed."""
        return _Nowhere()

    def step_taps(self, message: IncomingMessage, edits: Edits) -> Mapping[str, IMessageTap]:
        """No taps: the message is not read again."""
        return NO_TAPS


@frozen
class RecipientCheck:
    """A server's knowledge of recipients; ``relay_denied`` is its reply code to mail of unknown clients for other
    hosts, and ``planner`` plans the delivery to accepted recipients. ``quotas`` None: there are none."""

    resolver: IRecipientResolver
    relay_denied: str
    planner: DeliveryPlanner
    quotas: IRecipientQuotas | None = None

    async def open_for(self, address: Address) -> tuple[Recipients, str]:
        """The resolved recipients of the address, and the reply that refuses it; empty if it is accepted."""
        try:
            resolved = await self.resolver.resolve(address)
        except MailError as error:
            return (), replies.text_of(replies.unknown_recipient(address, error))
        if resolved == (RemoteRecipient(address),):
            return resolved, replies.text_of(replies.relay_denied(self.relay_denied))
        return resolved, ""

    async def room_refusal(self, recipient: DryRunRecipient, octets: int) -> DryRunRecipient:
        """The recipient, refused if a message of so many octets does not fit."""
        if self.quotas is None or recipient.refusal or not self.quotas.concern(recipient.resolved):
            return recipient
        error = await self.quotas.refusal(recipient.resolved, octets)
        if error is None:
            return recipient
        reply = f"{replies.text_of(replies.full_mailbox(recipient.address, error))} ({error.cause})"
        return evolve(recipient, refusal=reply, policy="quota")


@frozen
class DryRunRecipient:
    """The reply to RCPT.

    ``refusal`` is the reply that refuses it, empty if none does; ``policy`` the name of the check that refuses, if one
    does. ``resolved`` is the destination of its mail, empty if that is not known."""

    address: Address
    resolved: Recipients = ()
    refusal: str = ""
    policy: str = ""


@frozen
class DryRunResult:
    """The result: all ``applied_verdicts`` in order, as they would have counted, and the decision of each stage.

    ``refused_at`` is the stage whose refusal the client would have got, None if the message would be accepted for any
    of the recipients. The decision of RCPT is that about the first refused one if none was accepted, else about the
    last. ``plan`` is the delivery plan for accepted recipients, None if nothing is known of them.
    """

    applied_verdicts: tuple[AppliedVerdict, ...]
    decisions: Mapping[Stage, Decision]
    refused_at: Stage | None
    recipients: tuple[DryRunRecipient, ...] = ()
    plan: DeliveryPlan | None = None

    def applied(self, policy: str) -> AppliedVerdict | None:
        """The last verdict of a policy."""
        return next((one for one in reversed(self.applied_verdicts) if one.policy == policy), None)

    @property
    def last(self) -> Decision:
        """The decision at the end of the message."""
        return self.decisions[Stage.MESSAGE]


@define
class _DryRun:
    """One message in progress; ``known`` are the facts of the transaction so far."""

    chain: IPolicyChain
    known: dict[str, Any]
    decisions: dict[Stage, Decision] = field(factory=dict)
    applied_verdicts: list[AppliedVerdict] = field(factory=list)
    recipients: list[DryRunRecipient] = field(factory=list)
    overrides: dict[Address, RecipientOverrides] = field(factory=dict)
    refused_at: Stage | None = None

    def transaction(self, stage: Stage, **more: Any) -> MailTransaction:
        known = {**self.known, "overrides": self.overrides, **more}
        return MailTransaction(
            stage=stage, authserv_id=self.chain.authserv_id, applied_verdicts=tuple(self.applied_verdicts), **known
        )

    async def ask(self, stage: Stage, **more: Any) -> Decision:
        decision: Decision = await self.chain.check(self.transaction(stage, **more))
        self.applied_verdicts.extend(decision.applied_verdicts)
        if stage is not Stage.RCPT:
            self.decisions[stage] = decision
            if decision.refusal is not None:
                self.refuse_at(stage)
        return decision

    def refuse_at(self, stage: Stage) -> None:
        self.refused_at = self.refused_at or stage

    async def ask_about_recipients(self, addresses: Sequence[Address], recipient_check: RecipientCheck | None) -> None:
        let_in: list[Address] = []
        decided: list[tuple[DryRunRecipient, Decision]] = []
        for address in addresses:
            resolved, refusal = ((), "") if recipient_check is None else await recipient_check.open_for(address)
            if overrides_of(resolved) is not NO_OVERRIDES:
                self.overrides[address] = overrides_of(resolved)
            decision = await self.ask(
                Stage.RCPT, recipient=address, recipients=tuple(let_in), account=account_of(resolved)
            )
            policy = ""
            if not refusal and decision.refusal is not None:
                said, policy = decision.refusal, decision.decided_by
                refusal = replies.text_of(replies.reply(said.code, said.enhanced_code, said.text))
            decided.append((DryRunRecipient(address, resolved, refusal, policy), decision))
            if not refusal:
                let_in.append(address)
        self.recipients = [recipient for recipient, _ in decided]
        self.decisions[Stage.RCPT] = decided[-1 if let_in else 0][1] if decided else Decision()
        if decided and not let_in:
            self.refuse_at(Stage.RCPT)
        # No policy would be asked about a message without recipients.
        self.known["recipients"] = tuple(let_in or addresses)

    async def plan(self, planner: DeliveryPlanner, incoming: IncomingMessage) -> DeliveryPlan:
        """The delivery plan of the message, whatever the decisions."""
        message = DeliveryMessage(
            incoming.queue_id, incoming.envelope, incoming.peer, incoming.size, incoming.header, content=incoming
        )
        let_in = [(one.address, one.resolved) for one in self.recipients if not one.refusal]
        planned = planner.plan(message, let_in, self.decisions[Stage.MESSAGE])
        plan: DeliveryPlan = await planned if isinstance(planned, Deferred) else planned
        return plan

    def ended(self, plan: DeliveryPlan | None) -> DryRunResult:
        final_verdicts = (
            self.decisions[Stage.MESSAGE].final_verdicts if self.refused_at in (None, Stage.MESSAGE) else ()
        )
        return DryRunResult(
            final_verdicts or tuple(self.applied_verdicts),
            self.decisions,
            self.refused_at,
            tuple(self.recipients),
            plan,
        )


async def dry_run(
    chain: IPolicyChain,
    rules: ReceivingRules,
    peer: Peer,
    reverse_path: Address | None,
    recipients: Sequence[Address],
    chunks: Iterable[bytes],
    recipient_check: RecipientCheck | None = None,
) -> DryRunResult:
    """Ask the chain about a message as if it came from ``peer``; ``chunks`` are its octets, lines ended by CRLF.

    ``recipient_check`` None: nothing is known of recipients, and all of them are accepted."""
    run = _DryRun(chain, {"peer": Peer(ip=peer.ip, port=peer.port, trusted=peer.trusted)})
    for stage in _BEFORE_RECIPIENTS:
        if stage is Stage.HELO:
            run.known["peer"] = peer
        elif stage is Stage.MAIL:
            run.known["reverse_path"] = reverse_path
        await run.ask(stage)
    await run.ask_about_recipients(recipients, recipient_check)
    await run.ask(Stage.DATA)
    taps = chain.taps(run.transaction(Stage.DATA))
    envelope = Envelope(reverse_path, tuple(recipients))
    nowhere = _Nowhere()
    incoming = IncomingMessage(rules, nowhere, nowhere, envelope, (), peer, tuple(taps.values()))
    for chunk in chunks:
        pause = incoming.write(chunk)
        if pause is not None:
            await pause
    await run.ask(Stage.MESSAGE, message=incoming.received(taps))
    if recipient_check is not None:
        run.recipients = [await recipient_check.room_refusal(one, incoming.size) for one in run.recipients]
        if all(one.refusal for one in run.recipients):
            run.refuse_at(Stage.RCPT)
    ended = run.ended(None if recipient_check is None else await run.plan(recipient_check.planner, incoming))
    incoming.abort()
    return ended
