"""BODY and BODYSTRUCTURE in wire form. Source: RFC 3501 §7.4.2."""

from __future__ import annotations

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.parts import decode_parts
from pymailsuite.message.scan import StructureScanner, scan
from tests.acceptance import acceptance
from tests.message.octets import messages
from tests.message.test_envelope import assert_nested


def structure(text: str, limits: ScanLimits | None = None) -> str:
    return scan(text.encode("utf-8"), limits or ScanLimits()).bodystructure.decode("utf-8")


def leaves(octets: bytes) -> list[bytes]:
    """The bodies of the parts that have none inside."""
    root = decode_parts(scan(octets).parts).root
    return [octets[part.body_start : part.end] for part in root.walk() if not part.children]


TAIL = "NIL NIL NIL NIL"


class LeafTests(SynchronousTestCase):
    @acceptance("S108")
    def test_octets_and_lines_of_a_plain_8bit_message(self) -> None:
        octets = (
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbcn\r\nb\r\n"
        )
        self.assertEqual(b'("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 10 2)', scan(octets).body)

    def test_without_content_type_it_is_plain_text(self) -> None:
        expected = f'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 1 {TAIL})'
        self.assertEqual(expected, structure("Subject: x\n\nabc\n"))
        self.assertEqual(expected, structure("Content-Type: nonsense\n\nabc\n"))
        self.assertEqual(expected, structure("Content-Type: multipart/mixed\n\nabc\n"))
        self.assertEqual(expected, structure("\nabc\n"))
        self.assertEqual(expected, structure("\r\nabc\n"))

    def test_lines_are_counted_for_text_only(self) -> None:
        self.assertEqual(
            f'("image" "png" NIL NIL NIL "BASE64" 2 {TAIL})',
            structure("Content-Type: image/png\nContent-Transfer-Encoding: BASE64\n\n\n\n"),
        )

    def test_all_fields(self) -> None:
        self.assertEqual(
            '("application" "pdf" ("name" "a b.pdf") "<id@x>" "A \\"thing\\"" "base64" 0 "Q2hlY2s=" '
            '("attachment" ("filename" "a b.pdf" "size" "12")) ("en" "de") "http://x.example/")',
            structure(
                'Content-Type: application/pdf; name="a b.pdf"\n'
                'Content-ID: <id@x>\nContent-Description: A "thing"\nContent-Transfer-Encoding: base64\n'
                'Content-MD5: Q2hlY2s=\nContent-Disposition: attachment;\n\tfilename="a b.pdf"; size=12\n'
                "Content-Language: en, de\nContent-Location: http://x.example/\n\n"
            ),
        )

    def test_parameters_go_out_as_they_stand(self) -> None:
        def parameters(body: str) -> str:
            wire = structure(f"Content-Type: a/b{body}\n\n")
            return wire.removeprefix('("a" "b" ').removesuffix(f' NIL NIL "7bit" 0 {TAIL})')

        self.assertEqual('("charset" "us-ascii")', parameters(" ; charset=us-ascii (Plain text)"))
        self.assertEqual('("name" "two words.txt" "x" "y")', parameters("; name=two words.txt ; x=y;"))
        self.assertEqual('("a" "q\\"\\\\" "b" "")', parameters('; a="q\\"\\\\"; b='))
        self.assertEqual('("a" "open; b=c")', parameters('; a="open; b=c'))
        self.assertEqual('("a" {2}\r\né)', parameters('; a="é"'))
        self.assertEqual("NIL", parameters("; ;; =x; nothing"))

    def test_parameters_in_pieces_are_joined(self) -> None:
        """RFC 2231 §6; a charset stays with its parameter, in the form that it has without pieces (§4)."""

        def parameters(body: str) -> str:
            wire = structure(f"Content-Type: a/b{body}\nContent-Disposition: attachment{body}\n\n")
            found = wire.removeprefix('("a" "b" ').split(' NIL NIL "7bit" 0 NIL ("attachment" ')
            self.assertEqual(found[0] + ") NIL NIL)", found[1])
            return found[0]

        for body, expected in {
            '; name*0="long-"; name*1="name.pdf"': '("name" "long-name.pdf")',
            '; name*1="name.pdf"; x=y; NAME*0=long-': '("x" "y" "NAME" "long-name.pdf")',
            "; f*0*=utf-8''na%C3%AFve; f*1*=%20file.pdf": '("f*" "utf-8\'\'na%C3%AFve%20file.pdf")',
            "; f*0*=utf-8'en'%41; f*1=\"b c%'\"; f*2*=%20": '("f*" "utf-8\'en\'%41b%20c%25%27%20")',
            "; f*0=a; f*1*=%20b": '("f" "a b")',
            "; f*0*=a%20b": '("f" "a b")',
            "; f*=utf-8''%41": '("f*" "utf-8\'\'%41")',
            "; f=old; f*0=n; f*1=ew": '("f" "new")',
            "; f=old; f*=utf-8''new; f*0=n; f*1=ew": '("f*" "utf-8\'\'new" "f" "new")',
            "; f*1=b; f*2=c": '("f*1" "b" "f*2" "c")',
            "; f*0=a; f*2=c": '("f" "a" "f*2" "c")',
            "; f*0=a; f*0=z; f*1=b; f*1=y": '("f" "ab")',
            "; f*00=a; f*x=b; *0=c": '("f*00" "a" "f*x" "b" "*0" "c")',
        }.items():
            self.assertEqual(expected, parameters(body), body)
        many = "".join(f"; f*{number}=x" for number in range(60))
        self.assertEqual(f'("f" "{"x" * 60}")', parameters(many))


