"""Canonical bodies, whole and in any cut."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dkim.body import BodyCanonicalizer, BodyHasher


def canonical(body: bytes, relaxed: bool, cuts: list[int] | None = None) -> bytes:
    parts: list[bytes] = []
    canonicalizer = BodyCanonicalizer(relaxed, parts.append)
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts or [])})
    for start, stop in pairwise(edges):
        canonicalizer.write(body[start:stop])
    canonicalizer.finish()
    return b"".join(parts)


def by_the_book(body: bytes, relaxed: bool) -> bytes:
    """RFC 6376 §3.4.3 and §3.4.4, line by line."""
    lines = body.split(b"\r\n")
    if relaxed:
        lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in lines]
    while lines and not lines[-1]:
        del lines[-1]
    if not lines:
        return b"" if relaxed else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"


bodies = st.lists(st.sampled_from([b"a", b"  ", b"\t", b" ", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\xff"])).map(
    b"".join
)


class CanonicalBodyTests(SynchronousTestCase):
    def test_the_examples_of_the_rfc(self) -> None:
        # RFC 6376 §3.4.5
        body = b" C \r\nD \t E\r\n\r\n\r\n"
        self.assertEqual(canonical(body, relaxed=True), b" C\r\nD E\r\n")
        self.assertEqual(canonical(body, relaxed=False), b" C \r\nD \t E\r\n")

    def test_an_empty_body_is_nothing_when_relaxed_and_one_line_end_when_simple(self) -> None:
        for body in (b"", b"\r\n", b"\r\n\r\n"):
            self.assertEqual(canonical(body, relaxed=True), b"")
            self.assertEqual(canonical(body, relaxed=False), b"\r\n")

    def test_the_hash_of_an_empty_body_is_that_of_the_rfc(self) -> None:
        hasher = BodyHasher([(True, None), (False, None)])
        hasher.finish()
        # RFC 6376 §3.4.3 and §3.4.4, in SHA-256
        self.assertEqual(
            hasher.hash_of(False, None).digest().hex(),
            hashlib.sha256(b"\r\n").hexdigest(),
        )
        self.assertEqual(hasher.hash_of(True, None).digest().hex(), hashlib.sha256(b"").hexdigest())

    @given(bodies, st.lists(st.integers(0, 200), max_size=8), st.booleans())
    def test_any_cut_gives_what_the_book_says(self, body: bytes, cuts: list[int], relaxed: bool) -> None:
        self.assertEqual(canonical(body, relaxed, cuts), by_the_book(body, relaxed))

    @given(bodies, st.booleans())
    def test_a_canonical_body_is_its_own_canonical_form(self, body: bytes, relaxed: bool) -> None:
        once = canonical(body, relaxed)
        self.assertEqual(canonical(once, relaxed), once)

    @given(bodies, st.integers(0, 60), st.lists(st.integers(0, 200), max_size=4))
    def test_a_limited_hash_covers_the_beginning(self, body: bytes, limit: int, cuts: list[int]) -> None:
        hasher = BodyHasher([(True, limit), (True, None), (False, limit)])
        edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
        for start, stop in pairwise(edges):
            hasher.write(body[start:stop])
        hasher.finish()
        for relaxed in (True, False):
            whole = by_the_book(body, relaxed)
            hashed = hasher.hash_of(relaxed, limit)
            self.assertEqual(hashed.length, len(whole))
            self.assertEqual(hashed.digest(), hashlib.sha256(whole[:limit]).digest())

    def test_held_back_octets_stay_few(self) -> None:
        for filling in (b" ", b"\t", b"\r\n", b" \r\n", b"\r"):
            with self.subTest(filling=filling):
                emitted: list[int] = []
                canonicalizer = BodyCanonicalizer(True, lambda octets, sizes=emitted: sizes.append(len(octets)))
                for _ in range(50):
                    canonicalizer.write(filling * 20_000)
                    self.assertLess(len(canonicalizer._carry), 3)
                canonicalizer.write(b"x")
                canonicalizer.finish()
                self.assertLess(max(emitted), 100_000)
