"""Address lists of header fields. Source: RFC 5322 §3.4 and §4.4, RFC 6532 §3.2.

The lexer cuts a field body into tokens with one regular expression; the parser goes over them once and accepts
anything: obsolete forms (routes, white space around dots), comments, groups, and common errors of senders (missing
brackets and commas, stray separators, unterminated strings). Each address in the field is found, and none is composed
from pieces of two. All values stay octets; encoded words stay encoded.
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
    | (?P<quoted> " (?: [^"\\]++ | \\. )*+ " )
    | (?P<open> " )
    | (?P<literal> \[ [^]<>,;"]*+ \]?+ )
    | (?P<comment> \( )
    | (?P<special> [<>@,:;.)\]\\] )
    | (?P<atom> [^][()<>@,:;."\\ \t\r\n]++ )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_STOP = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r*\n")


TOKENS_MAX: Final = 50_000
"""The default limit of tokens parsed in a list."""


def raw_addresses(body: bytes) -> list[RawAddress]:
    """The entries of an address list, folded or not; empty for a body without any. Never raises."""
    return _read_all(body).found


def unambiguous_addresses(body: bytes) -> list[RawAddress] | None:
    """As :func:`raw_addresses`; None if an entry can be read as one address or another: it has two pairs of brackets,
    more than one address without a comma between them, an address with two ``@``, or a string or comment that does not
    end; or if the list is too long to be read.

    RFC 5322 §3.4 has none of these forms, and programs differ in what they make of them. An ``@`` in a display name
    does not count: it is a common error, and all programs take the address in the brackets.
    """
    parser = _read_all(body)
    return None if parser.ambiguous or parser.cut else parser.found


def _read_all(body: bytes) -> AddressParser:
    parser = AddressParser(body, TOKENS_MAX)
    position = 0
    while position < len(body):
        position = parser.read(position)
    return parser


def _comment_end(body: bytes, start: int) -> tuple[int | None, int]:
    """The offset after the comment whose parenthesis opens at ``start``, None if it does not end; and the number of
    places examined in it. Nesting is counted, without recursion."""
    depth = places = 0
    for stop in _COMMENT_STOP.finditer(body, start):
        places += 1
        character = stop[0]
        if character == b"(":
            depth += 1
        elif character == b")":
            depth -= 1
            if not depth:
                return stop.end(), places
    return None, places


def _unquoted(text: bytes) -> bytes:
    """A quoted-string or comment without its delimiters, escapes and folds."""
    closer = b")" if text[:1] == b"(" else b'"'
    inner = text[1:-1] if len(text) > 1 and text.endswith(closer) else text[1:]
    if b"\n" in inner:
        inner = _FOLD.sub(b"", inner)
    return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner


class AddressParser:
    """Parses the tokens of a list in one pass, ``tokens`` of them at most; its state is the entry being read.

    ``found`` are the entries so far, ``tokens`` those that are left, ``body`` is the text. ``cut``: there were more
    tokens. ``ambiguous``: see :func:`unambiguous_addresses`.
    """

    def __init__(self, body: bytes, tokens: int) -> None:
        self.found: list[RawAddress] = []
        self.tokens = tokens
        self.ambiguous = False
        self.cut = False
        self.body = body
        self._in_group = False
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        self.words: list[bytes] = []  # of the phrase, or of an address without brackets; b" " where space stood
        self.at: int | None = None  # index in words of the last "@" outside brackets
        self.ats = 0  # how many of them
        self.comments: list[bytes] = []
        self.inside: list[bytes] | None = None  # of the address between brackets; begins with no space
        self.inside_at: int | None = None
        self.closed: int | None = None  # how many words there were when the brackets closed
        self.route: bytes | None = None
        self.in_brackets = False

    def read(self, position: int) -> int:
        """Read the entry, or the group with its members, that begins at ``position``; where the next one begins."""
        size = len(self.body)
        while position < size:
            if self.tokens <= 0:
                self.cut = True
                self._begin()
                position = size
                break
            self.tokens -= 1
            token = _TOKEN.match(self.body, position)
            if token is None:  # an octet no rule begins with
                position += 1
                continue
            position = token.end()
            kind, text = token.lastgroup, token[0]
            if kind == "comment":
                position = self._comment(token.start())
            elif kind == "space":
                self._word(b" ")
            elif kind == "quoted":
                self._word(_unquoted(text))
            elif kind == "open":
                # An unterminated string is no string: all that follows would be taken for a name. Its quote is blanked
                # out, so that nothing is searched for twice.
                self.ambiguous = True
                self.body = self.body[: token.start()] + self.body[token.start() :].replace(b'"', b" ")
            elif kind == "special":
                self._special(text)
                if self._ended:
                    self._ended = False
                    return position
            else:
                self._word(text)
        self._end_entry()
        if self._in_group:
            self.found.append(GROUP_END)
            self._in_group = False
        return position

    def _comment(self, start: int) -> int:
        """Read the comment that begins at ``start``; where it ends."""
        end, places = _comment_end(self.body, start)
        self.tokens -= places // 2
        if end is None:
            self.ambiguous = True
            if self.at is None and self.inside is None:
                # No address yet: this is a name with a parenthesis in it.
                blank = self.body[start:].translate(_WITHOUT_PARENTHESES)
                self.body = self.body[:start] + blank
                return start
            end = len(self.body)
        self.comments.append(_unquoted(self.body[start:end]))
        self._word(b" ")
        return end

    def _word(self, text: bytes) -> None:
        if not self.in_brackets:
            self.words.append(text)
        elif self.inside is not None and (self.inside or text != b" "):
            self.inside.append(text)

    def _special(self, text: bytes) -> None:
        if text == b"<":
            if self.inside is not None:
                self.ambiguous = True
                if self.inside:
                    # A comma is missing: the words after the last brackets are the name for these.
                    if self.closed is None:
                        behind = _behind_address(self.inside)
                    else:
                        self.words, behind = self.words[: self.closed], self.words[self.closed :]
                    self._end_entry()
                    self.words = behind
            self.inside, self.inside_at, self.closed = [], None, None
            self.in_brackets = True
        elif text == b">":
            self.in_brackets = False
            if self.inside is not None and self.closed is None:
                self.closed = len(self.words)
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
            if text == b";" and self._in_group:
                self.found.append(GROUP_END)
                self._in_group = False
            self._ended = not self._in_group
        elif text == b":":
            self._colon()
        elif text == b")":
            self._word(b" ")
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
        if self.inside is not None:
            # This is no name of a group.
            self._end_entry()
            return
        if self._in_group:
            return
        name = _phrase(self.words)
        if name:
            self.found.append(RawAddress(None, None, name, None))
            self._in_group = True
            self._begin()
        else:
            # Nothing but space: the next colon is not to read it again.
            self.words.clear()

    def _end_entry(self) -> None:
        if self.inside is None:
            if self.ats > 1:
                self.ambiguous = True
            self._add_all(self.words)
        else:
            words, behind = self.words, []
            if self.closed is not None and b"@" in words[self.closed :]:
                words, behind = words[: self.closed], words[self.closed :]
            self._add_all(self.inside, _phrase(words))
            self.comments.clear()
            self._add_all(behind)
        self._begin()

    def _add_all(self, words: list[bytes], name: bytes = b"") -> None:
        """Add the address that the words are. Where they are several, each has the words before it as its name, the
        first one ``name`` if there is one."""
        chunks = _chunks(words) if b"@" in words and b" " in words else [words]
        if len(chunks) == 1:
            self._add(name, *_mailbox(words))
            return
        if not name:
            self.comments.clear()
        before: list[bytes] = []
        for chunk in chunks:
            if b"@" in chunk:
                self._add(name or _phrase(before), *_mailbox(chunk))
                name, before = b"", []
            else:
                before += (*chunk, b" ")

    def _add(self, name: bytes, local_part: bytes, domain: bytes) -> None:
        if local_part or domain or name:
            if not name and self.comments:
                name = b" ".join(b" ".join(self.comments).split())
            self.found.append(RawAddress(name or None, self.route, local_part, domain))
            self.route = None


_WITHOUT_PARENTHESES: Final = bytes.maketrans(b"()", b"  ")
_JOINS: Final = (b"@", b".")


def _chunks(words: list[bytes]) -> list[list[bytes]]:
    """Words cut where white space stands between two of them; around a dot or an ``@`` it cuts nothing (RFC 5322
    §4.4)."""
    chunks: list[list[bytes]] = [[]]
    was_space = False
    for word in words:
        if word == b" ":
            was_space = True
            continue
        last = chunks[-1]
        if was_space and last and last[-1] not in _JOINS and word not in _JOINS:
            chunks.append([word])
        else:
            last.append(word)
        was_space = False
    return chunks


def _behind_address(words: list[bytes]) -> list[bytes]:
    """The words behind the last address among some."""
    behind: list[bytes] = []
    for chunk in reversed(_chunks(words)):
        if b"@" in chunk:
            return behind
        behind = [*chunk, b" ", *behind]
    return []


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


def _mailbox(words: list[bytes]) -> tuple[bytes, bytes]:
    """Local part (quoting removed) and domain; a missing domain is empty, since NIL would mean a group."""
    if b"@" not in words:
        return _without_space(words), b""
    at = len(words) - 1 - words[::-1].index(b"@")
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
