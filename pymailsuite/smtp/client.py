"""The client's half of SMTP as a pure core: replies out of octets, and commands into octets (RFC 5321 §4.2).

The relay builds its sending session on this module. All input from the server is bounded: the length of a line, the
number of lines in a reply, and so the memory that a hostile server can take.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from pymailsuite.errors import Refusal, TemporaryFailure
from pymailsuite.values import Address

MAX_REPLY_LINE: Final = 4096
"""Octets of one line of a reply. RFC 5321 §4.5.3.1.5 says 512 with CRLF; servers that print more are common."""

MAX_REPLY_LINES: Final = 200
"""Lines of one reply."""

# Departs from RFC 5321 §4.2: a code alone, without the space, is taken too (§4.2.1 asks clients for that).
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 2034 §4: class.subject.detail in front of the text.
_ENHANCED: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")


class BadReply(TemporaryFailure):
    """The server sent something that is not an SMTP reply; nothing that it sends afterwards can be trusted."""

    enhanced_code = "4.5.0"
    text = "Not an SMTP reply"


class UnsendableAddress(Refusal):
    """An address that cannot stand in a command: it has control characters in it."""

    smtp_code = 553
    enhanced_code = "5.1.3"
    text = "Address cannot be sent"


@frozen
class Reply:
    """A server's reply. ``enhanced`` is RFC 3463 status as given, or ``""``; ``lines`` are without either code.

    A code above ASCII is kept: text is UTF-8 where it can be (RFC 6531 §3.7.4.2), Latin-1 where not.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines as one."""
        return " ".join(line for line in self.lines if line)

    @property
    def positive(self) -> bool:
        """2xx: done."""
        return 200 <= self.code < 300

    @property
    def intermediate(self) -> bool:
        """3xx: go on (354, 334)."""
        return 300 <= self.code < 400

    @property
    def transient(self) -> bool:
        """4xx: try again later."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5xx: do not try again."""
        return self.code >= 500

    def __str__(self) -> str:
        """One line, as logs and reports show it."""
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


class ReplyReader:
    """Octets from a server in, replies out.

    A line ends at its LF: RFC 5321 §2.3.8 asks for CRLF, and there are servers that do without the CR. A reply carries
    no text of third parties that could be split differently, so accepting a bare LF is safe.
    """

    def __init__(self, max_line: int = MAX_REPLY_LINE, max_lines: int = MAX_REPLY_LINES) -> None:
        self._unread = bytearray()
        self._searched = 0
        self._max_line = max_line
        self._max_lines = max_lines
        self._code = 0
        self._enhanced = ""
        self._lines: list[str] = []

    def receive(self, octets: bytes) -> None:
        """Add octets from the server."""
        self._unread += octets

    def next_reply(self) -> Reply | None:
        """The next whole reply; None: more octets are needed. BadReply: close the connection."""
        while True:
            line = self._next_line()
            if line is None:
                return None
            match = _LINE.fullmatch(line)
            if match is None or b"\r" in line:
                raise BadReply(cause=repr(line[:100]))
            code = int(match[1])
            if self._lines and code != self._code:
                raise BadReply("Lines of one reply with different codes", cause=f"{self._code}, then {code}")
            if len(self._lines) == self._max_lines:
                raise BadReply("Too many lines in one reply")
            self._code = code
            self._lines.append(self._without_enhanced(_decode(match[3] or b"")))
            if match[2] != b"-":
                reply = Reply(code, self._enhanced, tuple(self._lines))
                self._lines = []
                self._enhanced = ""
                return reply

    def _next_line(self) -> bytes | None:
        unread = self._unread
        end = unread.find(b"\n", self._searched)
        size = len(unread) if end < 0 else end
        if size > self._max_line + 1:
            raise BadReply("Line of a reply too long")
        if end < 0:
            self._searched = size
            return None
        line = bytes(unread[: end - 1] if unread[end - 1 : end] == b"\r" else unread[:end])
        if line[-1:] == b"\r":
            line = line.rstrip(b"\r")
        del unread[: end + 1]
        self._searched = 0
        return line

    def _without_enhanced(self, text: str) -> str:
        match = _ENHANCED.match(text)
        if match is None or match[1][0] != str(self._code)[0]:
            return text
        if not self._enhanced:
            self._enhanced = match[1]
        return text[match.end() :] if match[1] == self._enhanced else text

    def drop_unread(self) -> int:
        """Discard all unread octets after STARTTLS was accepted (RFC 3207 §4.2). Returns their number."""
        self._lines = []
        self._enhanced = ""
        dropped = len(self._unread)
        self._unread.clear()
        self._searched = 0
        return dropped

    def __len__(self) -> int:
        """Octets received and not yet part of a reply. Not 0 when STARTTLS is answered: the peer sent too much."""
        return len(self._unread)


