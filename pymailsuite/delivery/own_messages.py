"""Messages that the server makes itself: reports, and those that delivery steps add."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.readable import ReadableMessage
from pymailsuite.interfaces import Acceptance, IContentWriter, IMailStore, StagedContent
from pymailsuite.interfaces.delivery import DeliveryMessage, DeliveryPlan
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import Decision
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.message.scan import scan
from pymailsuite.values import MAX_CHUNK, Envelope, Peer, queue_id_of


class OwnMessages:
    """Makes acceptances of messages, for the caller to put into a transaction of its own. ``signer`` signs them, if
    given."""

    def __init__(self, store: IMailStore, planner: DeliveryPlanner, signer: ISigner | None = None) -> None:
        self._store = store
        self._planner = planner
        self._signer = signer

    async def prepare(
        self, octets: bytes, envelope: Envelope, origin: str, given: GivenRecipients | None = None
    ) -> tuple[DeliveryPlan, Acceptance | None]:
        """The delivery plan of a message, and its acceptance with the octets staged; None if it has no recipients.

        ``origin`` is the source of the message that operators see; ``given`` are the recipients, where it is known what
        they resolve to. Temporary errors of the store are raised.
        """
        signature: bytes = b"" if self._signer is None else await self._signer.sign(octets)
        writer: IContentWriter = self._store.new_content()
        try:
            message = DeliveryMessage(
                queue_id_of(writer.content_id),
                envelope,
                Peer(""),
                len(octets),
                octets[: octets.find(b"\r\n\r\n") + 4],
                content=ReadableMessage(lambda start, stop: succeed(octets[start:stop]), lambda: scan(octets)),
                automatic=True,
                origin=origin,
            )
            if given is None:
                given = [(address, None) for address in envelope.recipients]
            planned = self._planner.plan(message, given, Decision(prefix=signature))
            plan: DeliveryPlan = await planned if isinstance(planned, Deferred) else planned
            if not (plan.copies or plan.outgoing):
                writer.abort()
                return plan, None
            for start in range(0, len(octets), MAX_CHUNK):
                full = writer.write(octets[start : start + MAX_CHUNK])
                if full is not None:
                    await full
            content: StagedContent = await writer.finish()
        except BaseException:
            writer.abort()
            raise
        return plan, plan.acceptance(content)
