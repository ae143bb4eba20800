"""Each call that a conversation waits for fails once, or its client has gone by the time it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.policy import PolicySection
from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.interfaces.policy import Stage, Verdict
from tests.smtp.conversations import Server, WireConversation
from tests.support.logs import captured_logs
from tests.support.policies import chain_of, says

EHLO, MAIL = "EHLO client.example", "MAIL FROM:<a@client.example>"
RCPT = "RCPT TO:<alice@mail.example>"
ERRORS = (StoreUnavailable(), StorageFull(), KeyError("unexpected"))
STAGES = ("connect", "helo", "mail", "rcpt", "data", "message")


def once(target: Any, name: str, answer: Callable[[], Any]) -> None:
    """The next call of a method gives ``answer()``, and those after it what they always did."""
    usual = getattr(target, name)

    def called(*args: Any, **more: Any) -> Any:
        setattr(target, name, usual)
        return answer()

    setattr(target, name, called)


class FailureTests(SynchronousTestCase):
    """The reply is one of class 4, nothing is kept, and the next transaction is as if nothing had been."""

    def start(self, **more: Any) -> WireConversation:
        self.server = Server(SmtpMxSettings(), **more)
        conversation = self.server.connect()
        conversation.say(EHLO)
        return conversation

    def assert_fails_once(
        self, conversation: WireConversation, *, lines: tuple[str, ...] = (), error: Exception
    ) -> None:
        """A transaction goes wrong in one place, and the next one does not."""
        replies = conversation.say(*(lines or (MAIL, RCPT, "DATA", "one", ".", "RSET"))).splitlines()
        refused = [reply for reply in replies if reply[:1] not in "23"]
        self.assertEqual(refused[0][:3], "452" if isinstance(error, StorageFull) else "451", replies)
        self.assertNotIn("unexpected", " ".join(replies))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), isinstance(error, KeyError))
        kept = self.server.intake.committed
        self.assertEqual([one for one in self.server.intake.messages if not (one.aborted or one.committed)], [])
        replies = conversation.say("RSET", MAIL, RCPT, "DATA", "two", ".").splitlines()
        self.assertEqual([reply[:3] for reply in replies], ["250", "250", "250", "354", "250"])
        self.assertEqual(len(self.server.intake.committed), len(kept) + 1)
        self.assertEqual(self.server.intake.committed[-1].octets, b"two\r\n")
        self.assertFalse(conversation.ended())

    def test_where_a_recipients_mail_goes(self) -> None:
        for error in ERRORS:
            conversation = self.start()
            self.server.resolver.errors["bob@mail.example"] = error
            self.assert_fails_once(conversation, lines=(MAIL, "RCPT TO:<bob@mail.example>"), error=error)

    def test_the_door_for_a_message(self) -> None:
        def raised(error: Exception) -> Any:
            raise error

        for error in ERRORS:
            conversation = self.start()
            once(self.server.intake, "open", lambda error=error: raised(error))
            self.assert_fails_once(conversation, lines=(MAIL, RCPT, "DATA"), error=error)

    def test_octets_on_their_way_to_the_store(self) -> None:
        for error in ERRORS:
            for raises in (False, True):
                conversation = self.start()
                conversation.say(MAIL, RCPT, "DATA")
                message = self.server.intake.messages[-1]
                message.write = self.answer(error, raises)  # type: ignore[method-assign]
                self.assert_fails_once(conversation, lines=("one", "two", "."), error=error)
                self.assertTrue(message.aborted)

    def answer(self, error: Exception, raises: bool) -> Any:
        def given(*args: Any, **more: Any) -> Any:
            if raises:
                raise error
            return fail(error)

        return given

    def test_what_policies_are_told_of_a_message_and_its_acceptance(self) -> None:
        for error in ERRORS:
            for name, raises in (("received", True), ("commit", True), ("commit", False)):
                conversation = self.start(policies=chain_of(says("late", message=Verdict())))
                conversation.say(MAIL, RCPT, "DATA")
                message = self.server.intake.messages[-1]
                setattr(message, name, self.answer(error, raises))
                conversation.say("one")
                replies = conversation.say(".")
                self.assertEqual(replies[:3], "452" if isinstance(error, StorageFull) else "451")
                self.assertTrue(message.aborted)
                self.flushLoggedErrors(KeyError)
                replies = conversation.say(MAIL, RCPT, "DATA", "two", ".")
                self.assertEqual([line[:3] for line in replies.splitlines()], ["250", "250", "354", "250"])

    def test_policies_at_every_stage(self) -> None:
        for error in ERRORS:
            for stage in STAGES[2:]:
                chain = chain_of(says("some", **{stage: Verdict()}))
                conversation = self.start(policies=chain)
                once(chain, "check", lambda error=error: fail(error))
                self.assert_fails_once(conversation, error=error)

    def test_a_login(self) -> None:
        for error in (StoreUnavailable(), KeyError("unexpected")):
            self.server = Server(SubmissionSettings())
            conversation = self.server.connect(secure=True)
            conversation.say(EHLO)
            once(self.server.portal, "login", lambda error=error: fail(error))
            command = "AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ="
            self.assertEqual(conversation.say(command)[:3], "454")
            self.flushLoggedErrors()
            self.assertEqual(conversation.say(command)[:3], "235")


class AbsenceTests(SynchronousTestCase):
    """The client leaves while somebody is asked: that is called off, and nothing is done for nobody."""

    def asking(self, stage: str, answer: Any) -> WireConversation:
        """A conversation in which policies are being asked at this stage; another policy waits for their answer."""
        self.later: list[Stage] = []

        def also(transaction: Any) -> Verdict:
            self.later.append(transaction.stage)
            return Verdict()

        first = says("first", **{stage: answer})
        second = says("second", ["first"], **dict.fromkeys(STAGES[STAGES.index(stage) :], also))
        sections = {"first": PolicySection(at_once=True), "second": PolicySection(at_once=True)}
        server = Server(policies=None)
        chain = chain_of(first, second, clock=server.clock, sections=sections)
        self.server = Server(policies=chain, clock=server.clock)
        conversation = self.server.connect()
        conversation.say(EHLO, MAIL, RCPT, "DATA", "text", ".", "NOOP")
        return conversation

    def leave(self, conversation: WireConversation) -> list[Any]:
        with captured_logs() as events:
            conversation.protocol.connectionLost(Failure(ConnectionDone()))
        return events

    def test_policies_are_called_off_with_their_client(self) -> None:
        for stage in STAGES:
            called_off: list[Deferred[Verdict]] = []
            conversation = self.asking(stage, Deferred(called_off.append))
            self.assertEqual(called_off, [])
            events = self.leave(conversation)
            self.assertEqual((len(called_off), self.later), (1, []))
            self.assertEqual([event for event in events if event.get("log_failure")], [])
            self.assertEqual(self.server.intake.committed, [])
            self.assertEqual([one for one in self.server.intake.messages if not one.aborted], [])
            self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_an_answer_that_cannot_be_called_off_changes_nothing(self) -> None:
        for stage in STAGES:
            stubborn: Deferred[Verdict] = Deferred(lambda deferred: deferred.callback(Verdict()))
            conversation = self.asking(stage, stubborn)
            events = self.leave(conversation)
            self.assertEqual([event for event in events if event.get("log_failure")], [])
            self.assertEqual((self.later, self.server.intake.committed), ([], []))
            self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_octets_that_are_stored_too_late_are_dropped(self) -> None:
        self.server = Server()
        for late in (lambda slow: slow.callback(None), lambda slow: slow.errback(StoreUnavailable())):
            conversation = self.server.connect()
            conversation.say(EHLO, MAIL, RCPT, "DATA")
            slow: Deferred[None] = Deferred()
            self.server.intake.write_answers = [slow]
            conversation.say("one", ".", "NOOP")
            self.leave(conversation)
            late(slow)
            self.assertTrue(self.server.intake.messages[-1].aborted)
        self.assertEqual((self.server.intake.committed, self.server.clock.getDelayedCalls()), ([], []))

    def test_a_recipient_that_is_found_too_late_is_asked_nobody_about(self) -> None:
        asked: list[Stage] = []
        chain = chain_of(says("some", rcpt=lambda transaction: asked.append(transaction.stage) or Verdict()))
        self.server = Server(policies=chain)
        conversation = self.server.connect()
        conversation.say(EHLO, MAIL)
        self.server.resolver.held = []
        conversation.say(RCPT, "DATA")
        self.leave(conversation)
        self.server.resolver.release()
        self.assertEqual((asked, self.server.intake.messages), ([], []))
