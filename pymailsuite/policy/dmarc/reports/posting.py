"""How reports leave: through the intake of all mail, signed as the mail of users is."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.interfaces import IMessageIntake
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.values import MAX_CHUNK, Address, BodyType, Envelope, Peer, QueueId


@frozen
class Outgoing:
    """The intake of all mail, and the signer of reports, if there is one."""

    intake: IMessageIntake
    signer: ISigner | None = None

    async def post(self, reverse_path: Address | None, recipient: Address, octets: bytes) -> QueueId:
        """Queue a message. MailError; nothing is queued then."""
        signature: bytes = b"" if self.signer is None else await self.signer.sign(octets)
        envelope = Envelope(reverse_path, (recipient,), BodyType.EIGHTBITMIME)
        message = self.intake.open(envelope, [(recipient, None)], Peer(""))
        try:
            for start in range(0, len(octets), MAX_CHUNK):
                full = message.write(octets[start : start + MAX_CHUNK])
                if full is not None:
                    await full
            queue_id: QueueId = await message.commit(signature)
        except BaseException:
            message.abort()
            raise
        return queue_id


def address_of(text: str) -> Address:
    """The address in a text, its domain in lower case."""
    local_part, _, domain = text.rpartition("@")
    return Address(local_part, domain.lower())
