"""Authentication-Results: written, read back, and ours taken out of what comes in."""

from __future__ import annotations

from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.message.authentication_results import (
    AuthenticationResults,
    arc_authentication_results_field,
    authentication_results_field,
    parse_authentication_results,
    payload_of,
    remove_own_results,
)

OURS = "mx.example.org"


def body_of(field: bytes) -> bytes:
    return field.partition(b":")[2]


class WritingTests(SynchronousTestCase):
    def test_no_results_are_said_to_be_none(self) -> None:
        self.assertEqual(b"Authentication-Results: mx.example.org; none\r\n", authentication_results_field(OURS, ()))

    def test_results_stand_on_lines_of_their_own_folded_at_78(self) -> None:
        results = (
            MethodResult("spf", "pass", properties=(("smtp.mailfrom", "a@example.net"), ("smtp.helo", "h.example"))),
            MethodResult("dkim", "fail", "body hash is wrong", (("header.d", "example.net"), ("header.s", "s1"))),
            MethodResult("dmarc", "pass", "", (("header.from", "example.net"),), "p=reject dis=none"),
        )
        self.assertEqual(
            b"Authentication-Results: mx.example.org;\r\n"
            b"\tspf=pass smtp.mailfrom=a@example.net smtp.helo=h.example;\r\n"
            b'\tdkim=fail reason="body hash is wrong" header.d=example.net header.s=s1;\r\n'
            b"\tdmarc=pass (p=reject dis=none) header.from=example.net\r\n",
            authentication_results_field(OURS, results),
        )

    def test_a_set_of_arc_has_its_instance_first(self) -> None:
        field = arc_authentication_results_field(2, OURS, (MethodResult("arc", "none"),))
        self.assertEqual(b"ARC-Authentication-Results: i=2; mx.example.org;\r\n\tarc=none\r\n", field)

    def test_values_are_quoted_where_they_are_no_tokens_and_no_addresses(self) -> None:
        for value, written in (
            ("example.net", b"example.net"),
            ("a+b@example.net", b"a+b@example.net"),
            ("@example.net", b"@example.net"),
            ('"a b"@example.net', b'"a b"@example.net'),
            ("2001:db8::1", b'"2001:db8::1"'),
            ("", b'""'),
            ('say "x\\y"', b'"say \\"x\\\\y\\""'),
            ("a; spf=pass", b'"a; spf=pass"'),
            ("a\r\nSubject: x", b'"a?Subject: x"'),
        ):
            field = authentication_results_field(OURS, (MethodResult("x", "pass", "", (("policy.v", value),)),))
            self.assertEqual(b"\tx=pass policy.v=%b" % written, field.split(b"\r\n", 1)[1].removesuffix(b"\r\n"))

    def test_names_beyond_ascii_are_written_as_the_message_allows(self) -> None:
        results = (MethodResult("spf", "pass", "größer", (("smtp.mailfrom", "jörg@bücher.example"),)),)
        ascii_only = authentication_results_field("mx.bücher.example", results)
        self.assertEqual(
            b"Authentication-Results: mx.xn--bcher-kva.example;\r\n"
            b'\tspf=pass reason="gr??er" smtp.mailfrom=j?rg@xn--bcher-kva.example\r\n',
            ascii_only,
        )
        field = authentication_results_field("mx.bücher.example", results, smtputf8=True).decode()
        self.assertIn("mx.bücher.example;", field)
        self.assertIn('reason="größer" smtp.mailfrom=jörg@bücher.example', field)


