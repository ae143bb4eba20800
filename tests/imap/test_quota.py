"""Quotas as clients see them: the numbers of a large account."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.values import ALL_UIDS, UidSet
from tests.acceptance import acceptance
from tests.imap.conversation import Server
from tests.support.stores import append, fired


class LargeAccountTests(SynchronousTestCase):
    @acceptance("S125")
    def test_31_mb_of_2_gb(self) -> None:
        server = Server()
        server.set_quota("ann@example.org", f"storage={2 * 2**30}")
        append(server.store, server.account, "INBOX", b"Subject: x\r\n\r\n".ljust(2**20, b"x"))
        inbox = fired(server.mail.mailbox("INBOX"))
        for number in (1, 2, 4, 8, 15):
            fired(server.mail.copy(inbox.mailbox_id, UidSet([(1, number)]), "INBOX"))  # type: ignore[attr-defined]
        client = server.connect().login()
        told = client.command("GETQUOTAROOT inbox")
        self.assertEqual(told[:2], ["* QUOTAROOT inbox ROOT", "* QUOTA ROOT (STORAGE 31744 2097152)"])
        fired(server.mail.remove_messages(inbox.mailbox_id, ALL_UIDS))  # type: ignore[attr-defined]
        self.assertEqual(client.command("GETQUOTA ROOT")[0], "* QUOTA ROOT (STORAGE 0 2097152)")
