"""Writing and reading Authentication-Results, and removing this server's own from incoming mail. Source: RFC 8601.

Names are compared without regard to case, and a domain in U-labels is the one in A-labels (RFC 8616 §5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from attrs import frozen

from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.fields import unfold

_LINE_MAX: Final = 78
_VALUE_OCTETS: Final = 440
"""A value is cut here: with every octet quoted it still fits into a line of 998 (RFC 5322 §2.1.1)."""
_REMEMBERED_MAX: Final = 1000
"""Characters of a result whose written form is cached: senders choose them, and may choose a megabyte."""
_READ_MAX: Final = 16 * 1024
"""The greatest number of octets of a field that is parsed: a megabyte of comments would block the server for
seconds."""
_VERSION: Final = 1

# RFC 2045 §5.1 token, with the characters RFC 6532 adds; RFC 5322 §3.2.3 dot-atom and §3.2.4 quoted-string.
_TOKEN = r"[^][\x00-\x20()<>@,;:\\\"/?=\x7f]+"  # noqa: S105
_DOT_ATOM = r"[^][\x00-\x20()<>@,;:\\\".\x7f]+(?:\.[^][\x00-\x20()<>@,;:\\\".\x7f]+)*"
_QUOTED = r'"(?:[^"\\\r\n\x00]|\\[^\r\n\x00])*"'
_DOMAIN = r"[A-Za-z0-9.\-\u0080-\U0010ffff]+"
_is_bare = re.compile(rf"{_TOKEN}|(?:{_DOT_ATOM}|{_QUOTED})?@{_DOMAIN}").fullmatch
_is_token = re.compile(_TOKEN).fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_IN_STRINGS = re.compile(r'["\\]')
_IN_COMMENTS = re.compile(r"[()\\]")
_ESCAPE: Final = r"\\\g<0>"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


# --- writing --------------------------------------------------------------------------------------------------------


def authentication_results_field(authserv_id: str, results: Sequence[MethodResult], *, smtputf8: bool = False) -> bytes:
    """The field with its line end, folded at 78; ``none`` for no results. Source: RFC 8601 §2.2.

    Without ``smtputf8`` all is ASCII: domains in A-labels, any other character a question mark.
    """
    return _field("Authentication-Results: ", authserv_id, results, smtputf8)


def arc_authentication_results_field(
    instance: int, authserv_id: str, results: Sequence[MethodResult], *, smtputf8: bool = False
) -> bytes:
    """The ARC-Authentication-Results field of an ARC set, as above. Source: RFC 8617 §4.1.1."""
    return _field(f"ARC-Authentication-Results: i={instance}; ", authserv_id, results, smtputf8)


def _field(start: str, authserv_id: str, results: Sequence[MethodResult], smtputf8: bool) -> bytes:
    lines = [f"{start}{_value(authserv_id, smtputf8, _is_token)};"]
    if not results:
        lines[0] += " none"
    for number, result in enumerate(results, 1):
        is_short = len(result.reason) + sum(len(value) for _, value in result.properties) <= _REMEMBERED_MAX
        lines.extend((_lines if is_short else _new_lines)(result, smtputf8, number < len(results)))
    return "\r\n\t".join(lines).encode("utf-8") + b"\r\n"


def _new_lines(result: MethodResult, smtputf8: bool, more: bool) -> Sequence[str]:
    """One result, folded; ``more``: others follow."""
    words = _words(result, smtputf8)
    if more:
        words[-1] += ";"
    return _folded(words)


# Senders send again, mostly with the same results.
_lines = lru_cache(maxsize=1024)(_new_lines)


def _words(result: MethodResult, smtputf8: bool) -> list[str]:
    """The words between which a fold may stand."""
    words = [f"{result.method}={result.result}"]
    if result.comment:
        comment = " ".join(_harmless(result.comment, smtputf8).split())
        words += f"({_IN_COMMENTS.sub(_ESCAPE, comment)})".split(" ")
    if result.reason:
        words.append(f"reason={_quoted(_harmless(result.reason, smtputf8))}")
    words += [f"{name}={_value(value, smtputf8)}" for name, value in result.properties]
    return words


def _folded(words: Sequence[str]) -> list[str]:
    whole = " ".join(words)
    if len(whole) < _LINE_MAX:
        return [whole]
    lines = []
    line = ""
    for word in words:
        if line and len(line) + 2 + len(word) > _LINE_MAX:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _harmless(text: str, smtputf8: bool) -> str:
    """Without line ends and other controls, not too long, and in ASCII where it must be."""
    if len(text) <= _VALUE_OCTETS and text.isascii() and text.isprintable():
        return text
    text = _CONTROL.sub("?", text)
    if not smtputf8:
        text = text.encode("ascii", "replace").decode("ascii")
    encoded = text.encode("utf-8", "replace")
    return encoded[:_VALUE_OCTETS].decode("utf-8", "ignore") if len(encoded) > _VALUE_OCTETS else encoded.decode()


def _value(text: str, smtputf8: bool, is_bare: Callable[[str], object] = _is_bare) -> str:
    """A value, in quotes where it must be: addresses need none, but for a name (RFC 8601 §2.2, ``authserv-id``)."""
    if not smtputf8 and not text.isascii():
        local_part, at, domain = text.rpartition("@")
        text = f"{local_part}{at}{a_labels(domain)}"
    text = _harmless(text, smtputf8)
    return text if is_bare(text) else _quoted(text)


def _quoted(text: str) -> str:
    return f'"{_IN_STRINGS.sub(_ESCAPE, text)}"'


# --- reading --------------------------------------------------------------------------------------------------------


@frozen
class AuthenticationResults:
    """The content of one field. ``results`` is empty for ``none``; methods, results and properties are in lower case.

    ``authserv_id`` is empty if the writer left it out. ``is_whole``: nothing was skipped, and nothing was missing.
    """

    authserv_id: str
    results: tuple[MethodResult, ...] = ()
    is_whole: bool = True


def parse_authentication_results(body: bytes) -> AuthenticationResults | None:
    """The meaning of a field body, folded or not; None if it has neither a name nor a result, or is longer than any.

    It is read result by result: a word or result that does not match RFC 8601 §2.2 is skipped, and affects no other
    (Microsoft writes ``dmarc=pass action=none header.from=example.org``). Only after an unterminated comment or string
    all that follows is ignored, as it may contain text of any origin. A missing semicolon before a known method with a
    known result is supplied.

    Comments after a result become its ``comment``; others are dropped. Results of a version of the field or of a
    method that is not 1 are left out (§2.4, §2.6). Values a writer forgot to quote are taken up to the next white
    space. Never raises.
    """
    if len(body) > _READ_MAX:
        return None
    reader = _Reader(unfold(body).decode("utf-8", "replace"))
    try:
        return reader.payload()
    except _BrokenError:
        return None


def payload_of(body: bytes, authserv_id: str) -> str | None:
    """The results in a field body of this name, as they stand but on one line; None if the name is another, if there
    is none, or if the version is not 1."""
    if len(body) > _READ_MAX:
        return None
    text = unfold(body).decode("utf-8", "replace").strip()
    reader = _Reader(text)
    try:
        return reader.after_name(_comparable(authserv_id))
    except _BrokenError:
        return None


class _BrokenError(Exception):
    """The body is not of the form."""


class _UnendedError(_BrokenError):
    """A comment or a string does not end."""


_SPACE = re.compile(r"[ \t\r\n]*+")
_COMMENT_STOP = re.compile(r"[()]|\\.", re.DOTALL)
_token = re.compile(_TOKEN)
_quoted_string = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_keyword = re.compile(r"[A-Za-z0-9_\-]++")
_digits = re.compile(r"[0-9]++")
_bare_value = re.compile(r'[^ \t\r\n;()"]++')
_begins_result = re.compile(
    r"(?:dkim|spf|dmarc|arc|iprev|auth|sender-id|dkim-adsp|dkim-atps|dnswl|smime|bimi|compauth)[ \t\r\n]*+=[ \t\r\n]*+"
    r"(?:none|pass|fail|softfail|hardfail|neutral|policy|temperror|permerror|declined|skipped)(?![^ \t\r\n;(])",
    re.IGNORECASE,
).match


class _Reader:
    """Reads a body in one pass. ``is_whole`` is False as soon as something was skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.is_whole = True

    def payload(self) -> AuthenticationResults:
        authserv_id, version = self._name_and_version()
        results: list[MethodResult] = []
        try:
            while self._begins_another():
                result = self._result()
                if result is not None:
                    results.append(result)
        except _UnendedError:
            self.is_whole = False
        if not authserv_id and not results:
            raise _BrokenError
        return AuthenticationResults(authserv_id, tuple(results) if version in ("", "1") else (), self.is_whole)

    def _name_and_version(self) -> tuple[str, str]:
        """Up to the semicolon before the first result, or to that result. The name is empty if there is none."""
        self._comments()
        authserv_id = self._quoted_string() or self._match(_token)
        self._comments()
        if not authserv_id or self._peek() == "=":
            # The word read is the method of a first result.
            self._at, self.is_whole = 0, False
            return "", ""
        version = self._match(_digits)
        self._comments()
        while not self._ended and self._peek() != ";" and not _begins_result(self._text, self._at):
            self._pass_over()
            self._comments()
        return authserv_id, version

    def _begins_another(self) -> bool:
        """Whether a result follows, with its semicolon or without. Behind a last one may be nothing."""
        self._comments()
        if not self._ended and self._peek() != ";":
            self.is_whole = False
        while self._peek() == ";":
            self._at += 1
            self._comments()
        return not self._ended

    def _pass_over(self) -> None:
        """A word, a string, or a mark that has no meaning where it stands."""
        self.is_whole = False
        if self._peek() == '"':
            self._quoted_string()
        elif not self._match(_bare_value):
            self._at += 1

    def authserv_id(self) -> str:
        self._comments()
        return self._quoted_string() or self._need(_token)

    def after_name(self, own: str) -> str | None:
        """The rest behind the authserv-id and its semicolon, if it is ``own`` (see :func:`_comparable`)."""
        if _comparable(self.authserv_id()) != own:
            return None
        self._comments()
        if self._match(_digits) not in ("", str(_VERSION)):
            return None
        self._comments()
        self._expect(";")
        return self._text[self._at :].strip()

    @property
    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _match(self, expression: re.Pattern[str]) -> str:
        match = expression.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _need(self, expression: re.Pattern[str]) -> str:
        found = self._match(expression)
        if not found:
            raise _BrokenError
        return found

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise _BrokenError
        self._at += 1

    def _quoted_string(self) -> str:
        if self._peek() != '"':
            return ""
        quoted = self._match(_quoted_string)
        if not quoted:
            raise _UnendedError
        return _ESCAPED.sub(r"\1", quoted[1:-1])

    def _comments(self) -> list[str]:
        """CFWS (RFC 5322 §3.2.2) passed over; the comments in it, without their parentheses."""
        found: list[str] = []
        self._match(_SPACE)
        while self._peek() == "(":
            found.append(self._comment())
            self._match(_SPACE)
        return found

    def _comment(self) -> str:
        start = self._at
        depth = 0
        for stop in _COMMENT_STOP.finditer(self._text, start):
            depth += {"(": 1, ")": -1}.get(stop[0], 0)
            if not depth:
                self._at = stop.end()
                return _ESCAPED.sub(r"\1", self._text[start + 1 : stop.start()])
        raise _UnendedError

    def _result(self) -> MethodResult | None:
        """One resinfo. None for ``none``, for an undefined version of a method, and for text that is no result: it is
        skipped up to the next semicolon."""
        try:
            method, version, result = self._method_and_result()
        except _UnendedError:
            raise
        except _BrokenError:
            while not self._ended and self._peek() != ";":
                self._pass_over()
                self._comments()
            return None
        comments = self._comments()
        reason = ""
        properties: list[tuple[str, str]] = []
        while not self._ended and self._peek() != ";" and not _begins_result(self._text, self._at):
            start = self._at
            try:
                name, value = self._property()
            except _UnendedError:
                raise
            except _BrokenError:
                self._at = start
                self._pass_over()
            else:
                if name == "reason":
                    reason = value
                else:
                    properties.append((name, value))
            self._comments()
        if not method or version != str(_VERSION):
            return None
        return MethodResult(method, result, reason, tuple(properties), " ".join(comments))

    def _method_and_result(self) -> tuple[str, str, str]:
        """Method, its version and the result; the first is empty for ``none``."""
        method = self._need(_keyword).lower()
        self._comments()
        if method == "none" and (self._ended or self._peek() == ";"):
            return "", "", ""
        version = str(_VERSION)
        if self._peek() == "/":
            self._at += 1
            self._comments()
            version = self._need(_digits)
            self._comments()
        self._expect("=")
        self._comments()
        return method, version, self._need(_keyword).lower()

    def _property(self) -> tuple[str, str]:
        """``reason`` or a property with its type, and the value."""
        name = self._need(_keyword).lower()
        self._comments()
        if self._peek() == "=" and name == "reason":
            return name, self._assigned()
        self._expect(".")
        self._comments()
        name = f"{name}.{self._need(_keyword).lower()}"
        self._comments()
        return name, self._assigned()

    def _assigned(self) -> str:
        self._expect("=")
        self._comments()
        start = self._at
        if self._peek() != '"':
            return self._need(_bare_value)
        value = self._quoted_string()
        if self._peek() == "@":  # a quoted local part
            self._need(_bare_value)
            return self._text[start : self._at]
        if self._at == start:
            raise _BrokenError
        return value


