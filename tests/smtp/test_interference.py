"""Whatever fails or is called off, whenever the peer leaves: a right reply or the end, and nothing left over."""

from __future__ import annotations

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings, SmtpSettings, SubmissionSettings
from pymailsuite.errors import DnsFailure, StorageFull, StoreUnavailable
from pymailsuite.interfaces.policy import Verdict
from tests.smtp.conversations import Server
from tests.support.interference import Interference, calls_of, failing, held
from tests.support.policies import chain_of, says

LOGIN = "AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ="
MESSAGE = (
    *("MAIL FROM:<alice@mail.example>", "RCPT TO:<alice@mail.example>", "RCPT TO:<bob@mail.example>"),
    *("DATA", "Subject: x\r\n\r\ntext\r\n."),
)


class Dialogue:
    """One connection that brings two messages, each command after the answer to the one before."""

    def __init__(self, interference: Interference, settings: SmtpSettings, commands: tuple[str, ...]) -> None:
        self.interference = interference
        self.commands = ("", *commands)
        policy = says("tells", connect=Verdict(), helo=Verdict(), mail=Verdict(), rcpt=Verdict(), message=Verdict())
        self.server = Server(settings, policies=interference.around(chain_of(policy)))
        self.intake = self.server.intake
        self.intake.write_answers = [succeed(None) for _ in range(100)]
        factory = self.server.factory
        factory._portal = interference.around(self.server.portal)
        factory._resolver = interference.around(self.server.resolver)
        factory._intake = interference.around(self.intake, "open")
        self.client = self.server.connect(secure=True)
        self.replies = [self.client.output().decode()]
        for command in commands:
            if self.client.ended() or self.is_waiting:
                break
            self.replies.append(self.client.say(command))

    @property
    def is_waiting(self) -> bool:
        """An answer is being held."""
        return self.interference.held is not None and not self.interference.held.called

    def leave(self) -> None:
        """The peer vanishes."""
        self.interference.stop()
        self.client.lose()


class InterferenceMixin:
    """What holds for every conversation."""

    settings: SmtpSettings
    commands: tuple[str, ...]

    def dialogue(self, interference: Interference) -> Dialogue:
        return Dialogue(interference, self.settings, self.commands)

    def check_replies(self, dialogue: Dialogue) -> None:
        """Each command has one reply, or the connection is at its end."""
        for command, reply in zip(dialogue.commands, dialogue.replies, strict=False):
            lines = reply.splitlines(keepends=True)
            ends = [line for line in lines if line[3:4] == " "]
            self.assertTrue(reply.endswith("\r\n"), (command, reply))
            is_last = dialogue.client.ended() and reply is dialogue.replies[-1]
            # Whoever refused DATA gets the text as commands, each of them answered.
            is_text = command.startswith("Subject:")
            self.assertTrue(len(ends) == 1 or is_last or is_text, (command, reply))
        self.assertTrue(dialogue.client.ended() or len(dialogue.replies) == len(dialogue.commands))

    def check_nothing_is_left(self, dialogue: Dialogue) -> None:
        """No timer, no staged message, no login; the next peer is served."""
        server = dialogue.server
        self.assertEqual(server.clock.getDelayedCalls(), [])
        self.assertEqual(server.factory.connections, 0)
        for message in dialogue.intake.messages:
            self.assertTrue(message.committed or message.aborted)
        self.assertEqual(server.portal.realm.logged_out, server.portal.realm.logged_in)
        again = server.connect(secure=True)
        self.assertEqual(again.output()[:4], b"220 ")
        self.assertTrue(again.say(*self.commands).endswith("221 2.0.0 mail.example closing connection\r\n"))
        again.lose()

    def test_every_call_fails_once(self) -> None:
        for error in (StoreUnavailable(), StorageFull(), DnsFailure(), KeyError("a defect")):
            for number, name in calls_of(self.dialogue):
                with self.subTest(error=error, number=number, name=name):
                    dialogue = self.dialogue(Interference((number, name), failing(error)))
                    self.check_replies(dialogue)
                    dialogue.leave()
                    self.check_nothing_is_left(dialogue)
                    defects = self.flushLoggedErrors()
                    self.assertEqual(len(defects), isinstance(error, KeyError))

    def test_the_peer_leaves_at_every_call(self) -> None:
        for number, name in calls_of(self.dialogue):
            for is_released in (True, False):
                with self.subTest(number=number, name=name, is_released=is_released):
                    dialogue = self.dialogue(Interference((number, name), held))
                    dialogue.leave()
                    committed = len(dialogue.intake.committed)
                    if name == "commit" or (is_released and name not in ("login", "write")):
                        # What was to become mail does so; the rest may be answered all the same.
                        dialogue.interference.release()
                    self.assertEqual(len(dialogue.intake.committed), committed + (name == "commit"))
                    self.check_nothing_is_left(dialogue)
                    self.assertEqual(self.flushLoggedErrors(), [])

    def test_every_call_is_called_off_once(self) -> None:
        for number, name in calls_of(self.dialogue):
            with self.subTest(number=number, name=name):
                dialogue = self.dialogue(Interference((number, name), held))
                assert dialogue.interference.held is not None
                dialogue.interference.held.cancel()
                reply = dialogue.client.output()
                self.assertTrue(reply.endswith(b"\r\n") or name == "write", (name, reply))
                dialogue.leave()
                self.check_nothing_is_left(dialogue)
                self.assertEqual(self.flushLoggedErrors(), [])


class MxInterferenceTests(InterferenceMixin, SynchronousTestCase):
    """A stranger."""

    settings = SmtpMxSettings()
    commands = ("EHLO client.example", *MESSAGE, "RSET", *MESSAGE, "QUIT")


class SubmissionInterferenceTests(InterferenceMixin, SynchronousTestCase):
    """A user."""

    settings = SubmissionSettings()
    commands = ("EHLO client.example", LOGIN, *MESSAGE, "NOOP", *MESSAGE, "QUIT")
