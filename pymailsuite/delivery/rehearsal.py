"""A message that is received without being received: what the policies would say of it, stage by stage.

The chain is the server's, and so is the way a message's header is read; there is no connection, and in the end nothing
is accepted. Unlike a server it does not stop at a refusal, so that all checks have their say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from pymailsuite.delivery.intake import IncomingMessage, MessageIntake
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces import IContentWriter, StagedContent
from pymailsuite.interfaces.policy import Decision, IPolicyChain, MailTransaction, Ruling, Stage
from pymailsuite.values import Address, ContentId, Envelope, Peer

_BEFORE_RECIPIENTS: Final = (Stage.CONNECT, Stage.HELO, Stage.MAIL)


@implementer(IContentWriter)
class _Nowhere:
    """Where the octets go."""

    content_id = ContentId(0)
    size = 0

    def write(self, octets: bytes) -> Deferred[None] | None:
        return None

    def finish(self) -> Deferred[StagedContent]:
        return fail(TemporaryFailure(cause="only a rehearsal"))

    def abort(self) -> None:
        """Nothing to forget."""


@frozen
class Rehearsed:
    """What came of it: all ``rulings`` in order, and the decision of each stage.

    ``refused_at`` is the stage whose refusal the client would have been told, None if the message would be accepted.
    """

    rulings: tuple[Ruling, ...]
    decisions: Mapping[Stage, Decision]
    refused_at: Stage | None

    def ruling(self, policy: str) -> Ruling | None:
        """The last one of a policy."""
        return next((one for one in reversed(self.rulings) if one.policy == policy), None)

    @property
    def last(self) -> Decision:
        """The decision at the end of the message."""
        return self.decisions[Stage.MESSAGE]


async def rehearse(
    chain: IPolicyChain,
    intake: MessageIntake,
    peer: Peer,
    reverse_path: Address | None,
    recipients: Sequence[Address],
    chunks: Iterable[bytes],
) -> Rehearsed:
    """Ask the chain about a message as if it came from ``peer``; ``chunks`` are its octets, lines ended by CRLF."""
    decisions: dict[Stage, Decision] = {}
    rulings: list[Ruling] = []
    refused_at: Stage | None = None
    known: dict[str, Any] = {"peer": Peer(ip=peer.ip, port=peer.port, trusted=peer.trusted)}

    async def ask(stage: Stage, **more: Any) -> None:
        nonlocal refused_at
        transaction = MailTransaction(
            stage=stage, authserv_id=chain.authserv_id, rulings=tuple(rulings), **{**known, **more}
        )
        decision = decisions[stage] = await chain.check(transaction)
        rulings.extend(decision.rulings)
        if decision.refusal is not None and refused_at is None:
            refused_at = stage

    for stage in _BEFORE_RECIPIENTS:
        if stage is Stage.HELO:
            known["peer"] = peer
        elif stage is Stage.MAIL:
            known["reverse_path"] = reverse_path
        await ask(stage)
    for recipient in recipients:
        await ask(Stage.RCPT, recipient=recipient)
        known["recipients"] = (*known.get("recipients", ()), recipient)
    await ask(Stage.DATA)
    taps = chain.taps(MailTransaction(stage=Stage.DATA, authserv_id=chain.authserv_id, rulings=tuple(rulings), **known))
    envelope = Envelope(reverse_path, tuple(recipients))
    incoming = IncomingMessage(intake, _Nowhere(), envelope, (), peer, tuple(taps.values()))
    for chunk in chunks:
        incoming.write(chunk)
    await ask(Stage.MESSAGE, message=incoming.received(taps))
    return Rehearsed(tuple(rulings), decisions, refused_at)
