"""An outside extension of IMAP: a command and a FETCH attribute."""

from __future__ import annotations

import unittest

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.plugin import find_vocabulary
from tests.acceptance import acceptance
from tests.imap.conversation import Server
from tests.support.stores import append
from tests.support.wheels import installed

TWO_PARTS = (
    b"Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
)


@acceptance("S133")
class ImapExtensionTests(unittest.TestCase):
    def test_a_client_is_told_what_is_largest_and_of_how_many_parts_it_is(self) -> None:
        with installed("imap_extension"):
            server = Server(vocabulary=find_vocabulary(ImapSettings()))
            append(server.store, server.account, "INBOX", b"Subject: x\r\n\r\nx\r\n", TWO_PARTS, b"Subject: yy\r\n\r\n")
            client = server.connect()
            self.assertNotIn("XLARGEST", client.output().decode())
            client.login()
            self.assertIn("XLARGEST", client.command("CAPABILITY")[0])
            self.assertEqual(client.command("XLARGEST 2"), ["x BAD Command not allowed in this state"])
            client.command("SELECT INBOX")
            self.assertEqual(
                client.command("XLARGEST 2"),
                [f"* XLARGEST UID 2 SIZE {len(TWO_PARTS)}", "* XLARGEST UID 1 SIZE 17", "x OK XLARGEST completed"],
            )
            self.assertEqual(client.command("XLARGEST 0"), ["x BAD Zero is not allowed here"])
            self.assertEqual(
                client.command("UID FETCH 1:2 (FLAGS X-PARTS)"),
                [
                    "* 1 FETCH (UID 1 FLAGS (\\Recent) X-PARTS 1)",
                    "* 2 FETCH (UID 2 FLAGS (\\Recent) X-PARTS 3)",
                    "x OK FETCH completed",
                ],
            )
            client.close()
