"""Real threads, the one place they are used."""

import threading

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from pymailsuite.auth import AuthService, HashingThreads, PasswordHashes
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces import IImapAvatar
from tests.auth.support import CHEAP, credentials
from tests.auth.test_factories import Store
from tests.support.directory import MemoryDirectory


class BacklogTests(SynchronousTestCase):
    def test_more_than_the_backlog_is_told_to_come_again(self):
        threads = HashingThreads(reactor, size=1, backlog=2)
        waiting = [threads.run(int) for _ in range(3)]
        self.failureResultOf(threads.run(int), TemporaryFailure)
        for waiter in waiting:
            self.assertNoResult(waiter)


class AuthServiceTests(TestCase):
    async def test_passwords_are_hashed_outside_the_reactor_thread(self):
        settings = AuthSettings(**CHEAP, hash_threads=1)
        directory = MemoryDirectory()
        service = AuthService(settings, Store(directory), reactor)
        service.startService()
        self.addCleanup(service.stopService)
        directory.with_account("alice@mail.example", await service.hash_password("wonderland"))
        seen = []

        def verify(hashes, stored, password):
            seen.append(threading.current_thread() is threading.main_thread())
            return real(hashes, stored, password)

        real = PasswordHashes.verify
        self.patch(PasswordHashes, "verify", verify)
        given = credentials("alice@mail.example", "wonderland")
        logins = await gatherResults([service.portal.login(given, None, IImapAvatar) for _ in range(5)])
        self.assertEqual({avatar.account.login_name for _, avatar, _ in logins}, {"alice@mail.example"})
        self.assertEqual(seen, [False])
