"""Address lists of header fields. Source: RFC 5322 §3.4 and §4.4, RFC 6532 §3.2.

The lexer cuts a field body into tokens with one regular expression; the parser goes over them once and accepts
anything: obsolete forms (routes, white space around dots), comments, groups, and what peers get wrong (missing
brackets, stray separators, unended strings). All values stay octets; encoded words stay encoded.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from attrs import frozen

from pymailsuite.message.charsets import decode_undeclared
from pymailsuite.message.text import decode_text


class RawAddress(NamedTuple):
    """One entry of an address list, as ENVELOPE shows it (RFC 3501 §7.4.2).

    ``domain`` None marks a group: its beginning, with the group's name in ``local_part``, or, with ``local_part``
    None too, its end.
    """

    name: bytes | None
    route: bytes | None
    local_part: bytes | None
    domain: bytes | None


GROUP_END: Final = RawAddress(None, None, None, None)

_TOKEN = re.compile(
    rb"""
      (?P<space> [ \t\r\n]++ )
    | (?P<quoted> " (?: [^"\\]++ | \\. )*+ (?: " | \\?\Z ) )
    | (?P<literal> \[ [^]<>,;"]*+ \]?+ )
    | (?P<comment> \( )
    | (?P<special> [<>@,:;.)\]\\] )
    | (?P<atom> [^][()<>@,:;."\\ \t\r\n]++ )
    """,
    re.VERBOSE | re.DOTALL,
)
_IS_WHOLE = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL).fullmatch
_COMMENT_STOP = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r*\n")


def raw_addresses(body: bytes) -> list[RawAddress]:
    """The entries of an address list, folded or not; empty for a body that names nobody. Never raises."""
    found: list[RawAddress] = []
    _Parser(found).parse(body)
    return found


def unambiguous_addresses(body: bytes) -> list[RawAddress] | None:
    """As :func:`raw_addresses`; None if an entry can be read as one address or another: it has two pairs of brackets,
    more than one address without a comma between them, an address with two ``@``, or a string or comment that does not
    end.

    RFC 5322 §3.4 has none of these forms, and programs differ in what they make of them. An ``@`` in a display name is
    not meant: it is as common as it is wrong, and everybody goes by the brackets.
    """
    found: list[RawAddress] = []
    parser = _Parser(found)
    parser.parse(body)
    return None if parser.ambiguous else found


def _comment_end(body: bytes, start: int) -> int | None:
    """The offset after the comment whose parenthesis opens at ``start``, None if it does not end; nesting is counted,
    not recursed into."""
    depth = 0
    for stop in _COMMENT_STOP.finditer(body, start):
        character = stop[0]
        if character == b"(":
            depth += 1
        elif character == b")":
            depth -= 1
            if not depth:
                return stop.end()
    return None


def _unquoted(text: bytes) -> bytes:
    """A quoted-string or comment without its delimiters, escapes and folds."""
    closer = b")" if text[:1] == b"(" else b'"'
    inner = text[1:-1] if len(text) > 1 and text.endswith(closer) else text[1:]
    if b"\n" in inner:
        inner = _FOLD.sub(b"", inner)
    return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner


class _Parser:
    """Goes over the tokens once; what it holds is the entry being read."""

    def __init__(self, found: list[RawAddress]) -> None:
        self.found = found
        self.in_group = False
        self.ambiguous = False
        self._begin()

    def _begin(self) -> None:
        self.words: list[bytes] = []  # of the phrase, or of an address without brackets; b" " where space stood
        self.at: int | None = None  # index in words of the last "@" outside brackets
        self.ats = 0  # how many of them
        self.comments: list[bytes] = []
        self.inside: list[bytes] | None = None  # of the address between brackets; begins with no space
        self.inside_at: int | None = None
        self.route: bytes | None = None
        self.in_brackets = False

    def parse(self, body: bytes) -> None:
        position, size = 0, len(body)
        while position < size:
            token = _TOKEN.match(body, position)
            if token is None:  # an octet no rule begins with
                position += 1
                continue
            position = token.end()
            kind, text = token.lastgroup, token[0]
            if kind == "comment":
                end = _comment_end(body, token.start())
                if end is None:
                    self.ambiguous = True
                    end = size
                position = end
                self.comments.append(_unquoted(body[token.start() : position]))
                self._word(b" ")
            elif kind == "space":
                self._word(b" ")
            elif kind == "quoted":
                if not _IS_WHOLE(text):
                    self.ambiguous = True
                self._word(_unquoted(text))
            elif kind == "special":
                self._special(text)
            else:
                self._word(text)
        self._end_entry()
        if self.in_group:
            self.found.append(GROUP_END)

    def _word(self, text: bytes) -> None:
        if not self.in_brackets:
            self.words.append(text)
        elif self.inside is not None and (self.inside or text != b" "):
            self.inside.append(text)

    def _special(self, text: bytes) -> None:
        if text == b"<":
            if self.inside is None:
                self.inside = []
            else:
                self.ambiguous = True
            self.in_brackets = True
        elif text == b">":
            self.in_brackets = False
        elif text == b"@":
            if self.in_brackets and self.inside is not None:
                if self.inside_at is not None and not self._is_route():
                    self.ambiguous = True
                self.inside_at = len(self.inside)
            else:
                self.ats += 1
                if self.inside is not None:
                    self.ambiguous = True
                self.at = len(self.words)
            self._word(text)
        elif text in (b",", b";"):
            if text == b"," and self.in_brackets and self.inside and self._is_route():
                self._word(text)
                return
            self._end_entry()
            if text == b";" and self.in_group:
                self.found.append(GROUP_END)
                self.in_group = False
        elif text == b":":
            self._colon()
        else:
            self._word(text)

    def _is_route(self) -> bool:
        return bool(self.inside and self.inside[0] == b"@")

    def _colon(self) -> None:
        if self.in_brackets:
            if self.inside and self._is_route():  # RFC 5322 §4.4: obs-route
                self.route = b"".join(word for word in self.inside if word != b" ")
                self.inside, self.inside_at = [], None
            else:
                self._word(b":")
            return
        if self.in_group:
            return
        name = _phrase(self.words)
        if name:
            self.found.append(RawAddress(None, None, name, None))
            self.in_group = True
            self._begin()
        else:
            # Nothing but space: the next colon is not to read it again.
            self.words.clear()

    def _end_entry(self) -> None:
        name: bytes | None
        if self.inside is not None:
            local_part, domain = _mailbox(self.inside, self.inside_at)
            name = _phrase(self.words)
        else:
            local_part, domain = _mailbox(self.words, self.at)
            name = b""
            if self.ats > 1:
                self.ambiguous = True
        if local_part or domain or name:
            if not name and self.comments:
                name = b" ".join(b" ".join(self.comments).split())
            self.found.append(RawAddress(name or None, self.route, local_part, domain))
        self._begin()


def _phrase(words: list[bytes]) -> bytes:
    """Words as they stood, each run of white space between them one space."""
    joined: list[bytes] = []
    for word in words:
        if word and (word != b" " or (joined and joined[-1] != b" ")):
            joined.append(word)
    if joined and joined[-1] == b" ":
        joined.pop()
    return b"".join(joined)


_AROUND_DOT = re.compile(rb" *\. *")


def _mailbox(words: list[bytes], at: int | None) -> tuple[bytes, bytes]:
    """Local part (quoting removed) and domain; a missing domain is empty, since NIL would mean a group."""
    if at is None:
        return _without_space(words), b""
    return _without_space(words[:at]), _without_space(words[at + 1 :])


def _without_space(words: list[bytes]) -> bytes:
    """Obsolete white space and comments around dots removed (RFC 5322 §4.4)."""
    text = b"".join(words).strip(b" ")
    return _AROUND_DOT.sub(b".", text) if b" " in text and b"." in text else text


@frozen
class HeaderAddress:
    """One mailbox of an address field, decoded. ``domain`` is empty where none was given."""

    display_name: str
    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part


@frozen
class HeaderGroup:
    """A named group of an address field. Source: RFC 5322 §3.4."""

    display_name: str
    members: tuple[HeaderAddress, ...] = ()


def parse_addresses(value: bytes) -> list[HeaderAddress | HeaderGroup]:
    """The mailboxes and groups of an address field body, encoded words and raw UTF-8 decoded. Never raises."""
    found: list[HeaderAddress | HeaderGroup] = []
    group: str | None = None
    members: list[HeaderAddress] = []
    for entry in raw_addresses(value):
        if entry.domain is None:
            if entry.local_part is not None:
                group, members = decode_text(entry.local_part), []
            else:
                found.append(HeaderGroup(group or "", tuple(members)))
                group = None
            continue
        address = HeaderAddress(
            decode_text(entry.name or b""),
            decode_undeclared(entry.local_part or b""),
            decode_undeclared(entry.domain),
        )
        if group is None:
            found.append(address)
        else:
            members.append(address)
    return found
