"""COMPRESS=DEFLATE: the octets of both directions are compressed. Source: RFC 4978."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pymailsuite.errors import Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, Standing
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import Command


@frozen
class Compress(Command):
    """RFC 4978 §3; the mechanism in upper case."""

    mechanism: str


class CompressionActive(Refusal):
    """The connection is compressed already. Source: RFC 4978 §3."""

    imap_code = "COMPRESSIONACTIVE"
    text = "The connection is compressed already"


def _parse(cursor: Cursor, tag: str) -> Compress:
    # compress = "COMPRESS" SP algorithm;  algorithm = "DEFLATE"   ; RFC 4978 §5
    cursor.space()
    return Compress(tag, cursor.word("a compression mechanism"))


async def _compress(context: Context, command: Compress) -> bytes:
    """The reply is the last that is not compressed."""
    if context.connection.compressed:
        raise CompressionActive()
    if command.mechanism != "DEFLATE" or not context.settings.compress:
        raise Refusal("Compression mechanism not supported")
    return b"OK Compression begins"


def _begin(context: Context) -> None:
    context.flush()
    context.connection.begin_compression()


def _capabilities(standing: Standing) -> Iterable[str]:
    # UNAUTHENTICATE does not end the compression: a connection is compressed once only.
    offered = standing.logged_in and standing.settings.compress and not standing.compressed
    return ("COMPRESS=DEFLATE",) if offered else ()


COMPRESS = ImapExtension(
    "COMPRESS",
    _capabilities,
    commands=(ImapCommand("COMPRESS", AFTER_LOGIN, _compress, _parse, after=_begin),),
    position=40,
)
