"""What a user asks for beyond a limit is NO [LIMIT], and what may be done in steps is done in steps."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.conversation import Client, Server, message
from tests.support.stores import append


class LimitTests(SynchronousTestCase):
    def client(self, **settings: Any) -> Client:
        self.server = Server(**settings)
        self.addCleanup(self.server.store.close)
        append(self.server.store, self.server.account, "INBOX", *map(message, range(1, 8)))
        client = self.server.connect().login()
        client.command("CREATE other")
        client.command("SELECT INBOX")
        return client

    def test_a_name_that_is_too_deep(self) -> None:
        client = self.client()
        for command in ("CREATE {}", "RENAME other {}"):
            self.assertEqual(
                client.command(command.format("/".join("a" * 51))), ["x NO [LIMIT] Mailbox name has too many levels"]
            )
        self.assertRegex(client.command("CREATE " + "/".join("a" * 50))[-1], r"x OK .*CREATE completed")

    def test_a_copy_of_too_many(self) -> None:
        client = self.client(copy_messages=6)
        self.assertEqual(client.command("COPY 1:7 other"), ["x NO [MESSAGELIMIT 6 2] Too many messages in one command"])
        self.assertIn("(MESSAGES 0)", client.command("STATUS other (MESSAGES)")[0])
        self.assertRegex(client.command("COPY 2:7 other")[-1], r"x OK \[COPYUID [0-9]+ 2:7 1:6\] COPY completed")

    def test_what_a_search_may_ask_for(self) -> None:
        client = self.client(
            search_keys=10, search_depth=4, sort_keys=2, thread_messages=6, multisearch_mailboxes=1, message_limit=0
        )
        self.assertNotIn("MESSAGELIMIT", client.command("CAPABILITY")[0])
        keys = " ".join(["SEEN"] * 10)
        self.assertEqual(client.command(f"SEARCH {keys}")[-1], "x OK SEARCH completed")
        self.assertEqual(client.command(f"SEARCH {keys} SEEN"), ["x BAD Too many search keys"])
        self.assertEqual(client.command("SEARCH NOT NOT NOT NOT SEEN")[-1], "x OK SEARCH completed")
        self.assertEqual(client.command("SEARCH NOT NOT NOT NOT NOT SEEN"), ["x BAD Search keys too deep"])
        self.assertEqual(client.command("SORT (DATE SIZE) UTF-8 ALL")[-1], "x OK SORT completed")
        self.assertEqual(client.command("SORT (DATE SIZE TO) UTF-8 ALL"), ["x BAD Too many sort criteria"])
        self.assertEqual(client.command("THREAD REFS UTF-8 2:7")[-1], "x OK THREAD completed")
        self.assertEqual(client.command("THREAD REFS UTF-8 1:7"), ["x NO [LIMIT] Too many messages for one THREAD"])
        self.assertEqual(client.command("ESEARCH IN (inboxes) ALL")[-1], "x OK ESEARCH completed")
        self.assertEqual(
            client.command("ESEARCH IN (personal) ALL"), ["x NO [LIMIT] Too many mailboxes for one search"]
        )

    def test_a_move_in_steps(self) -> None:
        client = self.client(step_messages=3)
        lines = client.command("MOVE 1:7 other")
        moved = [line.partition("COPYUID ")[2].partition(" ")[2] for line in lines if "COPYUID" in line]
        self.assertEqual(moved, ["1:3 1:3] Moved", "4:6 4:6] Moved", "7 7] Moved"])
        self.assertEqual(sum(line == "* 1 EXPUNGE" for line in lines), 7)
        self.assertRegex(lines[-1], "x OK .*MOVE completed")
        self.assertIn("(MESSAGES 7)", client.command("STATUS other (MESSAGES)")[0])

    def test_a_store_in_steps(self) -> None:
        client = self.client(step_messages=3)
        lines = client.command("STORE 1:7 +FLAGS (\\Flagged)")
        self.assertEqual([line for line in lines if "Flagged" not in line], ["x OK STORE completed"])
        self.assertEqual(len(lines), 8)
        (modseq,) = re.findall(r"MODSEQ \(([0-9]+)\)", " ".join(client.command("FETCH 4 MODSEQ")))
        client.command("STORE 5 +FLAGS.SILENT (\\Seen)")
        lines = client.command(f"STORE 1:7 (UNCHANGEDSINCE {modseq}) -FLAGS (\\Flagged)")
        self.assertEqual(lines[-1], "x OK [MODIFIED 5,7] Conditional STORE failed")
