"""``queue``."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces import Acceptance, IMailStore, OutgoingEnvelope, QueuedRecipient
from pymailsuite.values import Address, QueueId
from tests.acceptance import acceptance
from tests.cli.base import NOW, CommandCase

HEADER = b"From: ann@example.test\r\nSubject: Hello\r\n\r\n"


class QueueTests(CommandCase):
    """``pymailsuite queue``."""

    def enqueue(self, *others: OutgoingEnvelope) -> QueueId:
        async def accept(store: IMailStore) -> Any:
            writer = store.new_content()
            writer.write(HEADER + b"Text\r\n")
            content = await writer.finish()
            recipient = QueuedRecipient(0, Address("bob", "elsewhere.test"), "elsewhere.test", next_attempt=NOW + 600)
            envelope = OutgoingEnvelope(Address("ann", "example.test"), (recipient,), origin="192.0.2.1")
            return await store.queue.accept(Acceptance(content, outgoing=(envelope, *others)))

        return QueueId(self.on_store(accept))

    def test_entries_are_listed(self) -> None:
        queue_id = self.enqueue()
        (entry,) = self.answer("queue", "list")
        self.assertEqual(entry["queue_id"], queue_id)
        self.assertEqual((entry["sender"], entry["waiting"], entry["held"]), ("ann@example.test", 1, False))
        self.assertEqual(entry["recipients"][0]["recipient"], "bob@elsewhere.test")
        self.assertEqual(entry["recipients"][0]["sender"], "ann@example.test")
        self.assertEqual(entry["next_attempt"], "2026-02-02T02:50:00Z")
        self.assertIn(queue_id, self.run_command("queue", "list").stdout)

    def test_an_entry_is_shown_with_its_recipients(self) -> None:
        queue_id = self.enqueue()
        shown = self.run_command("queue", "show", queue_id).stdout
        self.assertIn("192.0.2.1", shown)
        self.assertIn("bob@elsewhere.test", shown)

    def test_the_message_of_an_entry_is_shown_as_it_is(self) -> None:
        queue_id = self.enqueue()
        self.assertEqual(self.run_command("queue", "show", queue_id, "--headers").stdout_bytes, HEADER)
        self.assertEqual(self.run_command("queue", "show", queue_id, "--message").stdout_bytes, HEADER + b"Text\r\n")

    @acceptance("S078")
    def test_an_id_is_that_of_a_message_or_of_one_of_its_entries(self) -> None:
        recipient = QueuedRecipient(0, Address("eve", "far.test"), "far.test", next_attempt=NOW + 600)
        prefix = b"X-Forwarded: 1\r\n"
        queue_id = self.enqueue(OutgoingEnvelope(Address("srs", "example.test"), (recipient,), prefix, priority=3))
        self.enqueue()
        first, second, other = self.answer("queue", "list")
        self.assertEqual({first["queue_id"], second["queue_id"]}, {queue_id})
        self.assertEqual(len({first["entry_id"], second["entry_id"], other["entry_id"], queue_id}), 4)
        self.assertEqual((second["sender"], second["priority"]), ("srs@example.test", 3))
        self.assertEqual(self.answer("queue", "show", queue_id), [first, second])
        self.assertEqual(self.answer("queue", "show", second["entry_id"].lower()), [second])
        self.assertIn("eve@far.test", self.run_command("queue", "show", queue_id).stdout)
        self.assertIn("give the id of one", self.run_command("queue", "show", queue_id, "--message", code=2).stderr)
        shown = self.run_command("queue", "show", second["entry_id"], "--headers").stdout_bytes
        self.assertEqual(shown, prefix + HEADER)
        self.assertEqual(self.answer("queue", "hold", second["entry_id"]), {"held": 1})
        self.assertEqual([entry["held"] for entry in self.answer("queue", "list")], [False, True, False])
        self.assertEqual(self.answer("queue", "hold", queue_id, first["entry_id"]), {"held": 1, "held_before": 1})
        self.assertEqual(self.answer("queue", "delete", queue_id, "--yes"), {"deleted": 2})
        self.assertEqual(self.answer("queue", "list"), [other])

    def test_an_unknown_entry_is_an_error(self) -> None:
        self.run_command("queue", "show", "000000000001", code=1)

    def test_an_entry_is_held_and_released(self) -> None:
        queue_id = self.enqueue()
        self.assertEqual(self.answer("queue", "hold", queue_id), {"held": 1})
        self.assertTrue(self.answer("queue", "list")[0]["held"])
        self.assertEqual(self.answer("queue", "release", "--all"), {"released": 1})
        self.assertFalse(self.answer("queue", "list")[0]["held"])

    def test_an_entry_is_made_due(self) -> None:
        queue_id = self.enqueue()
        self.assertEqual(self.run_command("queue", "flush", queue_id).stdout, "flushed 1 entry\n")

    def test_what_is_held_is_not_said_to_be_flushed(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.run_command("queue", "hold", first)
        done = self.run_command("queue", "flush", first, code=1)
        self.assertEqual(done.stdout, "flushed 0 entries; 1 still held\n")
        self.assertIn("1 entry held: release first", done.stderr)
        self.assertEqual(self.answer("queue", "flush", "--all"), {"flushed": 1, "still_held": 1})
        due = {entry["queue_id"]: entry["next_attempt"] for entry in self.answer("queue", "list")}
        self.assertEqual(due[first], "2026-02-02T02:50:00Z")
        self.assertNotEqual(due[second], due[first])
        self.assertEqual(self.run_command("queue", "flush", second, second).stdout, "flushed 1 entry\n")

    def test_only_what_was_held_is_said_to_be_released(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.assertEqual(self.answer("queue", "hold", first), {"held": 1})
        self.assertEqual(self.answer("queue", "hold", "--all"), {"held": 1, "held_before": 1})
        self.assertEqual(self.answer("queue", "release", first), {"released": 1})
        self.assertEqual(self.run_command("queue", "release", "--all").stdout, "released 1 entry; 1 not held\n")
        self.assertEqual(self.answer("queue", "release", second), {"released": 0, "not_held": 1})

    def test_an_entry_is_deleted_after_a_question(self) -> None:
        queue_id = self.enqueue()
        self.run_command("queue", "delete", queue_id, stdin="n\n", code=1)
        self.assertEqual(self.answer("queue", "delete", queue_id, "--yes"), {"deleted": 1})
        self.assertEqual(self.answer("queue", "list"), [])

    def test_ids_that_are_not_in_the_queue_are_an_error(self) -> None:
        result = self.run_command("queue", "hold", "000000000001", code=1)
        self.assertIn("1 not in the queue", result.stderr)

    def test_ids_or_all_must_be_given(self) -> None:
        self.run_command("queue", "flush", code=2)
        self.run_command("queue", "flush", "000000000001", "--all", code=2)
