"""Macro strings: read once, expanded for a message. Source: RFC 7208 §7.

Pure. ``%{p}`` needs look-ups, so whoever expands asks :attr:`MacroString.letters` first and brings its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

from attrs import frozen

from pymailsuite.policy.spf.values import Query

NAME_MAX: Final = 253
"""Octets of a domain name in text form; longer expansions lose labels on the left. Source: RFC 7208 §7.3."""

_ALL_PARTS: Final = 0

_LETTERS: Final = "slodiphv"
_EXPLANATION_LETTERS: Final = "crt"

_TOKEN = re.compile(
    r"%\{(?P<letter>[A-Za-z])(?P<digits>[0-9]*)(?P<reverse>[rR]?)(?P<delimiters>[.\-+,/_=]*)\}"
    r"|%(?P<sign>[%_-])"
    r"|(?P<literal>[\x21-\x24\x26-\x7e]+)"
)
_TOKEN_OR_SPACE = re.compile(_TOKEN.pattern.replace(r"[\x21-", r"[\x20-"))
_SIGNS: Final = {"%": "%", "_": " ", "-": "%20"}


class MacroError(ValueError):
    """Text that the grammar of macro strings does not allow."""


@frozen
class Macro:
    """One ``%{...}``: ``parts`` to take from the right, 0 for all; ``escape`` if the letter was upper case."""

    letter: str
    parts: int
    reverse: bool
    delimiters: str
    escape: bool

    def transform(self, value: str) -> str:
        """The value split, turned round, cut and joined by dots, then escaped. Source: RFC 7208 §7.3."""
        if self.parts or self.reverse or self.delimiters != ".":
            pieces = value.split(".") if self.delimiters == "." else re.split(f"[{re.escape(self.delimiters)}]", value)
            if self.reverse:
                pieces.reverse()
            value = ".".join(pieces[-self.parts :])
        return quote(value, safe="", errors="replace") if self.escape else value


@frozen
class MacroString:
    """A macro string that was read.

    ``letters`` are the macro letters in it, in lower case; ``ends_in_macro`` says whether a macro is the last of it,
    one of the signs ``%%``, ``%_`` and ``%-`` included.
    """

    text: str
    tokens: tuple[str | Macro, ...]
    letters: frozenset[str]
    ends_in_macro: bool = False

    def expand(self, values: Mapping[str, str]) -> str:
        """The text with ``values``, by letter, in the place of macros."""
        if not self.letters:
            return "".join(self.tokens)  # type: ignore[arg-type]  # without letters there are no macros in it
        return "".join(
            token if isinstance(token, str) else token.transform(values[token.letter]) for token in self.tokens
        )


def parse_macro_string(text: str, *, explanation: bool = False, any_letter: bool = False) -> MacroString:
    """Read a ``macro-string``, or an ``explain-string``, which may hold spaces. Source: RFC 7208 §7.1.

    ``%{c}``, ``%{r}`` and ``%{t}`` are for explanations only; ``any_letter`` lets them stand, as the grammar of unknown
    modifiers does. MacroError if it is none.
    """
    allowed = _LETTERS + _EXPLANATION_LETTERS if explanation or any_letter else _LETTERS
    next_token = (_TOKEN_OR_SPACE if explanation else _TOKEN).match
    tokens: list[str | Macro] = []
    at = 0
    ends_in_macro = False
    while at < len(text):
        found = next_token(text, at)
        if found is None:
            raise MacroError(f"{text[at : at + 20]!r} is no macro")
        at = found.end()
        ends_in_macro = found["literal"] is None
        if found["literal"] is not None:
            tokens.append(found["literal"])
        elif found["sign"] is not None:
            tokens.append(_SIGNS[found["sign"]])
        else:
            tokens.append(_macro(found, allowed))
    letters = frozenset(token.letter for token in tokens if isinstance(token, Macro))
    return MacroString(text, tuple(tokens), letters, ends_in_macro)


def _macro(found: re.Match[str], allowed: str) -> Macro:
    letter = found["letter"].lower()
    if letter not in allowed:
        raise MacroError(f"{found[0]}: no such macro letter here")
    digits = found["digits"].lstrip("0")
    if found["digits"] and not digits:
        raise MacroError(f"{found[0]}: no parts to take")
    # More than a name has labels means all, and int() is slow on long digits.
    parts = int(digits) if digits and len(digits) < 4 else _ALL_PARTS
    return Macro(letter, parts, bool(found["reverse"]), found["delimiters"] or ".", found["letter"].isupper())


def address_labels(ip: IPv4Address | IPv6Address) -> str:
    """``%{i}``: the dotted quad, or all nibbles with dots between. Source: RFC 7208 §7.3."""
    return ".".join(f"{int(ip):032X}") if isinstance(ip, IPv6Address) else str(ip)


def macro_values(
    query: Query, domain: str, validated_name: str = "unknown", now: float | None = None
) -> dict[str, str]:
    """The value of each letter while ``domain`` is asked; those for explanations only with ``now``, POSIX seconds.

    Source: RFC 7208 §7.2.
    """
    values = {
        "s": query.sender,
        "l": query.local_part,
        "o": query.sender_domain,
        "d": domain,
        "i": address_labels(query.ip),
        "p": validated_name,
        "v": "in-addr" if query.ip.version == 4 else "ip6",
        "h": query.helo,
    }
    if now is not None:
        values |= {"c": str(query.ip), "r": query.receiver, "t": str(int(now))}
    return values


def target_name(expanded: str) -> str:
    """An expanded domain as the name to ask for: without its final dot, without labels on the left beyond what a name
    may have, and with backslashes, which are octets like others here, escaped as names in text form want them.

    Source: RFC 7208 §7.3.
    """
    name = expanded.removesuffix(".")
    while len(name) > NAME_MAX:
        _, dot, name = name.partition(".")
        if not dot:
            return ""
    return name.replace("\\", "\\\\")
