"""FUZZY searches and their relevancy, with the index and without. Source: RFC 6203."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.text_index import IndexBounds
from pymailsuite.message.extraction import NO_EXTRACTION
from tests.acceptance import acceptance
from tests.imap.conversation import Server
from tests.support.stores import append, fired

SUBJECTS = ("IMAP break", "Breaking news of IMAPs", "Bread", "Quarterly delivery", "Delivvery", "nothing of it")


@acceptance("S216")
class FuzzyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        long = (
            b"--b\r\n\r\nhello there\r\n--b\r\nContent-Type: image/png\r\n\r\n" + 40_000 * b"octets\r\n" + b"--b--\r\n"
        )
        append(
            self.server.store,
            self.server.account,
            "INBOX",
            *(f"Subject: {subject}\r\n\r\nThe text of {subject}.\r\n".encode() for subject in SUBJECTS),
            b"Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + long,
        )
        self.client = self.server.connect().login()
        self.addCleanup(self.client.close)
        self.client.command("SELECT INBOX")

    def index_all(self) -> None:
        while fired(self.server.store.text_index.index_some(IndexBounds(2**30, 2**20, 7, NO_EXTRACTION))) is not None:
            pass

    def say(self, command: str) -> list[str]:
        answer: Any = self.client.send(f"x {command}\r\n".encode())
        for _ in range(100):
            if b"\r\nx " in answer or answer.startswith(b"x "):
                break
            self.server.clock.advance(0)
            answer += self.client.output()
        return [line for line in answer.decode().split("\r\n") if line]

    def test_messages_are_found_by_what_is_like_a_string_and_scored(self) -> None:
        for indexed in (False, True):
            if indexed:
                self.index_all()
            for program, found in (
                ('FUZZY SUBJECT "imap break"', "ALL 1:2 RELEVANCY (100 85)"),
                ("FUZZY SUBJECT delivery", "ALL 4:5 RELEVANCY (100 66)"),
                ("FUZZY BODY braek", "ALL 1 RELEVANCY (57)"),
                ("FUZZY TEXT helo", "ALL 7 RELEVANCY (57)"),
                ("FUZZY (OR SUBJECT bread TEXT delivery)", "ALL 1:5 RELEVANCY (66 66 100 100 66)"),
                ("SUBJECT imap FUZZY SUBJECT breaks", "ALL 1:2 RELEVANCY (66 66)"),
                ("FUZZY SUBJECT nowhere", ""),
            ):
                with self.subTest(program=program, indexed=indexed):
                    told = f'* ESEARCH (TAG "x") UID {found}'.rstrip()
                    self.assertEqual(self.say(f"UID SEARCH RETURN (RELEVANCY ALL) {program}")[0], told)

    def test_the_most_relevant_is_the_first_of_a_sort(self) -> None:
        self.assertEqual(self.say("UID SORT (RELEVANCY) UTF-8 FUZZY TEXT delivery")[0], "* SORT 4 5")
        self.assertEqual(self.say("UID SORT (REVERSE RELEVANCY) UTF-8 FUZZY TEXT delivery")[0], "* SORT 5 4")
        told = self.say("UID SORT RETURN (RELEVANCY ALL) (RELEVANCY) UTF-8 FUZZY SUBJECT bread")[0]
        self.assertEqual(told, '* ESEARCH (TAG "x") UID ALL 3,1:2 RELEVANCY (100 66 66)')
        told = self.say("UID SORT RETURN (RELEVANCY PARTIAL 1:1) (RELEVANCY) UTF-8 FUZZY TEXT delivery")[0]
        self.assertEqual(told, '* ESEARCH (TAG "x") UID PARTIAL (1:1 4) RELEVANCY (100)')

    def test_other_keys_are_what_they_are(self) -> None:
        self.assertEqual(self.say("SEARCH FUZZY UNSEEN 2:3")[0], "* SEARCH 2 3")
        self.assertEqual(self.say("SEARCH FUZZY NOT SUBJECT imap")[0], "* SEARCH 3 4 5 6 7")
        self.assertEqual(self.say('SEARCH FUZZY HEADER Subject ""')[0], "* SEARCH 1 2 3 4 5 6 7")

    def test_relevancy_is_that_of_a_fuzzy_key(self) -> None:
        for command in (
            "SEARCH RETURN (RELEVANCY) SUBJECT x",
            "SEARCH RETURN (RELEVANCY ALL) FUZZY SEEN",
            "SORT (RELEVANCY) UTF-8 SUBJECT x",
            "SEARCH FUZZY",
        ):
            with self.subTest(command=command):
                self.assertTrue(self.say(command)[-1].startswith("x BAD "))

    def test_it_is_offered(self) -> None:
        self.assertIn("SEARCH=FUZZY", self.say("CAPABILITY")[0].split())
