"""Names as people write them."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.names import absolute_name, text_of


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
