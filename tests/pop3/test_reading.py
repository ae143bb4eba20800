"""RETR and TOP through the protocol: reading ahead, long messages, slow readers, failures on the way."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.values import MAX_CHUNK, UidSet
from pymailsuite.wire import dot_stuff
from tests.acceptance import acceptance
from tests.pop3.support import MESSAGES, World, slow
from tests.support.stores import fired


def message(number, size=4096):
    """A message of about ``size`` octets, with lines that begin with dots."""
    head = b"Subject: %d\r\n\r\n" % number
    line = b".%07d and so on, and on\r\n" % number
    return head + line * ((size - len(head)) // len(line))


class RetrTests(SynchronousTestCase):
    def start(self, *messages, **settings):
        self.world = World(*messages, **settings)
        self.mail = slow(self.world)
        self.session = self.world.logged_in()
        self.mail.asked.clear()
        self.session.transport.writes = 0

    def retr(self, number):
        return self.session.say(f"RETR {number}")

    @acceptance("S143")
    def test_every_message_comes_back_octet_for_octet_with_the_size_that_list_told(self):
        messages = [message(number, size) for number, size in enumerate((50, 4096, 100_000, MAX_CHUNK, 700_000), 1)]
        self.start(*messages)
        sizes = self.session.say("LIST").split(b"\r\n")[1:-2]
        for number, octets in enumerate(messages, 1):
            self.assertEqual(sizes[number - 1], b"%d %d" % (number, len(octets)))
            self.assertEqual(self.retr(number), b"+OK %d octets\r\n" % len(octets) + dot_stuff(octets))

    def test_messages_in_order_cost_few_reads(self):
        messages = [message(number) for number in range(1, 301)]
        self.start(*messages)
        for number, octets in enumerate(messages, 1):
            self.assertEqual(self.retr(number), b"+OK %d octets\r\n" % len(octets) + dot_stuff(octets))
        self.assertLess(len(self.mail.asked), 12)

    def test_messages_in_any_order_cost_one_read_each_at_most(self):
        messages = [message(number) for number in range(1, 41)]
        self.start(*messages)
        for number in (40, 1, 20, 19, 3, 2, 40, 40, 5, 30):
            octets = messages[number - 1]
            self.assertEqual(self.retr(number), b"+OK %d octets\r\n" % len(octets) + dot_stuff(octets))
        self.assertLessEqual(self.mail.asked.count("read_messages"), 20)

    def test_no_reading_ahead_by_setting(self):
        self.start(*(message(number) for number in range(1, 11)), read_ahead=0)
        for number in range(1, 11):
            self.retr(number)
        self.assertEqual(self.mail.asked, ["read_messages"] * 10)

    def test_what_is_held_is_bounded_however_the_client_skips(self):
        self.start(*(message(number) for number in range(1, 401)), read_ahead=100_000)
        for number in range(1, 401, 3):
            self.retr(number)
            held = self.session.protocol._maildrop._read_ahead._held.values()
            self.assertLess(sum(map(len, held)), 210_000)

    def test_pipelined_messages_leave_in_few_writes(self):
        messages = [message(number, 1000) for number in range(1, 51)]
        self.start(*messages)
        sent = self.session.say(*(f"RETR {number}" for number in range(1, 51)))
        self.assertEqual(sent, b"".join(b"+OK %d octets\r\n" % len(m) + dot_stuff(m) for m in messages))
        self.assertEqual(self.session.transport.writes, 1)

    def test_commands_wait_their_turn_while_a_message_is_read(self):
        self.start(MESSAGES["one"])
        self.mail.held = True
        self.assertEqual(self.session.say("RETR 1", "NOOP", "STAT"), b"")
        self.mail.release()
        self.assertTrue(self.session.output().endswith(b"First\r\n.\r\n+OK\r\n+OK 1 23\r\n"))

    def test_message_without_last_line_end_gets_one(self):
        self.start(MESSAGES["open"])
        self.assertTrue(self.retr(1).endswith(b"\r\nlast\r\n.\r\n"))

    # --- the client does not read

    def test_long_message_waits_for_a_slow_reader(self):
        octets = message(1, 1_200_000)
        self.start(octets)
        self.session.protocol.pauseProducing()
        sent = self.retr(1)
        self.assertLessEqual(len(sent), MAX_CHUNK * 1.1 + 100)
        self.assertEqual(self.session.say("NOOP"), b"")
        while not sent.endswith(b".\r\n+OK\r\n"):
            self.session.protocol.resumeProducing()
            self.session.protocol.pauseProducing()
            more = self.session.output()
            self.assertTrue(more)
            sent += more
        self.assertEqual(sent, b"+OK %d octets\r\n" % len(octets) + dot_stuff(octets) + b"+OK\r\n")

    def test_replies_are_not_heaped_up_for_a_client_that_only_asks(self):
        self.start(*(message(number, 100) for number in range(1, 2001)))
        self.session.protocol.pauseProducing()
        sent = self.session.say(*(["LIST"] * 500))
        self.assertLess(len(sent), 200_000)
        for _ in range(1000):
            self.session.protocol.resumeProducing()
            self.world.clock.advance(0)
            self.session.protocol.pauseProducing()
            sent += self.session.output()
        self.assertEqual(sent.count(b"\r\n.\r\n"), 500)

    @acceptance("S208")
    def test_short_replies_are_not_heaped_up_either(self):
        self.start(message(1, 100))
        self.session.protocol.pauseProducing()
        for _ in range(100):
            self.assertEqual(self.session.say("NOOP"), b"")
        self.session.protocol.resumeProducing()
        self.assertEqual(self.session.output(), b"+OK\r\n" * 100)

    def test_client_that_never_reads_is_cut_off(self):
        self.start(message(1, 1_200_000))
        self.session.protocol.pauseProducing()
        self.retr(1)
        self.world.clock.advance(600)
        self.assertTrue(self.session.transport.aborted)

    def test_connection_lost_in_the_middle_is_the_end_of_it(self):
        self.start(message(1, 1_200_000))
        self.session.protocol.pauseProducing()
        self.retr(1)
        self.session.lose()
        self.assertIn(b"+OK maildrop has 1", self.world.connect().say("USER alice@mail.example", "PASS wonderland"))

    # --- the store does not answer

    def test_store_out_of_reach_is_told_and_the_session_goes_on(self):
        for size in (100, 700_000):
            self.start(message(1, size))
            self.mail.failures = {"read_messages": StoreUnavailable(), "read_octets": StoreUnavailable()}
            self.assertEqual(self.retr(1), b"-ERR [SYS/TEMP] Mail store unavailable\r\n")
            self.mail.failures = {}
            self.assertTrue(self.retr(1).startswith(b"+OK "))

    def test_defect_is_logged_and_told_without_its_nature(self):
        self.start(MESSAGES["one"])
        self.mail.failures["read_messages"] = ZeroDivisionError("secret")
        self.assertEqual(self.retr(1), b"-ERR [SYS/TEMP] Internal error, try again later\r\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failed_reading_ahead_harms_only_who_needs_it(self):
        self.start(*(message(number) for number in range(1, 101)))
        self.retr(1)
        self.mail.failures["read_messages"] = StoreUnavailable()
        got = [self.retr(number)[:4] for number in range(2, 40)]
        self.assertIn(b"-ERR", got)
        self.mail.failures.clear()
        self.assertTrue(self.retr(40).startswith(b"+OK "))

    def test_half_a_message_is_never_passed_off_as_whole(self):
        self.start(message(1, 700_000))
        write = self.session.transport.write

        def write_and_be_full(octets: bytes) -> None:
            write(octets)
            self.session.protocol.pauseProducing()

        self.session.transport.write = write_and_be_full
        self.retr(1)
        self.mail.failures["read_octets"] = StoreUnavailable()
        self.session.protocol.resumeProducing()
        self.assertTrue(self.session.transport.aborted)
        self.assertNotIn(b"\r\n.\r\n", self.session.output())

    @acceptance("S148")
    def test_top_of_a_long_message_reads_only_its_beginning(self):
        octets = message(1, 2_000_000)
        self.start(octets)
        sent = self.session.say("TOP 1 2")
        self.assertEqual(sent.count(b"\r\n"), 6)
        self.assertEqual(self.mail.asked, ["read_octets"])
        whole = self.session.say("TOP 1 9999999999")
        self.assertEqual(whole, b"+OK top of message follows\r\n" + dot_stuff(octets))

    def test_message_expunged_meanwhile_can_still_be_read_in_pieces(self):
        octets = message(1, 700_000)
        self.start(octets)
        fired(self.world.mail.remove_messages(self.world.mailbox.mailbox_id, UidSet.of([1])))
        self.assertEqual(self.retr(1), b"+OK %d octets\r\n" % len(octets) + dot_stuff(octets))

    def test_message_whose_octets_are_gone_is_refused(self):
        self.start(MESSAGES["one"])
        fired(self.world.mail.remove_messages(self.world.mailbox.mailbox_id, UidSet.of([1])))
        fired(self.world.store.maintenance.sweep(self.world.clock.seconds() + 400 * 86400))
        self.assertEqual(self.retr(1), b"-ERR message is gone\r\n")


class ManyMessagesTests(SynchronousTestCase):
    def test_lists_of_thousands_of_messages_are_whole(self):
        self.world = World(*[b"x: y\r\n\r\n"] * 5000)
        session = self.world.logged_in()
        listed = session.say("LIST").split(b"\r\n")
        self.assertEqual(listed[0], b"+OK 5000 messages (40000 octets)")
        self.assertEqual(listed[1:-2], [b"%d 8" % number for number in range(1, 5001)])
        self.assertEqual(listed[-2:], [b".", b""])
        ids = [line.split(b" ")[1] for line in session.say("UIDL").split(b"\r\n")[1:-2]]
        self.assertEqual(len(set(ids)), 5000)
        self.assertTrue(all(0 < len(unique_id) <= 70 for unique_id in ids))
