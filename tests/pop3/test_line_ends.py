"""Messages with line ends of any kind: no line of the content reads as the end, and sizes are those of what is sent."""

import re

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces import Column, NewMessage
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, FlagChange, Flags, SystemFlag
from pymailsuite.wire.line_ends import ExtraOctets, LineEndEncoder, extra_octets, with_crlf
from tests.acceptance import acceptance
from tests.pop3.support import MESSAGES, World, slow
from tests.support.stores import fired, stage

HEAD = b"Subject: line ends\n\n"
TEXTS = {
    "bare LF": HEAD + b".\nx\n.\n.y\n",
    "a dot after a bare CR": HEAD + b"a\r.\rb\r.\r\n.\r\n",
    "a bare CR at the end": HEAD + b"x\r\n.\r",
    "no end": b"Subject: x\r\n\r\nlast",
    "no end after a dot": HEAD + b"x\n.",
    "CR CR LF": HEAD + b"a\r\r\n.\r\r\n",
    "LF CR": HEAD + b"a\n\r.\n\r\n\r",
    "nothing": b"",
    "CRLF alone": b"Subject: x\r\n\r\n.\r\n..\r\n",
}
PIECES = st.lists(st.sampled_from([b"a", b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"word"]), max_size=40).map(b"".join)


def lines_of(text):
    """The lines of a text, whatever ends them."""
    lines = re.split(rb"\r\n|\r|\n", text)
    return lines[:-1] if not lines[-1] else lines


def received(reply):
    """The lines of a message as a client gets them: up to a line with only a dot, which must be the last."""
    head, *lines = reply.split(b"\r\n")
    assert head.startswith(b"+OK"), head
    assert lines[-2:] == [b".", b""], lines[-3:]
    body = lines[:-2]
    assert b"." not in body
    assert not any(b"\r" in line or b"\n" in line for line in body)
    return [line[1:] if line.startswith(b".") else line for line in body]


class Retrieving(SynchronousTestCase):
    """RETR, TOP, LIST and STAT agree."""

    def _check(self, conversation, number, text, known=True):
        reply = conversation.say(f"RETR {number}")
        lines = received(reply)
        self.assertEqual(lines, lines_of(text))
        size = sum(len(line) + 2 for line in lines)
        if known:
            self.assertEqual(reply.split(b"\r\n")[0], b"+OK %d octets" % size)
            self.assertEqual(conversation.say(f"LIST {number}"), b"+OK %d %d\r\n" % (number, size))
        top = received(conversation.say(f"TOP {number} 2"))
        header = lines_of(text).index(b"") + 1 if b"" in lines_of(text) else len(lines)
        self.assertEqual(top, lines_of(text)[: header + 2])
        self.assertEqual(conversation.say("NOOP"), b"+OK\r\n")
        return size

    @acceptance("S144", "S148")
    def test_short_messages(self):
        conversation = World(*TEXTS.values()).logged_in()
        total = sum(self._check(conversation, number, text) for number, text in enumerate(TEXTS.values(), 1))
        self.assertEqual(conversation.say("STAT"), b"+OK %d %d\r\n" % (len(TEXTS), total))
        listed = conversation.say("LIST").split(b"\r\n")[1:-2]
        self.assertEqual(sum(int(line.split()[1]) for line in listed), total)
        conversation.say("DELE 1")
        first = sum(len(line) + 2 for line in lines_of(TEXTS["bare LF"]))
        self.assertEqual(conversation.say("STAT"), b"+OK %d %d\r\n" % (len(TEXTS) - 1, total - first))

    def test_messages_of_several_pieces(self):
        for ends in (b"\n", b"\r", b"\r\n", b"\r\r\n"):
            for shift in range(4):
                filler = b"x" * (MAX_CHUNK - len(HEAD) - 2 + shift)
                text = HEAD + filler + ends + b"." + ends + b"y" * MAX_CHUNK + ends + b"." + ends
                conversation = World(text, MESSAGES["one"]).logged_in()
                self._check(conversation, 1, text)
                self._check(conversation, 2, MESSAGES["one"])

    def test_one_that_grows_beyond_what_is_held(self):
        text = HEAD + b"\n" * (MAX_CHUNK - len(HEAD))
        self._check(World(text).logged_in(), 1, text)

    def test_one_that_nobody_has_counted(self):
        for padding in (b"", b"z" * MAX_CHUNK + b"\n"):
            world = World()
            text = TEXTS["bare LF"] + padding
            new = NewMessage(evolve(stage(world.store, text), extra_octets=None))
            fired(world.mail.append("INBOX", [new]))
            self._check(world.logged_in(), 1, text, known=False)

    def test_the_count_goes_with_copies_and_with_what_comes_back(self):
        world = World(TEXTS["bare LF"])
        fired(world.mail.create_mailbox("Other", None))
        fired(world.mail.copy(world.mailbox.mailbox_id, ALL_UIDS, "Other"))
        other = fired(world.mail.mailbox("Other")).mailbox_id
        fired(world.mail.move(other, ALL_UIDS, "INBOX"))
        fired(
            world.mail.store_flags(world.mailbox.mailbox_id, ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.DELETED), None)
        )
        fired(world.mail.expunge(world.mailbox.mailbox_id, ALL_UIDS))
        fired(world.store.maintenance.restore_expunged(world.alice.account_id, 0.0, None))
        counts = fired(
            world.mail.read_messages(world.mailbox.mailbox_id, ALL_UIDS, (Column.UID, Column.EXTRA_OCTETS), list)
        )
        self.assertEqual({extra for _, extra in counts}, {extra_octets(TEXTS["bare LF"])})
        self._check(world.logged_in(), 1, TEXTS["bare LF"])


