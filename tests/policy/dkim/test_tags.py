"""Tag lists, as RFC 6376 §3.2 has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.dkim.tags import TagError, decode_base64, parse_tags, render_field, without_signature


class TagListTests(SynchronousTestCase):
    def test_white_space_around_names_and_values_does_not_count(self) -> None:
        self.assertEqual(parse_tags(b" a = b ;\r\n\tc=d e\r\n f ; "), {"a": "b", "c": "d e\r\n f"})

    def test_values_may_be_empty_and_hold_equals_signs(self) -> None:
        self.assertEqual(parse_tags(b"p=;b=ab=="), {"p": "", "b": "ab=="})

    def test_names_keep_their_case(self) -> None:
        self.assertEqual(parse_tags(b"D=x; d=y"), {"D": "x", "d": "y"})

    def test_values_may_be_utf8(self) -> None:
        self.assertEqual(parse_tags("d=bücher.example".encode()), {"d": "bücher.example"})

    def test_what_is_no_tag_list_is_refused(self) -> None:
        for text in (
            b"a=1; a=2",
            b"a=1;; b=2",
            b"; a=1",
            b"a",
            b"1a=x",
            b"a b=x",
            b"=x",
            b"a=\x01",
            b"a=\xff",
            b"a-b=x",
        ):
            with self.subTest(text=text):
                self.assertRaises(TagError, parse_tags, text)

    def test_no_tags_at_all_is_an_empty_list(self) -> None:
        self.assertEqual(parse_tags(b" \r\n "), {})

    def test_base64_may_be_folded(self) -> None:
        self.assertEqual(decode_base64("b", "aGV\r\n\t sbG8="), b"hello")
        self.assertRaises(TagError, decode_base64, "b", "a!b=")

    def test_the_signature_is_taken_out_and_nothing_else(self) -> None:
        field = b" v=1; bh=ab==; b \r\n = cd\r\n ef== \r\n ; d=x; xb=1"
        self.assertEqual(without_signature(field), b" v=1; bh=ab==; b \r\n =; d=x; xb=1")
        self.assertEqual(without_signature(b"b=ab==; d=x"), b"b=; d=x")
        self.assertEqual(without_signature(b" d=x; b=ab\r\n c "), b" d=x; b=")


class RenderTests(SynchronousTestCase):
    @given(st.binary(max_size=1100), st.lists(st.sampled_from(["from", "list-unsubscribe-post", "to"]), min_size=1))
    def test_a_rendered_field_reads_as_what_went_in_and_its_folds_do_not_depend_on_the_signature(
        self, signature: bytes, names: list[str]
    ) -> None:
        tags = [("v", "1"), ("b", ""), ("h", ":".join(names)), ("d", "example.org")]
        for fold in (True, False):
            field = render_field(b"DKIM-Signature", tags, signature, fold_signature=fold)
            name, _, body = field.partition(b":")
            read = parse_tags(body)
            self.assertEqual((name, read["v"], read["d"]), (b"DKIM-Signature", "1", "example.org"))
            self.assertEqual(decode_base64("b", read["b"]), signature)
            self.assertEqual("".join(read["h"].split()), ":".join(names))
            self.assertEqual(without_signature(body), render_field(b"", tags)[1:])
            self.assertLessEqual(max(map(len, field.split(b"\r\n"))), 78 if fold else 998)
