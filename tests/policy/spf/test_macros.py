"""Macros, by the examples of RFC 7208 §7.4 and beyond."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.spf import MacroError, Query, macro_values, parse_macro_string
from pymailsuite.policy.spf.macros import NAME_MAX, target_name

NOW = 1_770_000_000.7

EXAMPLES = {
    "%{s}": "strong-bad@email.example.com",
    "%{o}": "email.example.com",
    "%{d}": "email.example.com",
    "%{d4}": "email.example.com",
    "%{d3}": "email.example.com",
    "%{d2}": "example.com",
    "%{d1}": "com",
    "%{dr}": "com.example.email",
    "%{d2r}": "example.email",
    "%{l}": "strong-bad",
    "%{l-}": "strong.bad",
    "%{lr}": "strong-bad",
    "%{lr-}": "bad.strong",
    "%{l1r-}": "strong",
    "%{ir}.%{v}._spf.%{d2}": "3.2.0.192.in-addr._spf.example.com",
    "%{lr-}.lp._spf.%{d2}": "bad.strong.lp._spf.example.com",
    "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}": "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
    "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}": "3.2.0.192.in-addr.strong.lp._spf.example.com",
    "%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
    "%{d0000000000000000000000000000001}": "com",
    "%{d99999999999999999999}": "email.example.com",
    "%{S}": "strong-bad%40email.example.com",
    "%{h} %% %_ %-": "mx.example.org %   %20",
}


class MacroTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.query = Query.of_mail_from(
            "192.0.2.3", "strong-bad@email.example.com", "mx.example.org", "mail.example.test"
        )

    def expand(self, text: str, query: Query | None = None) -> str:
        string = parse_macro_string(text, explanation=True)
        return string.expand(macro_values(query or self.query, "email.example.com", now=NOW))

    def test_the_examples_of_the_standard(self) -> None:
        for text, expected in EXAMPLES.items():
            self.assertEqual(self.expand(text), expected, text)

    def test_an_ipv6_address_is_nibbles_in_names_and_short_in_explanations(self) -> None:
        query = Query.of_mail_from("2001:db8::cb01", "joe@example.com", "mx.example.org")
        nibbles = "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2"
        self.assertEqual(self.expand("%{ir}.%{v}._spf", query), f"{nibbles}.ip6._spf")
        self.assertEqual(self.expand("%{c}", query), "2001:db8::cb01")

    def test_a_mapped_address_is_ipv4(self) -> None:
        query = Query.of_mail_from("::ffff:192.0.2.3", "joe@example.com", "mx.example.org")
        self.assertEqual(self.expand("%{i} %{c} %{v}", query), "192.0.2.3 192.0.2.3 in-addr")

    def test_explanations_may_tell_client_receiver_and_time(self) -> None:
        self.assertEqual(self.expand("%{c} %{r} %{t}"), "192.0.2.3 mail.example.test 1770000000")
        for letter in "crt":
            with self.assertRaises(MacroError):
                parse_macro_string(f"%{{{letter}}}")

    def test_upper_case_escapes_all_but_unreserved_characters(self) -> None:
        query = Query.of_mail_from("192.0.2.3", "~jack&jill=up-a_b3.c/%@example.com", "mx.example.org")
        self.assertEqual(self.expand("%{L}", query), "~jack%26jill%3Dup-a_b3.c%2F%25")

    def test_delimiters_cut_and_dots_join(self) -> None:
        query = Query.of_mail_from("192.0.2.3", "a+b-c/d_e=f,g.h@example.com", "mx.example.org")
        self.assertEqual(self.expand("%{l+-/_=,}", query), "a.b.c.d.e.f.g.h")
        self.assertEqual(self.expand("%{l2r+-/_=,}", query), "b.a")

    def test_a_long_name_loses_labels_on_the_left(self) -> None:
        name = target_name("x" * 60 + "." + "abc." * 62 + "example.org.")
        self.assertEqual(name, "abc." * 60 + "example.org")
        self.assertLessEqual(len(name), NAME_MAX)
        self.assertEqual(target_name("x" * 300), "")

    def test_spaces_are_for_explanations_only(self) -> None:
        with self.assertRaises(MacroError):
            parse_macro_string("a b")