# --- removing our own -----------------------------------------------------------------------------------------------

_NAME: Final = b"authentication-results"
# A fold before the colon is in no grammar, but a program that unfolds first sees such a field all the same.
_COLON: Final = rb"[ \t]*+(?:\r?\n[ \t]++)*+:"
_FIELDS = re.compile(
    rb"^authentication-results" + _COLON + rb"([^\n]*+\n?(?:[ \t][^\n]*+\n?)*+)", re.IGNORECASE | re.MULTILINE
)
_NOT_IN_NAMES = re.compile(r"[\s\"\\\x00]+")


POLICY_SCORE: Final = "X-Policy-Score"
"""The field with the policy score of the server's checks."""
_SCORE_NAME: Final = POLICY_SCORE.lower().encode("ascii")
_SCORES = re.compile(rb"^x-policy-score" + _COLON + rb"[^\n]*+\n?(?:[ \t][^\n]*+\n?)*+", re.IGNORECASE | re.MULTILINE)


def remove_own_fields(header: bytes, authserv_id: str) -> bytes:
    """A header block without the fields that only this server may add: its results, and a policy score; all else octet
    for octet. Filters rely on the score as on the results, and it carries no server name: any incoming one is
    removed."""
    header = remove_own_results(header, authserv_id)
    return _SCORES.sub(b"", header) if header.lower().find(_SCORE_NAME) >= 0 else header


