"""Writes messages into a folder."""

import os
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import succeed
from zope.interface import implementer

from pymailsuite.errors import ConfigError, TemporaryFailure
from pymailsuite.interfaces import Outcome, RecipientState
from pymailsuite.interfaces.transport import ITransport
from pymailsuite.relay.transports import TransportContext
from pymailsuite.values import MAX_CHUNK


@implementer(ITransport)
@frozen
class Directory:
    """Files in ``folder``, named by message, entry and route."""

    folder: Path
    context: TransportContext

    async def attempt(self, entry, route, recipients):
        """Delivered to all recipients, or none."""
        fields = "".join(f"Delivered-To: {recipient.address}\r\n" for recipient in recipients)
        source = entry.source(self.context.read_content).with_fields(fields.encode())
        path = self.folder / f"{entry.queue_id}-{entry.entry_id:X}-{route.replace('/', '_')}.eml"
        try:
            file = await self.context.in_thread(open, path.with_suffix(".part"), "wb")
            with file:
                for start in range(0, source.size, MAX_CHUNK):
                    octets = await source.read(start, min(start + MAX_CHUNK, source.size))
                    await self.context.in_thread(file.write, octets)
                await self.context.in_thread(_keep, file, path)
        except OSError as error:
            raise TemporaryFailure(f"the file cannot be written: {error.strerror}") from error
        return [Outcome(one.position, RecipientState.DELIVERED, "2.0.0", "in a file") for one in recipients]

    def close(self):
        """There is nothing to end."""
        return succeed(None)


def _keep(file, path):
    file.flush()
    os.fsync(file.fileno())
    os.replace(file.name, path)


def make_transport(context):
    """The transport for the folder that the settings name."""
    if not Path(context.argument).is_dir():
        raise ConfigError(f"relay.transports: there is no folder {context.argument!r}")
    return Directory(Path(context.argument), context)
