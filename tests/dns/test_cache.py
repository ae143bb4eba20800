"""What is remembered, and for how long."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.cache import AnswerCache
from pymailsuite.interfaces import Answer


class AnswerCacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cache = AnswerCache(self.clock, 2, ttl_max_s=1000, negative_ttl_max_s=100)

    def test_an_answer_lives_for_its_ttl_and_says_what_is_left_of_it(self) -> None:
        self.cache.put("q", Answer(("192.0.2.1",), ttl_s=60))
        self.clock.advance(20)
        self.assertEqual(self.cache.get("q"), Answer(("192.0.2.1",), ttl_s=40))
        self.clock.advance(40)
        self.assertIsNone(self.cache.get("q"))

    def test_positive_and_negative_answers_have_limits_of_their_own(self) -> None:
        self.cache.put("positive", Answer(("192.0.2.1",), ttl_s=10**6))
        self.cache.put("negative", Answer((), exists=False, ttl_s=10**6))
        self.clock.advance(99)
        self.assertIsNotNone(self.cache.get("negative"))
        self.clock.advance(1)
        self.assertIsNone(self.cache.get("negative"))
        self.clock.advance(899)
        self.assertIsNotNone(self.cache.get("positive"))
        self.clock.advance(1)
        self.assertIsNone(self.cache.get("positive"))

    def test_the_least_recently_used_answer_makes_room(self) -> None:
        for question in ("first", "second"):
            self.cache.put(question, Answer((question,), ttl_s=60))
        self.cache.get("first")
        self.cache.put("third", Answer(("third",), ttl_s=60))
        self.assertIsNotNone(self.cache.get("first"))
        self.assertIsNone(self.cache.get("second"))

    def test_an_answer_without_a_ttl_is_not_remembered(self) -> None:
        self.cache.put("q", Answer(("x",), ttl_s=0))
        self.assertIsNone(self.cache.get("q"))

    def test_size_zero_remembers_nothing(self) -> None:
        cache = AnswerCache(self.clock, 0, 1000, 1000)
        cache.put("q", Answer(("x",), ttl_s=60))
        self.assertIsNone(cache.get("q"))
