"""``pymailsuite greylist``."""

from typing import Any

from pymailsuite.interfaces.greylist import Triplet
from tests.acceptance import acceptance
from tests.cli.base import CommandCase


class GreylistCommandTests(CommandCase):
    def begin(self, *triplets: Triplet) -> None:
        async def work(store: Any) -> None:
            await store.greylist.begin(triplets, 1000, 10)

        self.on_store(work)

    @acceptance("S170")
    def test_triplets_are_shown_and_forgotten(self) -> None:
        self.begin(
            Triplet("192.0.2.0/24", "a@b.example", "user@example.test"), Triplet("spf:c.example", "", "x@example.test")
        )
        self.assertEqual(
            [(row["client"], row["sender"], row["passed_at"]) for row in self.answer("greylist", "show")],
            [("192.0.2.0/24", "a@b.example", None), ("spf:c.example", "<>", None)],
        )
        self.assertEqual(len(self.answer("greylist", "show", "--client", "192.0.2.5")), 1)
        self.assertEqual(self.answer("greylist", "forget", "X@example.test"), {"forgotten": 1})
        self.assertEqual(self.answer("greylist", "forget", "192.0.2.5"), {"forgotten": 1})
        self.assertIn("nothing is known", self.run_command("greylist", "forget", "192.0.2.5", code=1).output)

    def test_clients_are_let_in(self) -> None:
        self.assertEqual(
            self.answer("greylist", "allow", "rdns:mx.big.example"), {"client": "rdns:big.example", "expires_at": None}
        )
        self.run_command("greylist", "allow", "192.0.2.7", "--for", "30d")
        rows = self.answer("greylist", "show", "--clients")
        self.assertEqual(
            [(row["client"], row["allowed"]) for row in rows], [("192.0.2.0/24", True), ("rdns:big.example", True)]
        )
        self.run_command("greylist", "allow", "nonsense", code=2)