class NestedTests(SynchronousTestCase):
    def test_multipart(self) -> None:
        self.assertEqual(
            f'(("text" "plain" NIL NIL NIL "7bit" 5 1 {TAIL})("text" "html" NIL NIL NIL "7bit" 1 0 {TAIL}) '
            '"alternative" ("boundary" "x") ("inline" NIL) NIL NIL)',
            structure(
                "Content-Type: multipart/alternative; boundary=x\nContent-Disposition: inline\n\npreamble\n"
                "--x\nContent-Type: text/plain\n\nabcd\n\n--x \t\nContent-Type: text/html\n\nd\n--x--\nepilogue\n--x\n"
            ),
        )

    def test_a_message_inside_has_envelope_structure_and_lines(self) -> None:
        envelope = '(NIL "in" ' + " ".join(["NIL"] * 8) + ")"
        inner = f'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 1 {TAIL})'
        self.assertEqual(
            f'("message" "rfc822" NIL NIL NIL "7bit" 17 {envelope} {inner} 3 {TAIL})',
            structure("Content-Type: message/rfc822\n\nSubject: in\n\nabc\n"),
        )

    def test_an_encoded_message_is_opaque(self) -> None:
        self.assertEqual(
            f'("application" "octet-stream" NIL NIL NIL "base64" 3 {TAIL})',
            structure("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nabc"),
        )

    def test_parts_of_a_digest_are_messages(self) -> None:
        wire = structure("Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: in\n\nabc\n--x--\n")
        self.assertTrue(wire.startswith('(("message" "rfc822" NIL NIL NIL "7bit" 16 (NIL "in" '), wire)

    def test_an_empty_multipart_shows_one_empty_part(self) -> None:
        empty = f'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 {TAIL})'
        self.assertEqual(
            f'({empty} "mixed" ("boundary" "x") NIL NIL NIL)',
            structure("Content-Type: multipart/mixed; boundary=x\n\n--x--\n"),
        )

    def test_a_multipart_without_any_delimiter_is_text(self) -> None:
        self.assertEqual(
            f'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 3 {TAIL})',
            structure("Content-Type: multipart/mixed; boundary=x\n\n--y\ntext\n\n"),
        )
        wire = structure(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/x; boundary=y\n\na\n--x--"
        )
        self.assertTrue(wire.startswith(f'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 {TAIL}) '), wire)

    def test_missing_final_delimiters(self) -> None:
        wire = structure(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n"
            "--y\n\none\n--x\n\ntwo\n"
        )
        part = '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" {} {} ' + TAIL + ")"
        self.assertEqual(
            f'(({part.format(3, 0)} "mixed" ("boundary" "y") NIL NIL NIL){part.format(4, 1)} '
            '"mixed" ("boundary" "x") NIL NIL NIL)',
            wire,
        )

    def test_boundaries_that_begin_alike_are_told_apart(self) -> None:
        octets = (
            b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=xy\n\n"
            b"--xy\n\n1\n-- xy\n--xy--\n--x\n\n2\n--x--"
        )
        self.assertEqual([b"1\n-- xy", b"2"], leaves(octets))

    def test_a_delimiter_line_need_only_begin_with_the_boundary(self) -> None:
        """RFC 2046 §5.1.1, note to implementors."""
        head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        for first, last in (
            (b"--b", b"--b--"),
            (b"--b junk", b"--b-->"),
            (b"--bjunk", b"--b--b"),
            (b"--b\t(a comment)", b"--b-- \t end"),
            (b"--b-", b"--b---"),
            (b"--b: " + b"x" * 3000, b"--b--" + b" " * 3000),
        ):
            octets = head + b"%b\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n%b\r\nepilogue\r\n" % (first, last)
            self.assertEqual([b"first", b"second"], leaves(octets), (first[:20], last[:20]))

    def test_the_whole_line_counts_before_its_beginning(self) -> None:
        """And of two beginnings the longer one."""
        for outer, inner in ((b"b", b"bc"), (b"bc", b"b"), (b"b", b"b-"), (b"b--", b"b"), (b"b", b"b--")):
            octets = (
                b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\nContent-Type: multipart/mixed; boundary=%b\n\n"
                b"--%b\n\n1\n--%b x\n\n2\n--%b\n\n3\n--%b--" % (outer, outer, inner, inner, inner, outer, outer)
            )
            nested, last = decode_parts(scan(octets).parts).root.children
            self.assertEqual([b"1", b"2"], [octets[part.body_start : part.end] for part in nested.children])
            self.assertEqual(b"3", octets[last.body_start : last.end])

    def test_the_line_end_before_a_delimiter_belongs_to_it_behind_another_one_too(self) -> None:
        octets = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
            b"--c\r\n\r\n1\r\n--c--\r\n--b--\r\n"
        )
        (inner,) = decode_parts(scan(octets).parts).root.children
        self.assertEqual(b"--c\r\n\r\n1\r\n--c--", octets[inner.body_start : inner.end])

    def test_a_boundary_in_pieces_is_found(self) -> None:
        wire = structure('Content-Type: multipart/mixed; boundary*0="a"; boundary*1*=%62\n\n--ab\n\nx\n--ab--\n')
        self.assertTrue(wire.startswith('(("text" "plain"'), wire)

    def test_a_header_ended_by_a_delimiter(self) -> None:
        octets = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nSubject: s\r\n--x\r\n--x--\r\n"
        first, second = decode_parts(scan(octets).parts).root.children
        self.assertEqual(b"Subject: s", octets[first.header_start : first.body_start])
        self.assertEqual((0, 0), (first.size, second.size))
        self.assertEqual(second.header_start, second.end)

    @settings(max_examples=200, deadline=None)
    @given(messages)
    def test_any_octets_give_well_formed_lists(self, octets: bytes) -> None:
        result = scan(octets)
        for wire in (result.envelope, result.body, result.bodystructure):
            assert_nested(wire)


