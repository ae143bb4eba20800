"""An outside delivery step: mail of lists goes into mailboxes named after them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.loader import settings_from
from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPaths
from pymailsuite.interfaces import Column
from pymailsuite.values import ALL_UIDS, content_id_of
from tests.smtp.conversations import HOST, Server
from tests.support.logs import captured_logs
from tests.support.stores import make_account, make_store
from tests.support.wheels import installed

LIST = "house.lists.example.test"
MAIL = b"List-Id: The house <House.lists.example.test>\r\nSubject: x\r\n\r\nHello\r\n.\r\n"


class DeliveryStepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        self.ann = make_account(self.store, "ann@mail.example").account_id
        self.mail = self.store.account_mail(self.ann)
        self.successResultOf(self.mail.create_mailbox(f"Lists/{LIST}", None))

    def serve(self) -> None:
        """SMTP on a store in memory, with the steps that are installed."""
        server = {"hostname": HOST, "domains": ["mail.example"], "data_dir": "/nowhere"}
        delivery = {"plugins": {"list_folders": {}}}
        settings = settings_from({"server": server, "delivery": delivery}, Path("mail.toml"))
        recipients = RecipientResolver(settings.directory, self.store.directory, self.clock)
        paths = ReturnPaths(settings.forwarding, settings.bounce_tags, self.store.secrets, self.clock)
        planner = make_planner(settings, self.store, self.clock, recipients, paths)
        history = HistoryRecorder(settings.history, self.store.history, self.clock)
        intake = MessageIntake(self.store, settings.delivery, planner, HOST, self.clock, history=history)
        self.timeout_s = settings.delivery.step_timeout
        self.smtp = Server(clock=self.clock, resolver=recipients, intake=intake).connect()
        self.smtp.say("EHLO client.example")

    def send(self, octets: bytes = MAIL) -> str:
        self.smtp.say("MAIL FROM:<house@lists.example>", "RCPT TO:<ann@mail.example>", "DATA")
        self.smtp.receive(octets)
        return self.smtp.output().decode()

    def count(self, name: str) -> int:
        mailbox = self.successResultOf(self.mail.mailbox(name))
        return len(self.successResultOf(self.mail.read_messages(mailbox.mailbox_id, ALL_UIDS, (Column.UID,), list)))

    def test_a_copy_lands_where_the_step_says_and_the_history_tells_why(self) -> None:
        with installed("delivery_step"):
            self.serve()
            queue_id = self.send().split()[2]
            self.assertEqual(self.send(MAIL.replace(b"List-Id", b"X-Id"))[:3], "250")
        self.assertEqual((self.count(f"Lists/{LIST}"), self.count("INBOX")), (1, 1))
        story = self.successResultOf(self.store.history.story(content_id_of(queue_id)))
        (told,) = json.loads(story.entries[0].facts)["steps"]
        self.assertEqual((told["step"], told["did"], told["why"]), ("list_folders", "placed", "it has a List-Id"))

    def test_mail_stays_in_the_inbox_if_the_step_raises_or_never_answers_and_the_log_names_it(self) -> None:
        def raises(self: Any, *_: Any) -> Any:
            raise KeyError("defect")

        def hangs(self: Any, *_: Any) -> Any:
            return Deferred()

        with installed("delivery_step"):
            package = importlib.import_module("list_folders")
            for number, decide in enumerate((raises, hangs), 1):
                self.patch(package.ListFolders, "decide", decide)
                self.serve()
                with captured_logs() as events:
                    reply = self.send()
                    if decide is hangs:
                        self.assertEqual(reply, "")
                        self.clock.advance(self.timeout_s)
                        reply = self.smtp.output().decode()
                self.assertEqual((reply[:3], self.count("INBOX")), ("250", number))
                named = [one["step"] for one in events if one.get("event") == "delivery.step_failed"]
                self.assertEqual(named, ["list_folders"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