class Encoding(SynchronousTestCase):
    """The encoder, its counter, and any cut."""

    @given(PIECES, st.lists(st.integers(0, 120), max_size=5))
    @settings(max_examples=300, deadline=None)
    def test_any_cut_gives_the_same(self, text, cuts):
        whole = with_crlf(text)
        self.assertEqual(whole, b"".join(line + b"\r\n" for line in lines_of(text)))
        self.assertEqual(len(whole), len(text) + extra_octets(text))
        self.assertEqual((with_crlf(whole), extra_octets(whole)), (whole, 0))
        encoder, counter, encoded, start = LineEndEncoder(), ExtraOctets(), b"", 0
        for cut in (*sorted(cuts), len(text)):
            piece = text[start : max(start, cut)]
            start += len(piece)
            encoded += encoder.encode(piece)
            counter.feed(piece)
        self.assertEqual((encoded + encoder.finish(), counter.finish()), (whole, len(whole) - len(text)))


class HalfMessages(SynchronousTestCase):
    """After the first octet of a message comes the rest of it, or the end of the connection."""

    def _begun(self):
        """A conversation that waits for the second piece of a message."""
        world = World(HEAD + b"x" * (3 * MAX_CHUNK))
        asked = []

        def read_octets(*arguments):
            asked.append(arguments)
            return world.mail.read_octets(*arguments) if len(asked) == 1 else Deferred()

        slow(world).read_octets = read_octets
        conversation = world.logged_in()
        conversation.receive(b"RETR 1\r\n")
        sent = conversation.output()
        self.assertEqual(sent[:4], b"+OK ")
        self.assertTrue(sent.endswith(b"xxx"))
        return conversation

    def test_a_stop_an_ended_login_and_a_lost_lock_say_nothing_in_between(self):
        for event in ("shut_down", "failed", "lock_lost"):
            conversation = self._begun()
            session = conversation.protocol.session
            getattr(session, event)()
            self.assertTrue(session.ended)
            self.assertEqual(session.outgoing, [], event)

    def test_what_goes_wrong_in_between_cuts_the_connection(self):
        conversation = self._begun()
        with capturedLogs() as logs:
            conversation.protocol.in_turn(lambda: 1 / 0)
        self.assertTrue(conversation.transport.aborted)
        self.assertEqual(conversation.output(), b"")
        self.assertEqual([log["log_level"] for log in logs if log["log_level"] >= LogLevel.warn], [LogLevel.critical])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
