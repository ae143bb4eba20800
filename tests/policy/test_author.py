"""Whose mail a header says it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.author import Author, author_of


def author(*bodies: str) -> Author:
    return author_of("".join(f"From: {body}\r\n" for body in bodies).encode() + b"\r\n")


class AuthorTests(SynchronousTestCase):
    def test_the_domain_is_that_of_the_address_and_not_of_what_looks_like_one(self) -> None:
        for body in (
            *("a@Example.ORG", "<a@example.org>", '"ceo@bank.test" <a@example.org>', "ceo@bank.test <a@example.org>"),
            *("(b@bank.test) a@example.org", "<@relay.test:a@example.org>", '"x@bank.test"@example.org'),
            *("A\r\n <a@example.org>", "team: a@example.org, b@example.org;", "a@example.org."),
        ):
            self.assertEqual(Author(("example.org",)), author(body), body)

    def test_names_beyond_ascii_become_a_labels(self) -> None:
        self.assertEqual(Author(("xn--bcher-kva.example",)), author("jörg@BÜCHER.example"))

    def test_several_authors_may_share_a_domain_or_not(self) -> None:
        self.assertEqual(("a.test",), author("x@a.test, y@A.test").domains)
        self.assertEqual(("a.test", "b.test"), author("x@a.test, y@b.test").domains)
        self.assertTrue(author(", ".join(f"x@{n}.test" for n in range(9))).malformed)

    def test_nobody_is_no_author(self) -> None:
        for header in ((), ("",), ("undisclosed:;",), ("root",), ("<>",)):
            found = author(*header)
            self.assertEqual(((), False), (found.domains, found.malformed), header)
            self.assertTrue(found.problem)

    def test_what_misleads_is_malformed(self) -> None:
        for header in (("a@a.test", "b@b.test"), ("a@a.test", "a@a.test"), ("a@[192.0.2.1]",), ("a@x..y",), ("a@.",)):
            found = author(*header)
            self.assertEqual(((), True), (found.domains, found.malformed), header)

    def test_a_name_with_a_comma_and_no_quotes_hides_nobody(self) -> None:
        for body in ("Doe, John <a@a.test>", "root, a@a.test", "a@a.test, root", "x,, a@a.test"):
            self.assertEqual(Author(("a.test",)), author(body), body)

    def test_what_can_be_read_in_two_ways_is_malformed(self) -> None:
        for body in (
            *("<a@a.test> <b@b.test>", "x <a@a.test> <b@b.test>", "<a@a.test> b@b.test", "<a@a.test>x@b.test"),
            *('"a@a.test', "a@a.test (b", '"a" (b\\) <a@a.test>', '"a\\" <a@a.test>'),
            *("a@a.test b@b.test", "a@a.test@b.test", "<a@a.test@b.test>", '"x" <a@a.test> y <b@b.test>', "a@a.test@"),
        ):
            found = author(body)
            self.assertEqual(((), True), (found.domains, found.malformed), body)
        for body in (
            *("b@b.test <a@a.test>", "b@b.test via c@c.test <a@a.test>", '"<b@b.test>" <a@a.test>'),
            *(
                "(<b@b.test>) a@a.test (b@b.test)",
                '"b@b.test"@a.test',
                '<"b@b.test"@a.test>',
                "<@b.test,@c.test:a@a.test>",
            ),
        ):
            self.assertEqual(Author(("a.test",)), author(body), body)

    def test_a_fold_before_the_colon_hides_nobody(self) -> None:
        self.assertEqual(Author(("a.test",)), author_of(b"Subject: x\r\nFrom \r\n\t: a@a.test\r\n\r\n"))
        self.assertTrue(author_of(b"From: a@a.test\r\nFrom\r\n : b@b.test\r\n\r\n").malformed)

    def test_what_no_host_can_be_called_is_no_domain_name(self) -> None:
        for body in ("a@a.test\0", "a@a%2etest", "a@a.test'", "a@a$.test"):
            found = author(body)
            self.assertEqual(((), True), (found.domains, found.malformed), body)

    def test_a_field_longer_than_anybody_writes_is_not_read(self) -> None:
        self.assertEqual(Author(("a.test",)), author(", ".join(["x@a.test"] * 1000)))
        found = author(", ".join(["x@a.test"] * 2000))
        self.assertEqual(((), True), (found.domains, found.malformed))

    @given(st.binary(max_size=100))
    def test_nothing_makes_it_fail(self, body: bytes) -> None:
        author_of(b"From: " + body + b"\r\n\r\n")
