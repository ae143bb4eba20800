"""Who a message says it is from."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.originators import Originators, originators_of
from tests.acceptance import acceptance

LIMIT = 5


def names(header: bytes) -> list[str]:
    found = originators_of(header + b"\r\n", LIMIT)
    assert not found.problem, found.problem
    return [f"{address.local_part}@{address.domain}" for address in found.addresses]


class OriginatorTests(SynchronousTestCase):
    @acceptance("S199")
    def test_every_address_of_from_and_sender_and_of_those_who_sent_again_counts(self) -> None:
        for header, found in (
            (b"From: a@x.example\r\n", ["a@x.example"]),
            (b"To: z@x.example\r\nFROM : A <a@X.example.>\r\nSubject: From: q@x.example\r\n", ["a@x.example"]),
            (
                b"From: a@x.example, B <b@x.example>,\r\n\tc@y.example\r\n",
                ["a@x.example", "b@x.example", "c@y.example"],
            ),
            (b'From: Team: a@x.example, "b c"@x.example;\r\n', ["a@x.example", "b c@x.example"]),
            (b"Sender: s@x.example\r\nFrom: a@x.example\r\nsender-x: q@x.example\r\n", ["s@x.example", "a@x.example"]),
            (b"From: a@x.example\r\nSender:\r\n", ["a@x.example"]),
            (
                b"Resent-From: r@x.example\r\nResent-Sender: s@x.example\r\nResent-From: t@x.example\r\n"
                b"From: a@x.example\r\n",
                ["r@x.example", "s@x.example", "t@x.example", "a@x.example"],
            ),
            (b"From\r\n : a@x.example\r\n", ["a@x.example"]),
            (b'From: "ceo@corp.example" <a@x.example> (b@x.example)\r\n', ["a@x.example"]),
            ("From: zoë@bücher.example\r\n".encode(), ["zoë@bücher.example"]),
            (b"From: a@x.example, <a@x.example>\r\n", ["a@x.example"]),
        ):
            self.assertEqual(names(header), found, header)

    @acceptance("S199")
    def test_what_can_be_read_in_two_ways_is_a_problem(self) -> None:
        for header, problem in (
            (b"", "has no From field"),
            (b"Sender: a@x.example\r\n", "has no From field"),
            (b"From: a@x.example\r\nfrom: a@x.example\r\n", "has 2 From fields"),
            (b"From: a@x.example\r\nSender: b@x.example\r\nSender: a@x.example\r\n", "has 2 Sender fields"),
            (b"From:\r\n", "names nobody"),
            (b"Sender: a@x.example\r\nFrom: undisclosed:;\r\n", "names nobody"),
            (b"From: The boss\r\n", "without a domain"),
            (b"From: boss, a@x.example\r\n", "without a domain"),
            (b"From: a@x.example <b@y.example> <c@z.example>\r\n", "more than one way"),
            (b"From: <a@x.example> b@y.example\r\n", "more than one way"),
            (b'From: "a@x.example\r\n', "more than one way"),
            (b"From: a@x.example\r\nSender: b@x.example@y.example\r\n", "Sender field that can be read in more"),
            (b"From: " + b", ".join(b"a%d@x.example" % number for number in range(6)) + b"\r\n", "more than 5"),
            (b"From: a@x.example" + b" " * 17000 + b"\r\n", "From field of"),
        ):
            found = originators_of(header + b"\r\n", LIMIT)
            self.assertIn(problem, found.problem, header[:80])
            self.assertEqual(found.addresses, ())

    @given(st.binary(max_size=200))
    def test_any_header_has_originators_or_a_problem(self, header: bytes) -> None:
        found = originators_of(b"From: " + header, LIMIT)
        self.assertIsInstance(found, Originators)
        self.assertNotEqual(bool(found.addresses), bool(found.problem))

    def test_no_header_costs_more_than_its_length(self) -> None:
        began = time.process_time()
        for piece in (
            b"From:\r\n ",
            b"From: a@x.example\r\n",
            b"Resent-From: a@x.example,\r\n",
            b"From\r\n ",
            b"From \t",
        ):
            originators_of(piece * (1_000_000 // len(piece)), LIMIT)
        self.assertLess(time.process_time() - began, 5)
