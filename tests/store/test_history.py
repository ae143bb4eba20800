"""What happened is written with messages and attempts, found again, and dropped in time, on every engine."""

from __future__ import annotations

import json

from zope.interface.verify import verifyObject

from pymailsuite.interfaces import Acceptance, Delivery, Outcome, OutgoingEnvelope, QueuedRecipient, RecipientState
from pymailsuite.interfaces.history import Copy, HistoryEntry, HistoryKind, IHistoryStore
from pymailsuite.store.ids import first_id_of
from pymailsuite.values import Address, ContentId
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

DAY_S = 86400.0


class HistoryContract(StoreTestCase):
    made = 0

    def entry(
        self, *names: str, story_id: ContentId | None = None, kind: HistoryKind = HistoryKind.REFUSED
    ) -> HistoryEntry:
        # As the store makes them; it makes none for days in which its process slept.
        self.made += 1
        entry_id = ContentId(first_id_of(self.clock.seconds() + 0.01) + self.made)
        facts = json.dumps({"names": len(names)})
        return HistoryEntry(story_id or entry_id, entry_id, self.clock.seconds(), kind, facts, names)

    def found(self, name: str, since: float = 0.0, limit: int = 10) -> list[ContentId]:
        return [story.story_id for story in self.result(self.store.history.about(name, since, limit))]

    def test_the_interface_is_fulfilled(self) -> None:
        verifyObject(IHistoryStore, self.store.history)

    def test_stories_are_found_by_their_names_the_newest_first(self) -> None:
        entries = []
        for names in (("a@b.example", "192.0.2.1"), ("A@b.example",), ("c@b.example", "192.0.2.1")):
            entries.append(self.entry(*names))
            self.result(self.store.history.add([entries[-1]]))
            self.clock.advance(DAY_S)
        first, second, third = (entry.story_id for entry in entries)
        self.assertEqual(self.found("a@B.example"), [second, first])
        self.assertEqual(self.found("192.0.2.1"), [third, first])
        self.assertEqual(self.found("192.0.2.1", limit=1), [third])
        self.assertEqual(self.found("a@b.example", since=NOW + DAY_S / 2), [second])
        self.assertEqual(self.found("nobody@b.example"), [])

    def test_what_comes_twice_is_kept_once(self) -> None:
        entry = self.entry("a@b.example")
        self.result(self.store.history.add([entry]))
        self.result(self.store.history.add([entry]))
        story = self.result(self.store.history.story(entry.story_id))
        self.assertEqual([one.facts for one in story.entries], ['{"names": 1}'])
        self.assertIsNone(self.result(self.store.history.story(ContentId(7))))

    def test_a_message_its_attempts_and_its_copies_are_one_story(self) -> None:
        ann = self.account()
        content = self.stage(b"A: 1\r\n\r\nx")
        story_id = content.content_id
        begun = HistoryEntry(story_id, story_id, NOW, HistoryKind.ACCEPTED, "{}", ("bob@far.example",))
        relay = QueuedRecipient(0, Address("bob", "far.example"), "far.example", next_attempt=NOW)
        delivery = Delivery(ann.account_id, b"")
        outgoing = (OutgoingEnvelope(None, (relay,)),)
        queue_id = self.result(self.store.queue.accept(Acceptance(content, (delivery,), outgoing, begun)))
        (queued,) = self.result(self.store.queue.entries(queue_id))
        for state in (RecipientState.DELAYED, RecipientState.DELIVERED):
            self.clock.advance(1)
            now = self.clock.seconds()
            self.result(self.store.queue.claim("one", now, 60, 10))
            outcome = Outcome(0, state, "4.0.0", "said", "mx", now + 1)
            attempt = self.entry(story_id=story_id, kind=HistoryKind.ATTEMPT)
            self.result(self.store.queue.settle("one", queued.entry_id, [outcome], (), None, history=attempt))
        (story,) = self.result(self.store.history.about("bob@far.example", 0, 10))
        kinds = [HistoryKind.ACCEPTED, HistoryKind.ATTEMPT, HistoryKind.ATTEMPT]
        self.assertEqual([entry.kind for entry in story.entries], kinds)
        asked = self.store.history.copies(story_id, [ann.account_id])
        self.assertEqual(self.result(asked), [Copy("ann@example.org", "INBOX")])

    def test_old_stories_are_swept(self) -> None:
        old = self.entry("a@b.example")
        self.result(self.store.history.add([old]))
        self.clock.advance(15 * DAY_S)
        new = self.entry("a@b.example")
        self.result(self.store.history.add([new]))
        dropped = self.result(self.store.maintenance.sweep(self.clock.seconds()))
        self.assertEqual(dropped["history"], 2)
        self.assertEqual(self.found("a@b.example"), [new.story_id])

    def test_what_a_dry_run_writes_is_undone(self) -> None:
        entry = self.entry("a@b.example")
        self.result(self.store.dry_run().history.add([entry]))
        self.assertEqual(self.found("a@b.example"), [])


class HistoryInMemoryTests(HistoryContract, InMemory):
    pass


class HistoryOnDiskTests(HistoryContract, OnDisk):
    pass


del HistoryContract
