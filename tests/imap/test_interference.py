"""Whatever fails or is called off, whenever the client leaves: a right reply or the end, and nothing left over."""

from __future__ import annotations

import re

import pytest
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StorageFull, StoreUnavailable
from tests.imap.conversation import PASSWORD, USER, Server, message
from tests.support.interference import Interference, calls_of, failing, held

pytestmark = pytest.mark.sqlite

COMMANDS = (
    f"LOGIN {USER} {PASSWORD}",
    'LIST "" *',
    "STATUS INBOX (MESSAGES UNSEEN)",
    "CREATE other",
    "SELECT INBOX",
    "FETCH 1:* (FLAGS ENVELOPE BODY[])",
    "SEARCH TEXT number",
    "STORE 1 +FLAGS (\\Deleted)",
    "COPY 2 other",
    f"APPEND INBOX {{{len(message(9))}+}}\r\n{message(9).decode()}",
    "EXPUNGE",
    "SELECT other",
    "CLOSE",
    "RENAME other third",
    "DELETE third",
    "NOOP",
    "LOGOUT",
)


class Dialogue:
    """One connection that says all commands, each after the answer to the one before."""

    def __init__(self, interference: Interference) -> None:
        self.interference = interference
        self.server = Server()
        self.server.deliver(1, 2, 3)
        self.server.portal.realm._store = interference.around(self.server.store, "account_mail")  # type: ignore[assignment]
        self.server.factory.shared.portal = interference.around(self.server.portal)
        self.client = self.server.connect()
        self.client.output()
        self.replies: list[bytes] = []
        for number, command in enumerate(COMMANDS):
            if self.client.transport.disconnecting or self.is_waiting:
                break
            self.replies.append(self.client.send(f"t{number} {command}\r\n".encode()))

    @property
    def is_waiting(self) -> bool:
        """An answer is being held."""
        return self.interference.held is not None and not self.interference.held.called

    def leave(self) -> None:
        """The client vanishes."""
        self.interference.stop()
        self.client.close()


class InterferenceTests(SynchronousTestCase):
    def check_replies(self, dialogue: Dialogue) -> None:
        """Each command is completed once, or the connection is at its end."""
        for number, reply in enumerate(dialogue.replies):
            completed = re.findall(rb"^t\d+ (?:OK|NO|BAD) [^\r\n]*\r\n", reply, re.MULTILINE)
            is_last = dialogue.client.transport.disconnecting and number == len(dialogue.replies) - 1
            self.assertTrue(is_last or len(completed) == 1, (COMMANDS[number], reply))
            self.assertTrue(is_last or completed[0].startswith(b"t%d " % number), (COMMANDS[number], reply))
        self.assertTrue(dialogue.client.transport.disconnecting or len(dialogue.replies) == len(COMMANDS))

    def check_nothing_is_left(self, dialogue: Dialogue) -> None:
        """No timer, no connection, no login, no watcher; the next client is served."""
        server = dialogue.server
        self.assertEqual(server.clock.getDelayedCalls(), [])
        self.assertEqual(server.factory.connections, 0)
        self.assertEqual(server.store.notices.watched(), [])
        self.assertEqual(dict(server.factory.shared.per_account.here), {})
        realm = server.portal.realm
        self.assertEqual(realm.logged_out, realm.logged_in)
        again = server.connect().login()
        self.assertIn("x OK", again.command("SELECT INBOX")[-1])
        again.close()

    def test_every_call_fails_once(self) -> None:
        for error in (StoreUnavailable(), StorageFull(), KeyError("a defect")):
            for number, name in calls_of(Dialogue):
                with self.subTest(error=error, number=number, name=name):
                    dialogue = Dialogue(Interference((number, name), failing(error)))
                    self.check_replies(dialogue)
                    dialogue.leave()
                    self.check_nothing_is_left(dialogue)
                    defects = self.flushLoggedErrors()
                    self.assertEqual(len(defects), isinstance(error, KeyError))

    def test_the_client_leaves_at_every_call(self) -> None:
        for number, name in calls_of(Dialogue):
            for is_released in (True, False):
                with self.subTest(number=number, name=name, is_released=is_released):
                    dialogue = Dialogue(Interference((number, name), held))
                    dialogue.leave()
                    if is_released and name != "login":
                        dialogue.interference.release()
                    self.check_nothing_is_left(dialogue)
                    self.assertEqual(self.flushLoggedErrors(), [])

    def test_every_call_is_called_off_once(self) -> None:
        for number, name in calls_of(Dialogue):
            with self.subTest(number=number, name=name):
                dialogue = Dialogue(Interference((number, name), held))
                assert dialogue.interference.held is not None
                dialogue.interference.held.cancel()
                self.assertRegex(dialogue.client.output(), rb"(?:(?m:^)t\d+ (?:NO|OK)|\* BYE) [^\r\n]*\r\n\Z")
                dialogue.leave()
                self.check_nothing_is_left(dialogue)
                self.assertEqual(self.flushLoggedErrors(), [])