class LimitTests(SynchronousTestCase):
    def test_past_the_depth_a_multipart_is_opaque(self) -> None:
        wire = structure(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n"
            "--y\n\na\n--x--",
            ScanLimits(depth=1),
        )
        self.assertTrue(wire.startswith('(("application" "octet-stream" NIL NIL NIL "7bit" 6 '), wire)

    def test_past_the_number_of_parts_the_rest_is_one(self) -> None:
        octets = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nabc\n" * 9 + b"--x--\nend"
        root = decode_parts(scan(octets, ScanLimits(parts=4)).parts).root
        self.assertEqual(3, len(root.children))
        self.assertEqual("application/octet-stream", root.children[2].content_type)
        self.assertEqual(len(octets), root.children[2].end)

    def test_a_field_is_described_wherever_it_stands_in_its_header(self) -> None:
        """As HEADER.FIELDS gives it, whatever stands before it."""
        octets = (
            b"X-Long: " + b"x" * 300_000 + b"\r\n y\r\n" + b"X-Many: y\r\n" * 20_000 + b"nonsense\r\n" * 20_000
            + b"Subject: s\r\nFrom: a@b\r\nContent-Type: text/html\r\n\r\nbody"
        )  # fmt: skip
        for message, start in ((octets, 0), (b"Content-Type: message/rfc822\r\n\r\n" + octets, 32)):
            scanner = StructureScanner()
            for place in range(0, len(message), 65_536):
                scanner.feed(message[place : place + 65_536])
            result = scanner.finish()
            self.assertEqual(scan(message), result)
            message_root = decode_parts(result.parts).root
            inner = message_root.children[0] if start else message_root
            self.assertEqual(b"body", message[inner.body_start :])
            for wire in (result.bodystructure, result.body) if start else (result.envelope,):
                self.assertIn(b'(NIL "s" ((NIL NIL "a" "b")) ', wire)
            self.assertIn(b'"text" "html"', result.bodystructure)

    def test_a_field_longer_than_its_limit_ends_in_a_mark(self) -> None:
        octets = b"Subject: " + b"s" * 100 + b'\nTo: a@b,\n "x, y" <c@d>, "z, ' + b"z" * 100 + b'" <e@f>\nFrom: g@h\n\n'
        envelope = scan(octets, ScanLimits(header_octets=30)).envelope
        self.assertIn(b'"' + b"s" * 29 + b'..." ((NIL NIL "g" "h"))', envelope)
        self.assertIn(
            b'((NIL NIL "a" "b")("x, y" NIL "c" "d")(NIL NIL "..." NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)', envelope
        )
