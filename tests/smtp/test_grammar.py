"""The grammar of commands."""

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import PeerError
from pymailsuite.smtp.grammar import (
    ArgumentRefused,
    BadRecipientSyntax,
    BadSenderSyntax,
    SyntaxRefused,
    after_keyword,
    command_text,
    is_domain,
    parse_forward_path,
    parse_helo,
    parse_reverse_path,
)
from pymailsuite.values import Address
from tests.acceptance import acceptance


class PathTests(SynchronousTestCase):
    """Reverse and forward paths."""

    def test_paths_and_what_they_are(self):
        for text, address in (
            ("<>", None),
            ("<a@b.example>", Address("a", "b.example")),
            ("<A.b+c@B.EXAMPLE>", Address("A.b+c", "b.example")),
            ("<@x.example,@y.example:a@b.example>", Address("a", "b.example")),
            (r'<"a b\"c\\"@b.example>', Address('a b"c\\', "b.example")),
            ('<""@b.example>', Address("", "b.example")),
            ("<a@[192.0.2.1]>", Address("a", "[192.0.2.1]")),
            ("<a@[IPv6:2001:DB8:0::1]>", Address("a", "[IPv6:2001:db8::1]")),
            ("<zoë@exämple.example>", Address("zoë", "exämple.example")),
            ("<a@b.example.>", Address("a", "b.example")),
            ("<Postmaster>", Address("Postmaster", "")),
        ):
            for lenient in (False, True):
                self.assertEqual(parse_reverse_path(text, lenient), (address, {}), text)

    def test_what_is_no_path_is_refused(self):
        for text in (
            "<a@b.example",
            "<a@>",
            "<@b.example>",
            "<a b@c.example>",
            "<a@b..example>",
            "<a@-b.example>",
            "<a@b-.example>",
            "<a@b.example>x",
            "<a@[192.0.2.256]>",
            "<a@[x]>",
            "<<a@b.example>>",
            f"<{'a' * 257}@b.example>",
            f"<a@{'b.' * 127}example>",
            '<"a@b.example>',
            "a@b.example>",
        ):
            for lenient in (False, True):
                self.assertRaises(PeerError, parse_reverse_path, text, lenient)
                self.assertRaises(PeerError, parse_forward_path, text, lenient)

    @acceptance("S029")
    def test_lenient_syntax_takes_what_people_type(self):
        for text in (" <a@b.example>", "a@b.example", "  a@b.example  ", "< a@b.example >", "a@b.example."):
            self.assertEqual(parse_forward_path(text, True)[0], Address("a", "b.example"), text)
            if text != "<a@b.example>":
                self.assertRaises(PeerError, parse_forward_path, text, False)
        self.assertEqual(parse_forward_path("a@b_c.example", True)[0], Address("a", "b_c.example"))

    @acceptance("S029")
    def test_dots_may_stand_anywhere_and_go_on_as_they_were_written(self):
        for local_part in ("a..b", ".a", "ilo.", "..", "."):
            text = f"<{local_part}@c.example>"
            address = parse_forward_path(text, True)[0]
            self.assertEqual((address, str(address)), (Address(local_part, "c.example"), text[1:-1]))
            self.assertRaises(BadRecipientSyntax, parse_forward_path, text, False)
            quoted = parse_forward_path(f'<"{local_part}"@c.example>', True)[0]
            self.assertEqual((quoted, str(quoted)), (address, f'"{local_part}"@c.example'))
        self.assertEqual(str(parse_forward_path("<a.b@c.example>", True)[0]), "a.b@c.example")
        # Nothing but dots is taken on trust.
        self.assertEqual(str(Address("a ..b", "c.example", unquoted=True)), '"a ..b"@c.example')

    def test_keywords_of_paths(self):
        for argument in (" FROM:<>", "from :<>", "From\t: <>"):
            self.assertEqual(after_keyword(argument, "FROM", True).strip(), "<>")
            self.assertRaises(SyntaxRefused, after_keyword, argument, "FROM", False)
        for argument in ("", "FROM", "TO:<>", "FROMM:<>", "x FROM:<>", ":<>"):
            for lenient in (False, True):
                self.assertRaises(SyntaxRefused, after_keyword, argument, "FROM", lenient)

    def test_errors_tell_sender_and_recipient_apart(self):
        self.assertRaises(BadSenderSyntax, parse_reverse_path, "<a@b..c>", False)
        self.assertRaises(BadRecipientSyntax, parse_forward_path, "<a@b..c>", False)
        self.assertRaises(BadRecipientSyntax, parse_forward_path, "<>", False)
        self.assertRaises(BadRecipientSyntax, parse_forward_path, "<a>", False)
        self.assertRaises(SyntaxRefused, parse_reverse_path, "a@b.example", False)

    def test_parameters(self):
        for text, parameters in (
            ("<a@b.example> SIZE=10", {"SIZE": "10"}),
            ("<a@b.example>  size=10  smtputf8", {"SIZE": "10", "SMTPUTF8": ""}),
            ("<> AUTH=<>", {"AUTH": "<>"}),
        ):
            self.assertEqual(parse_reverse_path(text, False)[1], parameters)
        for text in ("<> SIZE=", "<> =1", "<> SIZE=1=2", "<> SIZE=1 Size=2", "<> -x=1"):
            self.assertRaises(ArgumentRefused, parse_reverse_path, text, False)

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
    def test_any_local_part_survives_being_quoted(self, local_part):
        address = Address(local_part, "b.example")
        self.assertEqual(parse_forward_path(f"<{address}>", False)[0], address)

    @given(st.text(max_size=200), st.booleans())
    def test_any_text_is_parsed_or_refused(self, text, lenient):
        try:
            parse_reverse_path(text, lenient)
        except PeerError:
            return

    def test_no_text_costs_more_than_its_length(self):
        began = time.process_time()
        for text in (
            "<" + "a." * 1000,
            "<a@" + "b-" * 1000,
            '<"' + "\\a" * 1000,
            "<" + "@a," * 700,
            "a" * 2000,
            "<" + "." * 2000,
            " " * 2000,
        ):
            for lenient in (False, True):
                self.assertRaises(PeerError, parse_forward_path, text, lenient)
        self.assertLess(time.process_time() - began, 1)


class WordTests(SynchronousTestCase):
    """HELO names, sizes and command lines."""

    @acceptance("S008")
    def test_helo_takes_any_word(self):
        for name in ("client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "PRINTER_3", "localhost", "xn--bcher-kva"):
            self.assertEqual(parse_helo(name), name)

    def test_helo_takes_no_other_thing(self):
        for argument in ("", " ", "two words", "x" * 256):
            self.assertRaises(SyntaxRefused, parse_helo, argument)

    def test_domains(self):
        self.assertTrue(is_domain("mail.example"))
        for name in ("", "-a.example", "a..b", "a_b.example", "[192.0.2.1]", "a" * 256):
            self.assertFalse(is_domain(name))

    def test_command_lines_are_utf8_without_controls(self):
        self.assertEqual(command_text("NOOP ë\t".encode()), "NOOP ë\t")
        for line in (b"NO\0OP", b"NOOP\n", b"NOOP\r", b"\xff", b"\x1b[2J", "\x85".encode()):
            self.assertRaises(SyntaxRefused, command_text, line)
