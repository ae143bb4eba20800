"""What is added to a message that is handed in, and taken out of it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.message.completion import completed, lacks_from
from pymailsuite.message.headers import fields
from pymailsuite.values import Address
from tests.acceptance import acceptance

ANN = Address("ann", "x.example")
WHOLE = b"From: a@x.example\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n"


def complete(header: bytes, author: Address | None = ANN) -> bytes:
    return completed(header, 0.0, "mail.x.example", author)


class CompletionTests(SynchronousTestCase):
    def test_what_is_complete_stays_as_it_is(self) -> None:
        for header in (WHOLE + b"\r\n", WHOLE.upper().replace(b":", b" \t:") + b"Subject: bcc: x\r\n\r\n", WHOLE):
            self.assertEqual(complete(header), header)

    @acceptance("S044")
    def test_date_message_id_and_from_are_added_in_front(self) -> None:
        for header in (
            b"\r\n",
            b"",
            b"Subject: x\r\n\r\n",
            b"Resent-Date: x\r\nResent-From: q@x.example\r\nX-Date: y\r\n\r\n",
        ):
            whole = complete(header)
            self.assertTrue(whole.endswith(header))
            added = whole.removesuffix(header)
            self.assertRegex(
                added,
                rb"\ADate: Thu, 01 Jan 1970 00:00:00 \+0000\r\nFrom: ann@x.example\r\n"
                rb"Message-ID: <[0-9a-f]{32}@mail.x.example>\r\n\Z",
            )
            self.assertNotIn(b"From: ann", complete(header, None))
        self.assertTrue(complete(b"From: b@x.example\r\n\r\n").endswith(b">\r\nFrom: b@x.example\r\n\r\n"))
        self.assertEqual([name for name, _ in fields(complete(WHOLE.split(b"\r\n", 1)[1]))][:1], [b"From"])

    @acceptance("S044")
    def test_blind_copies_are_taken_out_with_their_folds_and_nothing_else_is(self) -> None:
        for blind in (
            b"Bcc: secret@x.example\r\n",
            b"BCC : a@x.example,\r\n\tb@x.example,\r\n c@x.example\r\n",
            b"bcc:\r\n",
            b"Resent-Bcc: secret@x.example\r\n",
            b"Bcc\r\n : secret@x.example\r\n",
            b"Bcc: a@x.example\r\nbcc: b@x.example\r\n",
        ):
            for before in (b"", b"X-Raw: \xe9\xff\r\n"):
                for after in (b"", b"To: bcc: <t@x.example>\r\nX-Bcc: stays\r\n", b"Abcc: stays\r\n"):
                    header = before + blind + WHOLE + after + b"\r\n"
                    self.assertEqual(complete(header), before + WHOLE + after + b"\r\n", header)
                    self.assertEqual(complete(WHOLE + before + blind + after), WHOLE + before + after)
                    self.assertEqual(complete(WHOLE + before + blind + b"\r\n"), WHOLE + before + b"\r\n")

    def test_from_is_missing_or_not(self) -> None:
        self.assertTrue(lacks_from(b"Subject: From: x\r\nResent-From: a@x.example\r\n\r\n"))
        self.assertFalse(lacks_from(b"Subject: x\r\nFROM : a@x.example\r\n\r\n"))

    @given(st.lists(st.sampled_from([b"Bcc: a\r\n", b" fold\r\n", b"To: b\r\n", b"\tfold\r\n", b"bcc", b":", b"\r\n"])))
    def test_no_blind_copy_is_left_in_any_header(self, pieces: list[bytes]) -> None:
        header = b"Subject: x\r\n" + b"".join(pieces)
        self.assertIsNone(re.search(rb"(?:^|\n)bcc[ \t]*:", complete(header).lower()))
