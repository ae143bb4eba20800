"""The ledger of what clients were told, held against what is there."""

from __future__ import annotations

import unittest
from collections import Counter

from tests.durability.clients import MailboxView, imap
from tests.durability.load import ERASER, INBOX_USERS, MOVER, POPPER, USERS, Ledger
from tests.support.server import Server

Numbers = dict[tuple[str, str], tuple[int, int, dict[int, str]]]
"""What UIDVALIDITY, UIDNEXT and the UIDs of each mailbox were at the last look."""


def _view(server: Server, user: str, name: str) -> MailboxView:
    client = imap(server, f"{user}@{server.domain}")
    view = MailboxView(client, name)
    client.logout()
    return view


class LedgerTestCase(unittest.TestCase):
    """Checks; nobody is connected to the server while they go on."""

    def check_ledger(self, server: Server, ledger: Ledger) -> None:
        """All that was answered yes is there once, or gone if that was answered yes; all else at most once."""
        self._check_inboxes(server, ledger)
        self._check_moves(server, ledger)
        for kind, user in (("erase", ERASER), ("pop", POPPER)):
            self._check_removals(ledger, kind, _view(server, user, "INBOX"))

    def check_numbers(self, server: Server, numbers: Numbers) -> None:
        """UIDVALIDITY never changes, UIDNEXT never falls, a UID never comes to mean another message."""
        for user in USERS:
            client = imap(server, f"{user}@{server.domain}")
            for name in ("INBOX", "Left", "Right", "Copies") if user == MOVER else ("INBOX",):
                client.create(name)
                view = MailboxView(client, name)
                if (user, name) in numbers:
                    uid_validity, uid_next, tokens = numbers[user, name]
                    self.assertEqual(view.uid_validity, uid_validity)
                    self.assertGreaterEqual(view.uid_next, uid_next)
                    for uid, token in view.tokens.items():
                        self.assertEqual(tokens.get(uid, token), token)
                        self.assertTrue(uid in tokens or uid >= uid_next, "a UID below UIDNEXT came up later")
                numbers[user, name] = (view.uid_validity, view.uid_next, view.tokens)
            client.logout()

    def _check_present(self, ledger: Ledger, kind: str, view: MailboxView) -> None:
        """Everything acknowledged and not removed is there once; nothing is there that nobody sent."""
        held = Counter(token for token in view.tokens.values() if token.startswith(f"{kind}-"))
        self.assertLessEqual(max(held.values(), default=0), 1, "doubled")
        self.assertEqual(ledger.of_kind(kind, ledger.accepted) - ledger.removing - set(held), set(), "lost")
        self.assertEqual(set(held) - ledger.accepted - ledger.unsure - ledger.refused, set(), "from nowhere")

    def _check_inboxes(self, server: Server, ledger: Ledger) -> None:
        views = [_view(server, user, "INBOX") for user in INBOX_USERS]
        for recipients in range(1, len(views) + 1):
            for view in views[:recipients]:
                self._check_present(ledger, f"smtp{recipients}", view)
        for token in ledger.of_kind("smtp3", ledger.unsure | ledger.refused):
            self.assertIn(sum(view.count(token) for view in views), (0, 3), "accepted for some recipients only")
        unflagged = {token for uid, token in views[0].tokens.items() if "\\Flagged" not in views[0].flags[uid]}
        self.assertEqual(ledger.flagged & unflagged, set(), "a flag was lost")

    def _check_moves(self, server: Server, ledger: Ledger) -> None:
        left, right = _view(server, MOVER, "Left"), _view(server, MOVER, "Right")
        for token in ledger.of_kind("append", ledger.accepted):
            self.assertEqual(left.count(token) + right.count(token), 1, f"{token} is not in exactly one mailbox")
        for token in ledger.of_kind("append", ledger.unsure | ledger.refused):
            self.assertLessEqual(left.count(token) + right.count(token), 1, f"{token} is in both mailboxes")

    def _check_removals(self, ledger: Ledger, kind: str, view: MailboxView) -> None:
        self._check_present(ledger, kind, view)
        self.assertEqual(ledger.removed & set(view.tokens.values()), set(), "removed and there again")
