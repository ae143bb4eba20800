"""Names as people write them."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.names import absolute_name, comparable_address, comparable_domain, comparable_name, text_of


class AbsoluteNameTests(SynchronousTestCase):
    def test_every_name_is_absolute(self) -> None:
        for text in ("example.com", "example.com.", "EXAMPLE.com"):
            self.assertEqual(str(absolute_name(text)), "example.com.")

    def test_u_labels_become_a_labels(self) -> None:
        self.assertEqual(str(absolute_name("Bücher.example")), "xn--bcher-kva.example.")
        self.assertEqual(str(absolute_name("faß.example")), "xn--fa-hia.example.")

    def test_what_cannot_be_a_name_is_none(self) -> None:
        for text in ("a..b", "x" * 64 + ".example", ".".join(["abcdefgh"] * 40), "\u2028.example"):
            self.assertIsNone(absolute_name(text), text)

    def test_text_has_no_final_dot_and_the_root_is_empty(self) -> None:
        for text, expected in (("A.example.", "a.example"), (".", "")):
            name = absolute_name(text)
            assert name is not None
            self.assertEqual(text_of(name), expected)


class ComparableTests(SynchronousTestCase):
    """One form of each name, whichever function is asked for it."""

    def test_forms_of_one_domain_are_one(self) -> None:
        for text in ("Bücher.example", "bücher.example.", "xn--bcher-kva.EXAMPLE", "XN--BCHER-KVA.example."):
            self.assertEqual(comparable_domain(text), "xn--bcher-kva.example")

    def test_a_name_that_is_an_address_is_compared_as_one(self) -> None:
        for local_part in ("Joe", "a.b", "a.", "JOSÉ", "", "a@b"):
            for domain in ("Example.ORG", "example.org.", "Bücher.example.", "[192.0.2.1]", "", "."):
                text = f"{local_part}@{domain}"
                self.assertEqual(comparable_name(text), comparable_address(local_part, domain), text)

    def test_any_other_name_is_compared_as_a_domain(self) -> None:
        for text in ("Example.ORG", "example.org.", "bücher.example", "192.0.2.1", "2001:DB8::1", ""):
            self.assertEqual(comparable_name(text), comparable_domain(text), text)
