"""IDLE: the client gets changes as they happen. Source: RFC 2177."""

from __future__ import annotations

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, always
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command


async def _idle(context: Context, command: Command) -> None:
    context.expect_line(_Idle(command.tag.encode("ascii")), idle=True)
    context.out.append(b"+ idling\r\n")


@frozen
class _Idle:
    """An IDLE that has begun."""

    tag: bytes

    async def take_line(self, context: Context, line: bytes) -> bytes:
        """The line that ends IDLE."""
        del context
        if line.strip(b" ").upper() != b"DONE":
            raise PeerError("Expected DONE")
        return b"OK IDLE completed"


IDLE = ImapExtension("IDLE", always("IDLE"), commands=(ImapCommand("IDLE", AFTER_LOGIN, _idle),), position=4)