class ReadingTests(SynchronousTestCase):
    def test_comments_may_stand_anywhere(self) -> None:
        # RFC 8601 appendix B.7, the form with comments everywhere.
        body = (
            b" foo.example.net (foobar) 1 (baz);\r\n"
            b"\tdkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
            b"\tpolicy (A dot can go here) . (like that) expired\r\n"
            b"\t(this surprised me) = (as I wasn't expecting it) 1362471462"
        )
        self.assertEqual(
            AuthenticationResults(
                "foo.example.net", (MethodResult("dkim", "fail", properties=(("policy.expired", "1362471462"),)),)
            ),
            parse_authentication_results(body),
        )

    def test_what_is_not_quite_right_is_read_where_its_sense_is_clear(self) -> None:
        body = b"mx.test; SPF=Pass (why (not)) smtp.mailfrom=a@b.test; dkim=pass header.b=ab/c+d= header.d=b.test; "
        self.assertEqual(
            AuthenticationResults(
                "mx.test",
                (
                    MethodResult("spf", "pass", "", (("smtp.mailfrom", "a@b.test"),), "why (not)"),
                    MethodResult("dkim", "pass", "", (("header.b", "ab/c+d="), ("header.d", "b.test"))),
                ),
            ),
            parse_authentication_results(body),
        )

    def test_versions_nobody_has_described_are_left_out(self) -> None:
        self.assertEqual(AuthenticationResults("a.test"), parse_authentication_results(b"a.test 2; spf=pass"))
        read = parse_authentication_results(b'"a.test" 1; spf/2=pass; dkim/1=none reason="x;y"')
        self.assertEqual(AuthenticationResults("a.test", (MethodResult("dkim", "none", "x;y"),)), read)

    def test_none_is_no_results(self) -> None:
        self.assertEqual(AuthenticationResults("a.test"), parse_authentication_results(b" a.test ; none (at all)"))

    def test_what_is_not_understood_is_passed_over_and_voids_nothing_else(self) -> None:
        dmarc = MethodResult("dmarc", "pass", "", (("header.from", "a.test"),))
        spf, dkim = MethodResult("spf", "pass"), MethodResult("dkim", "pass", "", (("header.d", "a.test"),))
        for body, results in (
            # As one large provider writes it, with its version and with words that RFC 8601 does not have.
            (
                b"mx 1; spf=pass; dmarc=pass action=none header.from=a.test; dkim=pass header.d=a.test",
                [spf, dmarc, dkim],
            ),
            (b"mx; dmarc=pass (p=none) action=none; spf=pass", [MethodResult("dmarc", "pass", comment="p=none"), spf]),
            (b"mx 1.2; spf=pass", [spf]),
            (b"mx v1 of-it; spf=pass", [spf]),
            (b"mx/1; spf=pass", [spf]),
            (b"mx; spf", []),
            (b"mx; spf=; dkim=pass header.d=a.test", [dkim]),
            (b"mx; =pass x.y=z (c); spf=pass", [spf]),
            (b"mx; spf=pass smtp.=x .z @ smtp.mailfrom=", [spf]),
            (b"mx; dkim=pass header.d=a.test x-unknown.thing", [dkim]),
            (b"mx; dkim=pass x-unknown.thing=1", [MethodResult("dkim", "pass", "", (("x-unknown.thing", "1"),))]),
            (b'mx; dkim=pass reason="said "so" there" header.d=a.test', [evolve(dkim, reason="said ")]),
            (b'mx; dkim=pass reason=said "so; there" header.d=a.test', [evolve(dkim, reason="said")]),
            (b"mx; dkim=pass ) header.d=a.test", [dkim]),
            (b"mx; none; spf=pass", [spf]),
            (b";; spf=pass;;", [spf]),
            # The name or a semicolon was left out.
            (b"spf=pass; dkim=pass header.d=a.test", [spf, dkim]),
            (b"mx spf=pass; dkim=pass header.d=a.test", [spf, dkim]),
            (b"mx; dkim=pass header.d=a.test spf=pass", [dkim, spf]),
            (b"mx; dkim=pass header.d=a.test\r\n\tdmarc = pass header.from=a.test", [dkim, dmarc]),
            (b"mx; dkim=pass header.d=a.test spf=passable", [dkim]),
        ):
            read = parse_authentication_results(body)
            assert read is not None, body
            self.assertEqual(results, list(read.results), body)

    def test_behind_what_does_not_end_nothing_is_believed(self) -> None:
        for open_one in (b'reason="', b"(", b'header.d="a.test', b"((a) ", b'"'):
            read = parse_authentication_results(
                b"mx; dkim=fail; spf=pass " + open_one + b"; dmarc=pass header.from=a.test"
            )
            self.assertEqual(AuthenticationResults("mx", (MethodResult("dkim", "fail"),), is_whole=False), read)

    def test_without_name_and_results_it_says_nothing(self) -> None:
        for body in (b"", b" ;", b"; ;", b"=", b"a.test (; spf=pass", b'"a.test; spf=pass', b"spf="):
            self.assertIsNone(parse_authentication_results(body), body)

    @given(st.binary(max_size=200) | st.text(' ()";=./\\ab1\r\n\t', max_size=60).map(str.encode))
    def test_nothing_makes_it_fail(self, body: bytes) -> None:
        parse_authentication_results(body)
        remove_own_results(b"Authentication-Results:" + body, OURS)

    def test_deep_comments_take_no_time(self) -> None:
        self.assertIsNone(parse_authentication_results(b"(" * 200_000))
        for again in (b"(\\", b"a (b) ", b'"a" ', b"spf ", b"x.y=", b"spf=pass", b";", b") ", b'\\"', b"dkim  "):
            parse_authentication_results(b"a.test; x=y " + again * (16_000 // len(again)))


words = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z")
texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85"), max_size=60)
method_results = st.builds(
    MethodResult,
    words,
    words,
    texts,
    st.lists(st.tuples(st.builds("{}.{}".format, words, words), texts), max_size=4).map(tuple),
)


class RoundTripTests(SynchronousTestCase):
    @example([MethodResult("a", "b")], "@0")
    @given(st.lists(method_results, min_size=1, max_size=5), texts.filter(bool))
    def test_what_is_written_is_read_back(self, results: list[MethodResult], authserv_id: str) -> None:
        field = authentication_results_field(authserv_id, results, smtputf8=True)
        self.assertTrue(all(len(line) <= 998 for line in field.split(b"\r\n")))
        self.assertEqual(
            AuthenticationResults(authserv_id, tuple(results)), parse_authentication_results(body_of(field))
        )

    @given(
        st.lists(st.builds(MethodResult, words, words, st.text(), comment=st.text(max_size=900)), max_size=3), st.text()
    )
    def test_hostile_values_make_no_second_field_and_no_long_line(
        self, results: list[MethodResult], authserv_id: str
    ) -> None:
        field = authentication_results_field(authserv_id, results)
        self.assertTrue(field.isascii())
        lines = field.removesuffix(b"\r\n").split(b"\r\n")
        self.assertTrue(all(line.startswith(b"\t") and line.strip() and len(line) <= 998 for line in lines[1:]), lines)
        self.assertNotIn(b"\n", field.replace(b"\r\n", b""))


def header(*bodies: bytes) -> bytes:
    fields = b"".join(b"Authentication-Results:%b\r\n" % body for body in bodies)
    return b"Received: by x\r\n\twith SMTP\r\n" + fields + b"Subject: hi\r\n there\r\n\r\n"


class RemovalTests(SynchronousTestCase):
    def test_a_header_without_any_is_given_back_as_it_is(self) -> None:
        block = header()
        self.assertIs(block, remove_own_results(block, OURS))

    def test_a_field_too_long_to_be_read_goes(self) -> None:
        long = b"Authentication-Results: x.test" + b"()" * 10_000 + b"; none\r\n"
        self.assertEqual(b"A: b\r\n\r\n", remove_own_results(b"A: b\r\n" + long + b"\r\n", OURS))
        body = body_of(long)
        self.assertEqual((None, None), (parse_authentication_results(body), payload_of(body, "x.test")))

    def test_ours_go_and_others_stay_octet_for_octet(self) -> None:
        other = b"  (c) other.test ;\r\n spf=pass"
        block = header(b" MX.Example.ORG; spf=pass", other, b"\r\n\tmx.example.org 1;\r\n dkim=pass")
        self.assertEqual(header(other), remove_own_results(block, OURS))

    def test_ours_go_in_whatever_form(self) -> None:
        for body in (
            *(b" mx.example.org", b"mx.example.org;spf=pass", b'"mx.example.org"; none', b'"mx\\.example.org"; none'),
            *(b" (a) mx.example.org (b) 1; none", b" mx.example.org.; none", b"\r\n \r\n mx.example.org; x=y"),
            *(b"(open mx.example.org; spf=pass", b"i=1; mx.example.org; spf=pass", b" ; mx.example.org; spf=pass"),
            *(b' "mx.exam" "ple.org"; spf=pass', b"mx.example.org/1; spf=pass", b"mx\0.example.org; spf=pass"),
            *(
                b" mx(a).example.(b (c) d)org; none",
                b" (mx) mx.\r\n example(\\)).org (x); spf=pass",
                b" mx. example .org",
                b" x.test spf=pass smtp.helo=mx.example.org; dkim=pass",
                b" spf=pass smtp.helo=mx.example.org; dkim=pass header.d=a.test",
                b" x.test; spf=pass action=none; mx.example.org; dkim=pass",
                b' x.test; spf=pass reason="; mx.example.org; dkim=pass',
            ),
        ):
            self.assertEqual(header(), remove_own_results(header(body), OURS), body)

    def test_a_fold_before_the_colon_saves_none(self) -> None:
        for name in (b"Authentication-Results\r\n ", b"AUTHENTICATION-results \t\r\n\t\r\n  "):
            block = b"Subject: x\r\n" + name + b": mx.example.org; dkim=pass\r\n more\r\nTo: y\r\n\r\n"
            self.assertEqual(b"Subject: x\r\nTo: y\r\n\r\n", remove_own_results(block, OURS))

    def test_ours_goes_in_either_form_of_labels(self) -> None:
        for ours in ("mx.bücher.example", "MX.xn--bcher-kva.example"):
            for body in ("mx.BÜCHER.example; none", "mx.xn--bcher-kva.example; none", "(mx.bücher.example"):
                self.assertEqual(header(), remove_own_results(header(body.encode()), ours), (ours, body))

    def test_names_like_ours_stay(self) -> None:
        for body in (
            b" a.mx.example.org; none",
            b" mx.example.org.evil.test; none",
            b" b.test; x=pass p.h=mx.example.org",
        ):
            self.assertEqual(header(body), remove_own_results(header(body), OURS))
        block = (
            b"ARC-Authentication-Results: i=1; mx.example.org; none\r\nX-Authentication-Results: mx.example.org\r\n\r\n"
        )
        self.assertEqual(block, remove_own_results(block, OURS))

    def test_the_first_and_the_last_field_of_a_cut_block_go_too(self) -> None:
        block = b"authentication-results : mx.example.org; none\nA: b\nAUTHENTICATION-RESULTS: mx.example.org;\n none"
        self.assertEqual(b"A: b\n", remove_own_results(block, OURS))
