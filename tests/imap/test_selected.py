"""The view: numbers and UIDs, and what to tell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import PeerError
from pymailsuite.imap.flags import flag_state
from pymailsuite.imap.selected import View, joined
from pymailsuite.imap.values import STAR, SequenceSet
from pymailsuite.interfaces import Mailbox, MailboxChanges
from pymailsuite.values import MailboxId, ModSeq, Uid, UidSet


def view_of(*uids: int) -> View:
    """A view of messages with these UIDs, none of them seen."""
    mailbox = Mailbox(MailboxId(1), "INBOX", 1, Uid(max(uids, default=0) + 1), ModSeq(10), len(uids), 0, 0, 0, Uid(1))
    return View(None, mailbox, False, [(uid, 0, "", 5) for uid in uids])


def changes(*rows: tuple[int, int, str, int], expunged: tuple[int, ...] = (), modseq: int = 20) -> MailboxChanges:
    """Changes up to a modseq."""
    return MailboxChanges(ModSeq(modseq), rows, UidSet.of(expunged))


class Numbers(SynchronousTestCase):
    """Which messages a set names."""

    def test_sequence_numbers_are_places_from_one(self) -> None:
        view = view_of(3, 5, 9)
        self.assertEqual(view.places(SequenceSet(((2, 3),))), [(1, 3)])
        self.assertEqual(view.places(SequenceSet(((STAR, STAR),))), [(2, 3)])
        self.assertEqual([view.number_of(uid) for uid in (3, 4, 5, 9, 10)], [1, 0, 2, 3, 0])

    def test_a_number_nobody_has_is_an_error(self) -> None:
        self.assertRaises(PeerError, view_of(3).places, SequenceSet(((1, 2),)))
        self.assertRaises(PeerError, view_of().places, SequenceSet(((STAR, STAR),)))

    def test_a_uid_nobody_has_is_nothing(self) -> None:
        view = view_of(3, 5, 9)
        self.assertEqual(view.places(SequenceSet(((4, 7), (20, 30)), uid=True)), [(1, 2)])
        self.assertEqual(view.places(SequenceSet(((100, STAR),), uid=True)), [(2, 3)])
        self.assertEqual(view_of().places(SequenceSet(((1, STAR),), uid=True)), [])

    @given(st.sets(st.integers(1, 50)), st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1))
    def test_uid_sets_like_a_scan(self, uids: set[int], ranges: list[tuple[int, int]]) -> None:
        view = view_of(*sorted(uids))
        places = [place for span in view.places(SequenceSet(tuple(ranges), uid=True)) for place in range(*span)]
        wanted = {uid for uid in uids if any(min(r) <= uid <= max(r) for r in ranges)}
        self.assertEqual([view.uids[place] for place in places], sorted(wanted))

    def test_joined(self) -> None:
        self.assertEqual(joined([1, 2, 3, 5, 7, 8]), [(1, 4), (5, 6), (7, 9)])


class Runs(SynchronousTestCase):
    """Spans told apart by what is recent."""

    @given(st.sets(st.integers(1, 40), min_size=1), st.sets(st.integers(1, 40)), st.sets(st.integers(0, 39)))
    def test_like_a_scan(self, uids: set[int], recent: set[int], wanted: set[int]) -> None:
        view = view_of(*sorted(uids))
        view.recent = UidSet.of(recent)
        places = sorted(place for place in wanted if place < len(uids))
        found = [(place, state) for start, stop, state in view.runs(joined(places)) for place in range(start, stop)]
        self.assertEqual(found, [(place, view.uids[place] in recent) for place in places])


class Telling(SynchronousTestCase):
    """What follows from changes."""

    def test_each_expunge_is_counted_after_the_one_before(self) -> None:
        view = view_of(1, 2, 3, 4)
        view.take_changes(changes(expunged=(1, 2, 4, 77)))
        self.assertEqual(len(view), 4)
        self.assertTrue(view.owes_expunges)
        self.assertEqual(view.tell_expunged(), [1, 1, 2])
        self.assertEqual(list(view.uids), [3])
        self.assertEqual(view.tell_expunged(), [])

    def test_expunges_add_up_until_they_are_told(self) -> None:
        view = view_of(1, 2, 3)
        view.take_changes(changes(expunged=(1,)))
        view.take_changes(changes(expunged=(1, 3), modseq=21))
        self.assertEqual(view.tell_expunged(), [1, 2])

    def test_new_messages_come_behind_those_that_are_gone(self) -> None:
        view = view_of(1)
        places, fresh, _ = view.take_changes(changes((2, 1, "", 15), expunged=(1,)))
        self.assertEqual((places, fresh, len(view)), ([], 1, 2))
        self.assertEqual(view.tell_expunged(), [1])
        self.assertIs(view.states[0], flag_state(1, ""))

    def test_what_our_own_command_told_is_not_told_again(self) -> None:
        view = view_of(1, 2)
        self.assertEqual(view.take_rows([(1, 1, "", 15), (9, 1, "", 15), (2, 0, "", 5)]), ([0, 1], [0], False))
        self.assertEqual(view.take_changes(changes((1, 1, "", 15), (2, 4, "", 16)))[0], [1])

    def test_a_keyword_is_new_once(self) -> None:
        view = view_of(1, 2)
        self.assertEqual(view.take_rows([(1, 0, "a b", 15)]), ([0], [0], True))
        self.assertEqual(view.take_rows([(2, 0, "b", 16)]), ([1], [1], False))
        self.assertEqual(view.keywords, {"a", "b"})

    @given(st.sets(st.integers(1, 40), min_size=1), st.sets(st.integers(1, 40)))
    def test_expunge_numbers_applied_in_turn_leave_the_rest(self, uids: set[int], gone: set[int]) -> None:
        view = view_of(*sorted(uids))
        client = sorted(uids)
        view.take_changes(changes(expunged=tuple(gone)))
        for number in view.tell_expunged():
            del client[number - 1]
        self.assertEqual(client, sorted(uids - gone))
        self.assertEqual(list(view.uids), client)
        self.assertEqual(len(view.states), len(client))
        self.assertEqual(len(view.modseqs), len(client))


class States(SynchronousTestCase):
    """Shared combinations of flags."""

    def test_equal_flags_are_one_object(self) -> None:
        state = flag_state(1, "$x")
        self.assertIs(state, flag_state(1, "$x"))
        self.assertEqual(state.text, "\\Seen $x")
        self.assertEqual(state.recent_text, "\\Seen $x \\Recent")
