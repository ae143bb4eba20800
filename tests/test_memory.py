"""What a process remembers for a time."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.memory import ExpiringMemory


class ExpiringMemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def memory(self, entries: int, most_size: int = 100) -> ExpiringMemory[str, str]:
        return ExpiringMemory(self.clock, entries, size_of=len, most_size=most_size)

    def test_a_value_is_good_until_its_time_is_over(self) -> None:
        memory = self.memory(2)
        memory.put("a", "found", 10)
        self.clock.advance(9)
        self.assertEqual(memory.get_with_life("a"), ("found", 1))
        self.clock.advance(1)
        self.assertIsNone(memory.get("a"))
        self.assertEqual(len(memory), 0)

    def test_a_value_takes_the_place_of_the_one_before_and_its_time_too(self) -> None:
        memory = self.memory(1)
        memory.put("a", "found", 10)
        memory.put("a", "again", 5)
        self.assertEqual(memory.get("a"), "again")
        self.clock.advance(5)
        self.assertIsNone(memory.get("a"))

    def test_what_was_not_used_for_longest_makes_room(self) -> None:
        memory = self.memory(3)
        for key in "abc":
            memory.put(key, key)
        memory.get("a")
        memory.put("d", "d")
        self.assertEqual([memory.get(key) for key in "abcd"], ["a", None, "c", "d"])

    def test_all_values_together_take_no_more_than_they_may(self) -> None:
        memory = self.memory(100, most_size=10)
        memory.put("a", "1234")
        memory.put("b", "1234")
        memory.put("c", "123")
        self.assertEqual([memory.get(key) for key in "abc"], [None, "1234", "123"])
        memory.put("b", "1")
        memory.put("d", "123456")
        self.assertEqual([memory.get(key) for key in "bcd"], ["1", "123", "123456"])

    def test_what_alone_takes_more_is_not_remembered_and_costs_nobody_his_place(self) -> None:
        memory = self.memory(100, most_size=10)
        memory.put("a", "1234")
        memory.put("b", "12")
        memory.put("b", "12345678901")
        self.assertEqual([memory.get(key) for key in "ab"], ["1234", None])

    def test_what_is_good_for_no_time_is_not_kept(self) -> None:
        memory = self.memory(2)
        memory.put("a", "found", 10)
        memory.put("a", "again", 0)
        self.assertIsNone(memory.get("a"))

    def test_without_entries_nothing_is_remembered(self) -> None:
        memory = self.memory(0)
        memory.put("a", "found", 10)
        self.assertIsNone(memory.get("a"))

    def test_what_is_forgotten_is_gone_and_leaves_its_room(self) -> None:
        memory = self.memory(2, most_size=4)
        memory.put("a", "1234")
        memory.forget("a")
        memory.forget("never there")
        memory.put("b", "1234")
        memory.put("c", "")
        self.assertEqual([memory.get(key) for key in "abc"], [None, "1234", ""])
