"""What is remembered of proofs, and how often is hashed."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import TemporaryFailure
from tests.auth.support import Surroundings


class ProverTests(SynchronousTestCase):
    def setUp(self):
        self.configure()

    def configure(self, **settings):
        world = Surroundings(None, **settings)
        self.password_verifier, self.threads, self.clock = world.password_verifier, world.threads, world.clock
        self.stored = world.hashes.hash("secret")

    def verify(self, password=b"secret", name="alice", stored=None, **how):
        return self.successResultOf(self.password_verifier.verify(name, password, stored or self.stored, **how))

    def test_a_password_just_proved_is_not_hashed_again(self):
        self.assertTrue(self.verify())
        self.assertTrue(self.verify())
        self.assertEqual(self.threads.ran, ["verify"])

    def test_memory_ends_with_its_life(self):
        self.verify()
        self.clock.advance(299)
        self.verify()
        self.clock.advance(1)
        self.verify()
        self.assertEqual(len(self.threads.ran), 2)

    def test_using_what_is_remembered_does_not_prolong_it(self):
        self.verify()
        for _ in range(10):
            self.clock.advance(40)
            self.verify()
        self.assertEqual(len(self.threads.ran), 2)

    def test_a_wrong_password_is_hashed_every_time(self):
        for _ in range(3):
            self.assertFalse(self.verify(b"wrong"))
        self.assertEqual(len(self.threads.ran), 3)

    def test_a_changed_hash_finds_nothing_remembered(self):
        self.verify()
        changed = self.password_verifier.hashes.hash("other")
        self.assertFalse(self.verify(stored=changed))
        self.assertTrue(self.verify(b"other", stored=changed))

    def test_another_name_with_the_same_password_and_hash_finds_nothing_remembered(self):
        self.verify()
        self.verify(name="bob")
        self.assertEqual(len(self.threads.ran), 2)

    def test_parts_do_not_run_into_one_another(self):
        self.verify(b"secret", "alice")
        self.assertFalse(self.verify(b"ecret", "alice"))

    def test_memory_is_bounded(self):
        self.configure(proved_entries=2)
        for name in ("a", "b", "c"):
            self.verify(name=name)
        self.threads.ran.clear()
        self.verify(name="c")
        self.verify(name="b")
        self.assertEqual(self.threads.ran, [])
        self.verify(name="a")
        self.assertEqual(self.threads.ran, ["verify"])

    def test_memory_can_be_turned_off(self):
        for settings in ({"proved_life": 0}, {"proved_entries": 0}):
            self.configure(**settings)
            self.verify()
            self.verify()
            self.assertEqual(len(self.threads.ran), 2)

    def test_memory_holds_no_password(self):
        self.verify()
        self.assertNotIn("secret", repr(vars(self.password_verifier)))

    def test_the_same_question_asked_twice_at_once_is_hashed_once(self):
        self.threads.held = True
        waiting = [
            self.password_verifier.verify("alice", password, self.stored)
            for password in (b"secret", b"secret", b"wrong")
        ]
        waiting[0].addErrback(lambda failure: None)
        waiting[0].cancel()
        self.threads.release()
        self.assertEqual([self.successResultOf(waiter) for waiter in waiting], [None, True, False])
        self.assertEqual(self.threads.ran, ["verify", "verify"])

    def test_all_who_wait_hear_of_a_failure_and_the_next_may_try_again(self):
        self.threads.failure = TemporaryFailure()
        self.failureResultOf(self.password_verifier.verify("alice", b"secret", self.stored), TemporaryFailure)
        self.threads.failure = None
        self.assertTrue(self.verify())

    def test_pretending_costs_one_hash_and_is_never_true(self):
        self.assertFalse(self.successResultOf(self.password_verifier.verify_nobody("nobody", b"secret")))
        self.assertEqual(self.threads.ran, ["verify"])
