"""Whatever fails or is called off, whenever the client leaves: a right reply or the end, and nothing left over."""

from __future__ import annotations

import re

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.values import MAX_CHUNK
from tests.pop3.support import World
from tests.support.interference import Interference, calls_of, failing, held

pytestmark = pytest.mark.sqlite

SHORT = b"Subject: short\r\n\r\nFirst\r\n.second\r\n"
LONG = b"Subject: long\r\n\r\n" + b"x" * 78 + b"\r\n"
LONG += b"y" * (2 * MAX_CHUNK) + b"\r\n"
COMMANDS = (
    *("CAPA", "USER alice@mail.example", "PASS wonderland", "STAT", "LIST", "UIDL", "RETR 1", "TOP 1 1", "RETR 2"),
    *("TOP 2 1", "DELE 1", "NOOP", "QUIT"),
)
MULTI_LINE = ("CAPA", "LIST", "UIDL", "RETR", "TOP")


class Dialogue:
    """One connection that says all commands, each after the answer to the one before."""

    def __init__(self, interference: Interference) -> None:
        self.interference = interference
        self.world = World(SHORT, LONG, login_delay=1)
        self.store = self.world.store
        self.world.portal.realm._store = interference.around(self.store, "account_mail")  # type: ignore[assignment]
        self.world.factory._portal = interference.around(self.world.portal)
        self.world.factory._login_delay._counts = interference.around(self.store.state)
        self.client = self.world.connect()
        self.replies = [self.client.output()]
        for command in COMMANDS:
            if self.client.ended() or interference.held is not None:
                break
            self.replies.append(self.client.say(command))

    def end(self) -> None:
        """The connection is over, and the store as it should be again."""
        self.interference.stop()
        self.client.lose()

    @property
    def clock(self) -> Clock:
        return self.world.clock


class InterferenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.calls = calls_of(Dialogue)

    def check_replies(self, dialogue: Dialogue) -> None:
        """Each command has one whole reply, or the connection is at its end."""
        for command, reply in zip(("", *COMMANDS), dialogue.replies, strict=False):
            if dialogue.client.ended() and reply is dialogue.replies[-1]:
                continue
            multi = reply.startswith(b"+OK") and command.startswith(MULTI_LINE)
            form = rb"\+OK[^\r\n]*\r\n(?:(?!\.\r\n)[^\n]*\n)*\.\r\n" if multi else rb"(?:\+OK|-ERR)[^\r\n]*\r\n"
            self.assertIsNotNone(re.fullmatch(form, reply), (command, reply[:200], reply[-200:]))
        self.assertTrue(dialogue.client.ended() or len(dialogue.replies) == len(COMMANDS) + 1)

    def check_nothing_is_left(self, dialogue: Dialogue) -> None:
        """No timer, no lock, no login; the next client is served."""
        self.assertEqual(dialogue.clock.getDelayedCalls(), [])
        # A lock that could not be given back ends with its lease.
        dialogue.clock.advance(90)
        self.assertEqual(dialogue.world.factory.connections, 0)
        again = dialogue.world.logged_in()
        self.assertIn(b"+OK", again.say("STAT"))
        again.say("QUIT")
        again.lose()
        realm = dialogue.world.portal.realm
        self.assertEqual(realm.logged_out, realm.logged_in)

    def test_the_dialogue_reaches_all_there_is(self) -> None:
        names = {name for _, name in self.calls}
        self.assertGreaterEqual(
            names, {"login", "add", "lock_maildrop", "mailbox", "read_messages", "read_octets", "remove_messages"}
        )

    def test_every_call_fails_once(self) -> None:
        for error in (StoreUnavailable(), StorageFull(), KeyError("a defect")):
            for number, name in self.calls:
                with self.subTest(error=error, number=number, name=name):
                    dialogue = Dialogue(Interference((number, name), failing(error)))
                    self.check_replies(dialogue)
                    dialogue.end()
                    self.check_nothing_is_left(dialogue)
                    defects = self.flushLoggedErrors()
                    self.assertEqual([type(one.value) for one in defects][1:], [])
                    self.assertTrue(isinstance(error, KeyError) or not defects)

    def test_the_client_leaves_at_every_call(self) -> None:
        for number, name in self.calls:
            for is_released in (True, False):
                with self.subTest(number=number, name=name, is_released=is_released):
                    dialogue = Dialogue(Interference((number, name), held))
                    dialogue.end()
                    if is_released and name != "login":
                        # What was asked of the store may be done all the same; the portal calls a login off.
                        dialogue.interference.release()
                    self.check_nothing_is_left(dialogue)
                    self.assertEqual(self.flushLoggedErrors(), [])

    def test_every_call_is_called_off_once(self) -> None:
        for number, name in self.calls:
            with self.subTest(number=number, name=name):
                dialogue = Dialogue(Interference((number, name), held))
                waiting = dialogue.interference.held
                assert waiting is not None
                before = len(dialogue.client.transport.value())
                waiting.cancel()
                reply = dialogue.client.output()
                self.assertTrue(reply[before:] or dialogue.client.ended() or name == "unlock_maildrop", reply)
                dialogue.end()
                if name != "login":
                    dialogue.interference.release()
                self.check_nothing_is_left(dialogue)
                self.assertEqual(self.flushLoggedErrors(), [])