def _decode(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    # A reply ends in logs, reports and terminals: no control characters.
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def extensions(reply: Reply) -> dict[str, str]:
    """The extensions that an EHLO reply offers: keyword in upper case to its parameters, ``""`` if there are none.

    Source: RFC 5321 §4.1.1.1. ``AUTH=LOGIN`` of old servers is read as ``AUTH LOGIN``.
    """
    offered: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        keyword = keyword.upper()
        if keyword.startswith("AUTH="):
            keyword, parameters = "AUTH", f"{keyword[5:]} {parameters}"
        parameters = parameters.strip()
        if keyword == "AUTH" and keyword in offered:
            parameters = f"{offered[keyword]} {parameters}"
        if keyword:
            offered[keyword] = parameters
    return offered


_NOT_IN_XTEXT: Final = re.compile(rb"[^!-*,-<>-~]")
"""Octets that xtext has in hexadecimal. Source: RFC 3461 §4."""
_NOT_IN_UNITEXT: Final = re.compile(r"[^!-*,-<>-\[\]-~\x80-\U0010ffff]")
"""Characters that an address of type utf-8 has by their number. Source: RFC 6533 §3."""
_NOT_IN_ASCII_UNITEXT: Final = re.compile(r"[^!-*,-<>-\[\]-~]")


def _xtext(text: str) -> str:
    encoded = _NOT_IN_XTEXT.sub(lambda found: b"+%02X" % found[0][0], text.encode("utf-8", "replace"))
    return encoded.decode("ascii")


def _original_recipient(typed: str, utf8: bool) -> str:
    """The value of ORCPT for a server; ``typed`` is the decoded form. ``utf8``: the server accepts more than ASCII."""
    kind, _, address = typed.partition(";")
    kind, address = kind.strip(), address.strip()
    if kind.lower() != "utf-8":
        return f"{kind};{_xtext(address)}"
    by_number = _NOT_IN_UNITEXT if utf8 else _NOT_IN_ASCII_UNITEXT
    return kind + ";" + by_number.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


def mail_command(
    reverse_path: Address | None,
    *,
    size: int | None = None,
    body: str = "",
    smtputf8: bool = False,
    ret: str = "",
    envid: str = "",
) -> bytes:
    """``MAIL FROM`` with these parameters; the caller must leave out those that the server does not offer.

    ``envid`` is not encoded yet. UnsendableAddress."""
    parameters = ""
    if size is not None:
        parameters += f" SIZE={size}"
    if body:
        parameters += f" BODY={body}"
    if smtputf8:
        parameters += " SMTPUTF8"
    if ret:
        parameters += f" RET={ret}"
    if envid:
        parameters += f" ENVID={_xtext(envid)}"
    return f"MAIL FROM:<{'' if reverse_path is None else _path(reverse_path)}>{parameters}\r\n".encode()


def rcpt_command(address: Address, *, notify: str = "", orcpt: str = "", smtputf8: bool = False) -> bytes:
    """``RCPT TO``, as :func:`mail_command`; ``orcpt`` is not encoded yet. UnsendableAddress."""
    parameters = f" NOTIFY={notify}" if notify else ""
    if orcpt:
        parameters += f" ORCPT={_original_recipient(orcpt, smtputf8)}"
    return f"RCPT TO:<{_path(address)}>{parameters}\r\n".encode()


def _path(address: Address) -> str:
    text = str(address)
    # A CR LF in a quoted local part would be a command of its own.
    if any(c < " " or c == "\x7f" for c in text):
        raise UnsendableAddress
    return text
