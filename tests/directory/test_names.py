"""Forms of domains and login names."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.directory import canonical_login, domain_forms
from pymailsuite.directory.names import canonical_domain


class DomainFormsTests(SynchronousTestCase):
    def test_plain_domain_has_one_form_in_lower_case(self):
        self.assertEqual(domain_forms("Mail.Example"), ("mail.example",))

    def test_labels_of_either_kind_give_both_forms(self):
        self.assertEqual(domain_forms("Bücher.example"), ("bücher.example", "xn--bcher-kva.example"))
        self.assertEqual(domain_forms("xn--bcher-kva.example"), ("xn--bcher-kva.example", "bücher.example"))

    def test_all_spellings_of_a_domain_have_one_canonical_form(self):
        for text in ("bücher.example", "BU\u0308CHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example"):
            self.assertEqual(canonical_domain(text), "xn--bcher-kva.example")
        mixed = {canonical_domain(text) for text in ("bücher.xn--mller-kva.example", "xn--bcher-kva.müller.example")}
        self.assertEqual(mixed, {"xn--bcher-kva.xn--mller-kva.example"})
        for text in ("mail.example", "[192.0.2.1]", ""):
            self.assertEqual(canonical_domain(text.upper()), text)

    def test_what_is_no_domain_has_one_form(self):
        for text in ("", "[IPv6:2001:db8::1]", "xn--\x00", "ü" * 300, "xn--99999999999", "ü..x"):
            self.assertEqual(domain_forms(text), (text.lower(),))

    @given(st.text(max_size=40))
    def test_any_text_has_forms(self, text):
        forms = domain_forms(text)
        self.assertEqual(len(set(forms)), len(forms))
        self.assertGreaterEqual(len(forms), 1)


class CanonicalLoginTests(SynchronousTestCase):
    def test_lower_case_with_the_default_domain_where_none_is_named(self):
        self.assertEqual(canonical_login("Alice", "Mail.Example"), "alice@mail.example")
        self.assertEqual(canonical_login("Alice@B.Example", "mail.example"), "alice@b.example")
        self.assertEqual(canonical_login("Alice", ""), "alice")

    def test_composed_and_decomposed_letters_are_the_same(self):
        self.assertEqual(canonical_login("Mu\u0308ller", ""), "müller")
