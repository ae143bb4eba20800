"""ENVELOPE in wire form: NIL rules, address forms, quoting. Source: RFC 3501 §7.4.2."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.addresses import raw_addresses
from pymailsuite.message.envelope import Effort, address_list
from pymailsuite.message.quoting import nstring, string
from pymailsuite.message.scan import scan
from tests.acceptance import acceptance

# The example of RFC 3501 §8, which servers and clients have been tested with since 1996.
RFC_EXAMPLE = b"""\
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

""".replace(b"\n", b"\r\n")


def listed(body: str) -> str:
    return address_list(body.encode("utf-8"), Effort(10_000)).decode("utf-8")


class EnvelopeTests(SynchronousTestCase):
    @acceptance("S108")
    def test_the_example_of_the_rfc(self) -> None:
        body = b"x" * 30 + b"\r\n"
        structure = scan(RFC_EXAMPLE + body * 92 + b"y" * 84)
        self.assertEqual(
            b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
            b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
            b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
            b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
            b'((NIL NIL "imap" "cac.washington.edu")) '
            b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) '
            b'NIL NIL "<B27397-0100000@cac.washington.edu>")',
            structure.envelope,
        )
        self.assertEqual(b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 3028 92)', structure.body)

    @acceptance("S108")
    def test_sender_and_reply_to_default_to_from_when_absent_or_empty(self) -> None:
        author = b'((NIL NIL "a" "b"))'
        for header in (b"From: a@b\r\n", b"From: a@b\r\nSender:\r\nReply-To: \r\n"):
            self.assertEqual(
                b"(NIL NIL %b %b %b NIL NIL NIL NIL NIL)" % (author, author, author), scan(header).envelope
            )
        self.assertIn(
            b'((NIL NIL "a" "b")) ((NIL NIL "s" "t")) ((NIL NIL "r" "q"))',
            scan(b"From: a@b\nSender: s@t\nReply-To: r@q\n").envelope,
        )

    @acceptance("S108")
    def test_a_message_without_fields_is_all_nil(self) -> None:
        self.assertEqual(b"(" + b" ".join([b"NIL"] * 10) + b")", scan(b"").envelope)

    def test_fields_are_unfolded_and_encoded_words_left_alone(self) -> None:
        envelope = scan(b"Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n\r\n").envelope
        self.assertEqual(b'(NIL "=?utf-8?q?a?= =?utf-8?q?b?=" ' + b" ".join([b"NIL"] * 8) + b")", envelope)

    def test_the_first_of_repeated_fields_counts_but_addresses_are_joined(self) -> None:
        envelope = scan(b"Subject: one\nSubject: two\nTo: a@b\nTO: c@d\nTo: e@f\n").envelope
        self.assertIn(b'"one"', envelope)
        self.assertNotIn(b'"two"', envelope)
        self.assertIn(b'((NIL NIL "a" "b")(NIL NIL "c" "d")(NIL NIL "e" "f"))', envelope)

    def test_white_space_before_the_colon_is_passed_over(self) -> None:
        self.assertIn(b'"hi"', scan(b"Subject \t: hi\r\n\r\n").envelope)


class AddressTests(SynchronousTestCase):
    def test_display_names_and_comments(self) -> None:
        self.assertEqual('(("A B" NIL "a" "b"))', listed(" A  B <a@b>"))
        self.assertEqual('(("A, \\"B\\"" NIL "a" "b"))', listed('"A, \\"B\\"" <a@b>'))
        self.assertEqual('(("John (the) Doe" NIL "a" "b"))', listed("a@b (John (the) Doe)"))
        self.assertEqual('(("A" NIL "a" "b"))', listed("A <a@b> (not the name)"))
        self.assertEqual('(("J. R. Doe" NIL "a" "b"))', listed("J. R. Doe <a@b>"))

    def test_obsolete_forms(self) -> None:
        self.assertEqual('((NIL NIL "a.b" "c.d"))', listed("a . b @ c . d"))
        self.assertEqual('((NIL "@x,@y" "a" "b"))', listed("<@x,@y:a@b>"))
        self.assertEqual('((NIL NIL "a" "b")(NIL NIL "c" "d"))', listed(",a@b,,c@d,"))
        self.assertEqual('((NIL NIL "a" "b"))', listed("<a @ b>"))

    def test_quoted_local_parts_and_literals(self) -> None:
        self.assertEqual('((NIL NIL "john doe" "b"))', listed('"john doe"@b'))
        self.assertEqual('((NIL NIL "a@b" "c"))', listed('<"a@b"@c>'))
        self.assertEqual('((NIL NIL "a" "[192.0.2.1]"))', listed("a@[192.0.2.1]"))

    def test_groups_have_nil_markers(self) -> None:
        self.assertEqual(
            '((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))', listed("undisclosed-recipients:;")
        )
        self.assertEqual(
            '((NIL NIL "x" "y")(NIL NIL "A Group" NIL)("Ed" NIL "e" "f")(NIL NIL "g" "h")(NIL NIL NIL NIL)'
            '(NIL NIL "i" "j"))',
            listed("x@y, A Group: Ed <e@f>, g@h; i@j"),
        )
        self.assertEqual('((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))', listed("g: a@b"))

    def test_broken_input_keeps_what_it_can(self) -> None:
        self.assertEqual('((NIL NIL "root" ""))', listed("root"))
        self.assertEqual("NIL", listed(" <> "))
        self.assertEqual('(("Mailer" NIL "" ""))', listed("Mailer <>"))
        self.assertEqual('((NIL NIL "a" "b")(NIL NIL "c" "d"))', listed("<a@b, c@d"))
        self.assertEqual('(("open" NIL "a" "b"))', listed('"open" <a@b> "'))
        self.assertEqual('(("open (((" NIL "a" "b"))', listed("a@b (open ((("))
        self.assertEqual("NIL", listed(" ,;: "))

    def test_no_address_is_made_of_two(self) -> None:
        """Where a comma is missing."""
        a, b = '(NIL NIL "a" "x.example")', '(NIL NIL "b" "y.example")'
        one, two = a.replace("NIL", '"A One"', 1), b.replace("NIL", '"B Two"', 1)
        for body, expected in {
            "A One <a@x.example> B Two <b@y.example>": one + two,
            "A One <a@x.example B Two <b@y.example>": one + two,
            "A One <a@x.example B Two>": one,
            "<a@x.example><b@y.example>": a + b,
            "A One <a@x.example> b@y.example": one + b,
            "A One <a@x.example>, b@y.example (B Two)": one + two,
            "a@x.example b@y.example": a + b,
            "a@x.example\n\tb@y.example": a + b,
            "A One a@x.example B Two b@y.example": one + two,
            "a@x.example (A One) <b@y.example>": '("a@x.example" NIL "b" "y.example")',
            "A One a@x.example": one,
            "<a@x.example b@y.example>": a + b,
            "A One <a@x.example>: b@y.example": one + b,
            "g: a@x.example b@y.example;": f'(NIL NIL "g" NIL){a}{b}(NIL NIL NIL NIL)',
            "a @ x . example b@y.example": a + b,
            "<A One a@x.example>": one,
            "A One <junk a@x.example>": one,
        }.items():
            self.assertEqual(f"({expected})", listed(body), body)

    def test_a_string_that_does_not_end_is_none(self) -> None:
        a, b = '("A One" NIL "a" "x.example")', '(NIL NIL "b" "y.example")'
        for body, expected in {
            '"A One <a@x.example>': a,
            '"A One <a@x.example>, b@y.example': a + b,
            'A "One <a@x.example>, b@y.example': a + b,
            'b@y.example, "A One <a@x.example>': b + a,
            '"A \\" One <a@x.example>': a.replace("A One", "A \\\\ One"),
            '"A" "One <a@x.example>': a,
            "A (One <a@x.example>, b@y.example": a + b,
        }.items():
            self.assertEqual(f"({expected})", listed(body), body)

    @given(
        st.lists(
            st.sampled_from(
                ["a@x", "b@y", "<a@x>", "<b@y>", " ", '"', "(", ")", "Anna", '"Bob"', ",", ":", ";", "<", ">"]
            )
        )
    )
    def test_each_address_stands_there(self, pieces: list[str]) -> None:
        body = " ".join(pieces).encode()
        for entry in raw_addresses(body):
            if entry.domain:
                self.assertIn(b"%b@%b" % (entry.local_part or b"", entry.domain), (b"a@x", b"b@y"), body)

    def test_octets_above_ascii_go_out_as_literals(self) -> None:
        self.assertEqual('(({2}\r\né NIL "a" "b"))', listed("é <a@b>"))
        self.assertEqual("((NIL NIL {3}\r\naé {5}\r\né.fr))", listed("aé@é.fr"))

    @given(st.text('ab@<>,:;.()[]\\" \té\n', max_size=40))
    def test_any_list_has_the_form_the_grammar_wants(self, body: str) -> None:
        assert_nested(address_list(body.encode(), Effort(10_000)))

    @given(
        st.lists(
            st.sampled_from(
                (
                    "A B",
                    '"A,  B"',
                    '" x "',
                    "",
                    "A.",
                    "a@b",
                    "<a.b@c>",
                    " ",
                    ", ",
                    ",",
                    "<a@b>",
                    "x" * 210 + "@y",
                    "é",
                    "\t",
                    "a@b (C D)",
                    "g:",
                    ";",
                    '"',
                )
            )
        )
    )
    def test_the_quick_way_gives_what_the_parser_gives(self, pieces: list[str]) -> None:
        body = "".join(pieces).strip().encode()
        parsed = [b"(%b)" % b" ".join(map(nstring, entry)) for entry in raw_addresses(body)]
        self.assertEqual(b"(%b)" % b"".join(parsed) if parsed else b"NIL", address_list(body, Effort(10_000)))


def assert_nested(wire: bytes) -> None:
    """Read ``wire`` as nested lists, strings and atoms to its end."""
    depth, position = 0, 0
    while position < len(wire):
        octet = wire[position : position + 1]
        if octet == b'"':
            position += 1
            while wire[position : position + 1] != b'"':
                position += 2 if wire[position : position + 1] == b"\\" else 1
        elif octet == b"{":
            stop = wire.index(b"}\r\n", position)
            position = stop + 2 + int(wire[position + 1 : stop])
        elif octet == b"(":
            depth += 1
        elif octet == b")":
            depth -= 1
            assert depth >= 0, wire
        else:
            assert octet in b" NIL0123456789", wire
        position += 1
    assert depth == 0, wire


class QuotingTests(SynchronousTestCase):
    def test_quoted_where_safe_else_a_literal(self) -> None:
        self.assertEqual(b'""', string(b""))
        self.assertEqual(b'"a\\"b\\\\"', string(b'a"b\\'))
        self.assertEqual(b"{2}\r\n\xc3\xa4", string(b"\xc3\xa4"))
        self.assertEqual(b"{3}\r\na\rb", string(b"a\rb"))
        self.assertEqual(b"{3}\r\na?b", string(b"a\x00b"))
        self.assertEqual(b"{1001}\r\n" + b"x" * 1001, string(b"x" * 1001))
        self.assertEqual(b"NIL", nstring(None))
