"""Bodies canonicalised and hashed while they come in, in any cut. Source: RFC 6376 §3.4.3, §3.4.4, §3.7.

All work is done by operations on whole chunks; between chunks no more is kept than a few octets and a count of the
empty lines that may turn out to be the last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from pymailsuite.policy.dkim.white_space import single_spaced

_LINE_ENDS_AT_A_TIME: Final = 32_768


class BodyCanonicalizer:
    """One body in canonical form, ``simple`` or ``relaxed``, handed to ``emit`` piece by piece."""

    def __init__(self, relaxed: bool, emit: Callable[[bytes], object]) -> None:
        self._relaxed = relaxed
        self._emit = emit
        self._carry = b""
        """What the next octets decide on: white space or a CR at the end of what came so far."""
        self._line_ends = 0
        """CRLFs held back: those at the end of a body are only one."""
        self._started = False

    def write(self, octets: bytes) -> None:
        """The next octets of the body."""
        text = self._carry + octets
        if self._relaxed:
            text = single_spaced(text)
            if b" " in text:
                text = text.replace(b" \r\n", b"\r\n")
            held = 2 if text.endswith(b" \r") else 1 if text.endswith((b" ", b"\r")) else 0
        else:
            held = 1 if text.endswith(b"\r") else 0
        cut = len(text) - held
        self._carry = text[cut:]
        self._put(text[:cut])

    def finish(self) -> None:
        """The body is over."""
        rest = self._carry.rstrip(b" ") if self._relaxed else self._carry
        if rest:
            self._put(rest)
        # An empty body is one line end when simple, nothing when relaxed.
        if self._started or not self._relaxed:
            self._emit(b"\r\n")

    def _put(self, text: bytes) -> None:
        content = text.rstrip(b"\r\n")
        ends = text[len(content) :]
        # Nothing but CR and LF is in there: the mark cannot be taken for anything else, and each pair is one mark.
        marked = ends.replace(b"\r\n", b"\0")
        line_ends = len(marked) - len(marked.rstrip(b"\0"))
        content = text[: len(text) - 2 * line_ends]
        if not content:
            self._line_ends += line_ends
            return
        while self._line_ends:
            count = min(self._line_ends, _LINE_ENDS_AT_A_TIME)
            self._emit(b"\r\n" * count)
            self._line_ends -= count
        self._emit(content)
        self._started = True
        self._line_ends = line_ends


class BodyHash:
    """SHA-256 over the first ``limit`` octets of a canonical body, or over all of it."""

    def __init__(self, limit: int | None) -> None:
        self._hash = hashlib.sha256()
        self._limit = limit
        self.length = 0
        """Octets of the canonical body so far, hashed or not."""

    def update(self, octets: bytes) -> None:
        """The next canonical octets."""
        if self._limit is None:
            self._hash.update(octets)
        elif self.length < self._limit:
            self._hash.update(octets[: self._limit - self.length])
        self.length += len(octets)

    def digest(self) -> bytes:
        """The hash of what came so far."""
        return self._hash.digest()


class BodyHasher:
    """All the body hashes that are wanted of one message; each canonical form is made once.

    ``wanted`` are pairs of relaxed or not, and ``l=`` or None.
    """

    def __init__(self, wanted: Iterable[tuple[bool, int | None]]) -> None:
        self._hashes = {want: BodyHash(want[1]) for want in wanted}
        self._canonicalizers = [
            BodyCanonicalizer(relaxed, _fan_out([h for want, h in self._hashes.items() if want[0] is relaxed]))
            for relaxed in sorted({want[0] for want in self._hashes})
        ]

    def write(self, octets: bytes) -> None:
        """The next octets of the body."""
        for canonicalizer in self._canonicalizers:
            canonicalizer.write(octets)

    def finish(self) -> None:
        """The body is over."""
        for canonicalizer in self._canonicalizers:
            canonicalizer.finish()

    def hash_of(self, relaxed: bool, limit: int | None) -> BodyHash:
        """One of those wanted, once the body is over. KeyError if it was not wanted."""
        return self._hashes[relaxed, limit]


def _fan_out(hashes: list[BodyHash]) -> Callable[[bytes], object]:
    if len(hashes) == 1:
        return hashes[0].update

    def update_all(octets: bytes) -> None:
        for each in hashes:
            each.update(octets)

    return update_all
