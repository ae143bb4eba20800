"""An IMAP client that says exactly what it is told and reads answers into values, so that two servers compare.

An answer is an :class:`Answer`; within it an atom is upper case ``bytes``, a quoted string or literal a :class:`Text`,
NIL is None and a list a tuple: what the grammar leaves open (quoted or literal, case of atoms) is gone.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Final

from attrs import frozen

TIMEOUT_S = 20.0
_LITERAL: Final = re.compile(rb"~?\{(\d+)\}\Z")
_TOKEN: Final = re.compile(
    rb'"((?:[^"\\]|\\.)*)"|([()])|~?\{(\d+)\}|(BODY\[[^\]]*\][^ ()]*|BINARY[^ ]*\[[^\]]*\][^ ()]*|[^ ()"]+)'
)


@frozen
class Text:
    """A string of the server, however it was sent."""

    octets: bytes

    def __repr__(self) -> str:
        return repr(self.octets)


@frozen
class Answer:
    """What came after one command: untagged responses as values, and ``OK``, ``NO`` or ``BAD`` with its code."""

    untagged: tuple[tuple[Any, ...], ...]
    status: bytes
    code: bytes


class Dialogue:
    """One connection. Strings between ``{`` and ``}`` in a command are not touched: literals are given as bytes."""

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.greeting = self._read_response()
        if user:
            assert self.say(f'LOGIN "{user}" "{password}"').status == b"OK"

    def say(self, *pieces: str | bytes) -> Answer:
        """Send a command, ``bytes`` among its pieces as literals, and read up to its completion."""
        octets = b"t "
        for piece in pieces:
            octets += piece.encode() if isinstance(piece, str) else b"{%d+}\r\n" % len(piece) + piece
        self._socket.sendall(octets + b"\r\n")
        return self.hear()

    def hear(self) -> Answer:
        """Read up to a completion."""
        untagged = []
        while True:
            tokens = self._read_response()
            if tokens[0] == b"*":
                untagged.append(tokens[1:])
                if tokens[1] == b"BYE":
                    # Nothing else need come.
                    return Answer(tuple(untagged), b"BYE", b"")
                continue
            if tokens[0] == b"+":
                return Answer(tuple(untagged), b"+", b"")
            return Answer(tuple(untagged), tokens[1], _code(tokens))

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def _read_response(self) -> tuple[Any, ...]:
        pieces: list[bytes] = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError(f"closed in the middle of {line!r}")
            line = line[:-2]
            pieces.append(line)
            literal = _LITERAL.search(line)
            if literal is None:
                return parse_response(pieces)
            pieces.append(self._file.read(int(literal[1])))


def _code(tokens: tuple[Any, ...]) -> bytes:
    words = b" ".join(token for token in tokens[2:] if isinstance(token, bytes))
    found = re.match(rb"\[([^\] ]+)", words)
    return found[1] if found else b""


def parse_response(pieces: list[bytes]) -> tuple[Any, ...]:
    """Lines at even places, literals at odd ones."""
    status = re.match(rb"(\*|\S+) (OK|NO|BAD|BYE|PREAUTH) ?(.*)", pieces[0], re.I)
    if pieces[0].startswith(b"+"):
        return (b"+", pieces[0][2:])
    if status is not None:
        return (status[1], status[2].upper(), *(word.upper() for word in status[3].split()))
    stack: list[list[Any]] = [[]]
    for place in range(0, len(pieces), 2):
        for token in _TOKEN.finditer(pieces[place]):
            if token[1] is not None:
                stack[-1].append(Text(re.sub(rb"\\(.)", rb"\1", token[1])))
            elif token[2] == b"(":
                stack.append([])
            elif token[2] == b")":
                inner = tuple(stack.pop())
                stack[-1].append(inner)
            elif token[3] is not None:
                stack[-1].append(Text(pieces[place + 1]))
            else:
                word = token[4].upper()
                stack[-1].append(None if word == b"NIL" else word)
    assert len(stack) == 1, pieces
    return tuple(stack[0])
