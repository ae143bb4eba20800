"""Stages a message anew that is changed before it is accepted, in bounded memory, beside the received one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.delivery.taps import TapGroup
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces import IContentWriter
from pymailsuite.interfaces.edits import IBodyStream, IMessageSignature, ReplaceBody
from pymailsuite.values import MAX_CHUNK, QueueId

log = Logger()


class BodyFailed(TemporaryFailure):
    """A policy's replacement of the body failed."""

    text = "The message cannot be completed now, try again later"


async def stage_anew(
    writer: IContentWriter, front: bytes, header: bytes, body: AsyncIterator[bytes], tap_group: TapGroup
) -> None:
    """Write a message: ``front`` is its header with the trace field, ``header`` the header for ``tap_group``."""
    await _written(writer.write(front), tap_group.tell(header))
    async for octets in body:
        await _written(writer.write(octets), tap_group.tell(octets))


async def tell_again(header: bytes, body: AsyncIterator[bytes], tap_group: TapGroup) -> None:
    """Pass an unchanged message to taps."""
    await _written(tap_group.tell(header))
    async for octets in body:
        await _written(tap_group.tell(octets))


async def _written(*pauses: Deferred[None] | None) -> None:
    for pause in pauses:
        if pause is not None:
            await pause


async def staged_body(writer: IContentWriter, start: int) -> AsyncIterator[bytes]:
    """The body of a message that has been written, which begins at ``start``."""
    while octets := await writer.read(start, start + MAX_CHUNK):
        yield octets
        start += len(octets)


async def new_body(edit: ReplaceBody, clock: IReactorTime, limit_s: float, queue_id: QueueId) -> AsyncIterator[bytes]:
    """A policy's replacement of the body. BodyFailed if it fails, or takes longer than ``limit_s``."""
    stream = edit.body
    if isinstance(stream, bytes):
        if stream:
            yield stream
        return
    until = clock.seconds() + limit_s
    try:
        while octets := await _read(stream, clock, max(until - clock.seconds(), 0.0)):
            yield octets
    except (GeneratorExit, CancelledError):
        raise
    except Exception as error:
        log.failure("{event} {queue_id}: {stream!r}", event="delivery.body_failed", queue_id=queue_id, stream=stream)
        raise BodyFailed(cause=f"the new body: {error}") from error
    finally:
        _close(stream)


async def _read(stream: IBodyStream, clock: IReactorTime, limit_s: float) -> bytes:
    octets = await stream.read().addTimeout(limit_s, clock)
    if not isinstance(octets, bytes):
        raise TypeError(f"not octets: {octets!r}")
    return octets


def _close(stream: IBodyStream) -> None:
    try:
        stream.close()
    except Exception:
        log.failure("{event}: {stream!r}", event="delivery.body_not_closed", stream=stream)


def signature_fields(signatures: Iterable[IMessageSignature], header: bytes) -> bytes:
    """The fields of all signatures of a message as it is now; one that fails is left out, and logged."""
    fields = []
    for signature in signatures:
        try:
            fields.append(signature.fields(header))
        except Exception:
            log.failure("{event}", Failure(), event="delivery.not_signed_again")
    return b"".join(fields)
