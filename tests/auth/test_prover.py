"""What is remembered of proofs, and how often is hashed."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import TemporaryFailure
from tests.auth.support import Surroundings


class ProverTests(SynchronousTestCase):
    def setUp(self):
        self.configure()

    def configure(self, **settings):
        world = Surroundings(None, **settings)
        self.prover, self.threads, self.clock = world.prover, world.threads, world.clock
        self.stored = world.hashes.hash("secret")

    def prove(self, password=b"secret", name="alice", stored=None, **how):
        return self.successResultOf(self.prover.prove(name, password, stored or self.stored, **how))

    def test_a_password_just_proved_is_not_hashed_again(self):
        self.assertTrue(self.prove())
        self.assertTrue(self.prove())
        self.assertEqual(self.threads.ran, ["verify"])

    def test_memory_ends_with_its_life(self):
        self.prove()
        self.clock.advance(299)
        self.prove()
        self.clock.advance(1)
        self.prove()
        self.assertEqual(len(self.threads.ran), 2)

    def test_using_what_is_remembered_does_not_prolong_it(self):
        self.prove()
        for _ in range(10):
            self.clock.advance(40)
            self.prove()
        self.assertEqual(len(self.threads.ran), 2)

    def test_a_wrong_password_is_hashed_every_time(self):
        for _ in range(3):
            self.assertFalse(self.prove(b"wrong"))
        self.assertEqual(len(self.threads.ran), 3)

    def test_a_changed_hash_finds_nothing_remembered(self):
        self.prove()
        changed = self.prover.hashes.hash("other")
        self.assertFalse(self.prove(stored=changed))
        self.assertTrue(self.prove(b"other", stored=changed))

    def test_another_name_with_the_same_password_and_hash_finds_nothing_remembered(self):
        self.prove()
        self.prove(name="bob")
        self.assertEqual(len(self.threads.ran), 2)

    def test_parts_do_not_run_into_one_another(self):
        self.prove(b"secret", "alice")
        self.assertFalse(self.prove(b"ecret", "alice"))

    def test_memory_is_bounded(self):
        self.configure(proved_entries=2)
        for name in ("a", "b", "c"):
            self.prove(name=name)
        self.threads.ran.clear()
        self.prove(name="c")
        self.prove(name="b")
        self.assertEqual(self.threads.ran, [])
        self.prove(name="a")
        self.assertEqual(self.threads.ran, ["verify"])

    def test_memory_can_be_turned_off(self):
        for settings in ({"proved_life": 0}, {"proved_entries": 0}):
            self.configure(**settings)
            self.prove()
            self.prove()
            self.assertEqual(len(self.threads.ran), 2)

    def test_memory_holds_no_password(self):
        self.prove()
        self.assertNotIn("secret", repr(vars(self.prover)))

    def test_the_same_question_asked_twice_at_once_is_hashed_once(self):
        self.threads.held = True
        waiting = [self.prover.prove("alice", password, self.stored) for password in (b"secret", b"secret", b"wrong")]
        waiting[0].addErrback(lambda failure: None)
        waiting[0].cancel()
        self.threads.release()
        self.assertEqual([self.successResultOf(waiter) for waiter in waiting], [None, True, False])
        self.assertEqual(self.threads.ran, ["verify", "verify"])

    def test_all_who_wait_hear_of_a_failure_and_the_next_may_try_again(self):
        self.threads.failure = TemporaryFailure()
        self.failureResultOf(self.prover.prove("alice", b"secret", self.stored), TemporaryFailure)
        self.threads.failure = None
        self.assertTrue(self.prove())

    def test_pretending_costs_one_hash_and_is_never_true(self):
        self.assertFalse(self.successResultOf(self.prover.pretend("nobody", b"secret")))
        self.assertEqual(self.threads.ran, ["verify"])
