"""Message files given to commands: read in pieces, as often as need be."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import click

from pymailsuite.policy.dkim.header import with_crlf

_CHUNK: Final = 256 * 1024
_IN_MEMORY: Final = 8 * 1024 * 1024

_TIME_MAX: Final = 10**12
"""Signatures tell times in twelve digits (RFC 6376 §3.5)."""


class MomentType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Seconds since 1970."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As a number."""
        try:
            moment = float(value)
        except ValueError:
            moment = -1.0
        if not 0 <= moment < _TIME_MAX:
            self.fail(f"not a time in seconds since 1970: {value!r}", param, ctx)
        return moment


now_option = click.option(
    "--now",
    type=MomentType(),
    metavar="SECONDS",
    help="The time to go by, in seconds since 1970. Default: that of the clock.",
)

message_argument = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=str))


class MessageFile:
    """A message of which lines that end in a bare LF are read as ending in CRLF, as on the wire."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def chunks(self) -> Iterator[bytes]:
        """The message from its beginning."""
        self._file.seek(0)
        return with_crlf(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        while piece := self._file.read(_CHUNK):
            yield piece


@contextmanager
def message_file(name: str) -> Iterator[MessageFile]:
    """The message in a file, or on standard input for ``-``. ClickException if it cannot be read."""
    if name == "-":
        with _spooled(sys.stdin.buffer) as spool:
            yield MessageFile(spool)
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise click.FileError(name, error.strerror) from None
    with file:
        if file.seekable():
            yield MessageFile(file)
        else:
            with _spooled(file) as spool:
                yield MessageFile(spool)


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """What comes out of a pipe, to be read more than once."""
    spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    shutil.copyfileobj(stream, spool)
    return cast(IO[bytes], spool)


def write_message(fields: bytes, message: MessageFile) -> None:
    """The message, with these fields in front, to standard output."""
    out = sys.stdout.buffer
    out.write(fields)
    for chunk in message.chunks():
        out.write(chunk)
    out.flush()
