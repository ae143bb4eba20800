"""The composition, in this process: what is started when, and what is stopped."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.loader import settings_from
from pymailsuite.errors import ConfigError, StoreUnavailable
from pymailsuite.server.logs import Descriptor, log_observer
from pymailsuite.server.service import MailService


class MailServiceTests(TestCase):
    """A whole server on ports the system chose, its store in memory."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.ready: Deferred[None] = Deferred()
        self.failures: list[Failure] = []

    def service(self, **sections: Any) -> MailService:
        tables: dict[str, Any] = {
            "server": {
                "hostname": "mail.example.test",
                "domains": ["example.test", "example.org"],
                "data_dir": "data",
            },
            "listeners": {
                service: ["tcp:0:interface=127.0.0.1"]
                for service in ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
            },
            "store": {"url": "sqlite://"},
        }
        settings = settings_from(tables | sections, self.folder / "mail.toml")
        return MailService(settings, reactor, on_ready=lambda: self.ready.callback(None), on_failure=self.failed)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.ready.callback(None)

    async def test_it_serves_every_listener_and_stops(self) -> None:
        service = self.service()
        verifyObject(IService, service)
        service.privilegedStartService()
        service.startService()
        await self.ready
        self.assertEqual(
            [name for name, _ in service.listeners.ports()],
            ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"],
        )
        self.assertTrue(all(child.running for child in service))
        await service.stopService()
        self.assertEqual(service.listeners.ports(), [])
        self.assertFalse(any(child.running for child in service))

    async def test_the_domains_of_the_settings_are_in_the_store(self) -> None:
        service = self.service()
        service.privilegedStartService()
        service.startService()
        await self.ready
        domains = await service.store.directory.domains()
        self.assertEqual([domain.name for domain in domains], ["example.org", "example.test"])
        await service.stopService()

    def test_what_policies_have_to_run_runs_with_the_server(self) -> None:
        self.assertIn("lists", [child.name for child in self.service()])
        without = self.service(lists={"action": "off"})
        self.assertNotIn("lists", [child.name for child in without])

    def test_all_that_sign_have_their_keys_from_one_ring(self) -> None:
        service = self.service()
        assert service.checks is not None and service.checks.policies is not None
        (policy,) = [one.policy for one in service.checks.policies.installed if one.policy.name == "dkim_sign"]
        assert service.mail_flow is not None
        self.assertIs(policy._ring, service.mail_flow.key_ring)
        unsigned = self.service(dkim_sign={"action": "off"}).mail_flow
        assert unsigned is not None
        self.assertIsNone(unsigned.key_ring)

    async def test_it_can_be_stopped_before_it_is_ready(self) -> None:
        service = self.service(store={"url": ""})
        service.privilegedStartService()
        service.startService()
        await service.stopService()
        self.assertEqual(service.listeners.ports(), [])

    async def test_what_kept_the_store_from_opening_is_reported_and_stopping_is_clean(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        (data / "store.sqlite").write_bytes(b"no database" * 1000)
        service = self.service(store={"url": ""})
        service.privilegedStartService()
        with capturedLogs() as logs:
            service.startService()
            await self.ready
            await service.stopService()
        self.assertEqual([failure.type for failure in self.failures], [StoreUnavailable])
        (told,) = [event for event in logs if event.get("event") == "server.start_failed"]
        self.assertIn("file is not a database", told["reason"])

    def test_a_store_there_is_not_is_a_fault_of_the_settings(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"^store\.url: "):
            self.service(store={"url": "oracle://"})

    def test_a_checker_there_is_not_is_a_fault_of_the_settings(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"^auth\.checkers: "):
            self.service(auth={"checkers": ["nonsense"]})

    def test_an_application_takes_its_log_observer_from_the_service(self) -> None:
        service = self.service()
        observer = log_observer(service.settings.log, Descriptor())
        service._log_observer = observer
        application = Application("test")
        service.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