def remove_own_results(header: bytes, authserv_id: str) -> bytes:
    """A header block without the Authentication-Results fields that bear this server's name; all else octet for octet.

    A sender could forge such a field (RFC 8601 §5). A field whose authserv-id cannot be determined, because its syntax
    is broken, is removed too if this server's name stands anywhere in it, since a reader might find it there. So is one
    that is too long to be parsed.
    """
    if header.lower().find(_NAME) < 0:
        return header
    own = _comparable(authserv_id)
    return _FIELDS.sub(lambda field: b"" if _claims(field[1], own) else field[0], header)


def is_same_name(one: str, other: str) -> bool:
    """Whether two authserv-ids are one: a domain in capitals or U-labels is the one in A-labels (RFC 8616 §5)."""
    return _comparable(one) == _comparable(other)


def _comparable(authserv_id: str) -> str:
    return a_labels(authserv_id.strip().rstrip(".").lower()).lower()


def _claims(body: bytes, own: str) -> bool:
    if len(body) > _READ_MAX:
        return True
    text = unfold(body).decode("utf-8", "replace")
    reader = _Reader(text)
    try:
        claimed = reader.authserv_id()
        if _comparable(claimed) == own:
            return True
    except _BrokenError:
        claimed = ""
    if claimed:
        read = parse_authentication_results(body)
        if read is not None and read.is_whole:
            return False
    # With comments, which may contain this server's name, and without: they may stand within it.
    for readable in (text, _without_comments(text)):
        squeezed = _NOT_IN_NAMES.sub("", readable).lower()
        if own in squeezed or own in _words_in_a_labels(squeezed):
            return True
    return False


def _without_comments(text: str) -> str:
    kept = []
    depth = start = 0
    for stop in _COMMENT_STOP.finditer(text):
        if stop[0] == "(":
            if not depth:
                kept.append(text[start : stop.start()])
            depth += 1
        elif stop[0] == ")" and depth:
            depth -= 1
            start = stop.end()
    return "".join(kept) if depth else "".join(kept) + text[start:]


def _words_in_a_labels(text: str) -> set[str]:
    return {a_labels(word) for word in re.split(r"[^\w.\-]+", text)} if not text.isascii() else set()
