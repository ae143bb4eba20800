"""What a POP3 user has fetched and deleted counts no more."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces import Acceptance, Delivery
from pymailsuite.interfaces.quota import Quota, Usage
from tests.acceptance import acceptance
from tests.pop3.support import ALICE, World
from tests.support.stores import fired, stage

MESSAGE = b"Subject: one\r\n\r\nOne.\r\n"


class QuotaTests(SynchronousTestCase):
    def setUp(self):
        self.world = World(MESSAGE, MESSAGE)
        fired(self.world.store.directory.change_account_quota(ALICE, lambda _: Quota(messages=2)))

    def usage(self):
        return fired(self.world.store.quotas.account_quota(self.world.alice.account_id, False)).account.usage

    def deliver(self):
        delivery = Delivery(self.world.alice.account_id, b"")
        return self.world.store.queue.accept(Acceptance(stage(self.world.store, MESSAGE), (delivery,)))

    @acceptance("S150")
    def test_deleting_frees_the_room_at_once(self):
        client = self.world.logged_in()
        client.say("RETR 1", "DELE 1")
        self.assertEqual(self.usage(), Usage(2 * len(MESSAGE), 2, 6))
        self.assertEqual(self.failureResultOf(self.deliver()).value.enhanced_code, "5.2.2")
        client.say("QUIT")
        self.assertEqual(self.usage(), Usage(len(MESSAGE), 1, 6))
        fired(self.deliver())
        self.assertEqual(self.usage().messages, 2)
