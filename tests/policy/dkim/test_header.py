"""Headers split, chosen from and canonicalised."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dkim.header import HeaderSplitter, HeaderView, canonical_field, split_fields, with_crlf
from tests.support.linear import assert_linear

values = st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b":", b"\xfc", b"  "])).map(b"".join)


def cut(octets: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(octets), *(each % (len(octets) + 1) for each in cuts)})
    return [octets[start:stop] for start, stop in pairwise(edges)]


class FieldTests(SynchronousTestCase):
    def test_the_examples_of_the_rfc(self) -> None:
        # RFC 6376 §3.4.5
        fields = split_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n")
        self.assertEqual([canonical_field(field.raw, True) for field in fields], [b"a:X", b"b:Y Z"])
        self.assertEqual([canonical_field(field.raw, False) for field in fields], [b"A: X", b"B : Y\t\r\n\tZ  "])

    def test_lines_that_are_no_fields_belong_to_the_field_before(self) -> None:
        fields = split_fields(b"From me\r\nA: x\r\n\xff\r\n>\r\nB: y\r\n\r\n")
        self.assertEqual([(field.name, field.raw) for field in fields], [(b"a", b"A: x\r\n\xff\r\n>"), (b"b", b"B: y")])

    def test_a_header_of_lines_that_are_no_fields_takes_linear_time(self) -> None:
        assert_linear(split_fields, lambda n: b"A: x\r\n" + b"a\r\n" * n, 10_000)

    @given(values)
    def test_a_relaxed_field_is_its_own_relaxed_form(self, value: bytes) -> None:
        once = canonical_field(b"Subject :" + value, True)
        self.assertEqual(canonical_field(once, True), once)

    def test_names_that_stand_again_mean_the_fields_from_the_last_one_up(self) -> None:
        view = HeaderView(split_fields(b"A: 1\r\nB: 1\r\nA: 2\r\nA: 3\r\n"))
        chosen = [field.raw for field in view.select([b"a", b"c", b"a", b"b", b"b", b"a", b"a"])]
        self.assertEqual(chosen, [b"A: 3", b"A: 2", b"B: 1", b"A: 1"])


class SplitterTests(SynchronousTestCase):
    @given(
        st.sampled_from(
            [b"", b"\r\n", b"A: b\r\n\r\n", b"A: b\r\n\r\nbody\r\n\r\nmore", b"A: b", b"\r\nbody", b"\r\n\r\n"]
        ),
        st.lists(st.integers(0, 30), max_size=6),
    )
    def test_the_header_ends_at_the_empty_line_whatever_the_cut(self, message: bytes, cuts: list[int]) -> None:
        splitter = HeaderSplitter(1000)
        body = b"".join(splitter.write(piece) for piece in cut(message, cuts))
        splitter.finish()
        whole = HeaderSplitter(1000)
        expected = whole.write(message)
        whole.finish()
        self.assertEqual((splitter.header, body), (whole.header, expected))
        self.assertEqual((splitter.header or b"") + body, message)

    def test_an_empty_header_is_one_empty_line(self) -> None:
        splitter = HeaderSplitter(1000)
        self.assertEqual(splitter.write(b"\r\nbody"), b"body")
        self.assertEqual(splitter.header, b"\r\n")

    def test_a_header_over_the_limit_is_not_kept(self) -> None:
        splitter = HeaderSplitter(10)
        for _ in range(20):
            splitter.write(b"A: bcdef\r\n")
        self.assertTrue(splitter.too_large)
        self.assertEqual(splitter._parts, [])
        self.assertEqual(splitter.write(b"\r\nbody"), b"")
        splitter.finish()
        self.assertIsNone(splitter.header)


class LineEndTests(SynchronousTestCase):
    @given(
        st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r"])).map(b"".join), st.lists(st.integers(0, 30), max_size=6)
    )
    def test_bare_lf_becomes_crlf_whatever_the_cut(self, text: bytes, cuts: list[int]) -> None:
        expected = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self.assertEqual(b"".join(with_crlf(cut(text, cuts))), expected)
