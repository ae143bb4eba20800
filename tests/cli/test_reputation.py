"""``pymailsuite reputation``."""

from typing import Any

from pymailsuite.interfaces.reputation import Event, Identity
from tests.acceptance import acceptance
from tests.cli.base import CommandCase


class ReputationCommandTests(CommandCase):
    @acceptance("S162")
    def test_reputations_are_shown_and_forgotten(self) -> None:
        events = {
            (Identity("domain", "b.example"), Event.REFUSED): 20.0,
            (Identity("address", "a@b.example"), Event.ACCEPTED): 2.0,
        }

        async def work(store: Any) -> None:
            await store.reputations.add(events, 1000.0)

        self.on_store(work)
        rows = self.answer("reputation", "show")
        self.assertEqual(
            [(row["name"], row["accepted"], row["refused"], row["score"]) for row in rows],
            [("a@b.example", 2.0, 0.0, None), ("b.example", 0.0, 20.0, 4.0)],
        )
        self.assertEqual(len(self.answer("reputation", "show", "B.example")), 1)
        self.assertEqual(len(self.answer("reputation", "show", "--kind", "network")), 0)
        self.run_command("reputation", "forget", "b.example")
        self.assertIn("nothing is known", self.run_command("reputation", "forget", "b.example", code=1).output)
