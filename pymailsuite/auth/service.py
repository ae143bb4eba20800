"""Logging in as a part of the running server: the portal, and the threads behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred

from pymailsuite.auth.factories import CheckerSurroundings, make_checkers
from pymailsuite.auth.login_queue import LoginQueue
from pymailsuite.auth.logins import OpenLogins
from pymailsuite.auth.password_verifier import PasswordVerifier
from pymailsuite.auth.passwords import PasswordHashes
from pymailsuite.auth.realm import make_portal
from pymailsuite.auth.threads import HashingThreads
from pymailsuite.auth.throttle import LoginThrottle
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.interfaces import IMailStore


class AuthService(Service):
    """Runs the hashing threads; ``portal`` is what the protocols log in to, ``logins`` those that are in use.

    ``further_checkers`` are asked after those of the settings; ``throttle`` None: nothing limits guesses. ConfigError
    if the settings name an unknown checker.
    """

    def __init__(
        self,
        settings: AuthSettings,
        store: IMailStore,
        reactor: Any,
        further_checkers: Iterable[ICredentialsChecker] = (),
        throttle: LoginThrottle | None = None,
    ) -> None:
        self.setName("auth")  # type: ignore[no-untyped-call]
        self._threads = HashingThreads(reactor, settings.hash_threads, settings.hash_backlog)
        self.hashes: Final = PasswordHashes(settings)
        self.logins: Final = OpenLogins()
        password_verifier = PasswordVerifier(settings, self.hashes, self._threads, reactor)
        surroundings = CheckerSurroundings(settings, store.directory, password_verifier)
        self.portal: Final[Portal] = make_portal(
            settings,
            store,
            make_checkers(surroundings, further_checkers),
            None if throttle is None else (throttle, self._make_login_queue(settings)),
            self.logins,
        )

    def _make_login_queue(self, settings: AuthSettings) -> LoginQueue:
        # While the password of one is hashed, the next is looked for in the store.
        return LoginQueue(2 * self._threads.size, settings.hash_backlog, settings.waiting_per_client)

    def hash_password(self, password: str) -> Deferred[str]:
        """A hash to store for a new password, made in a hashing thread."""
        return self._threads.run(self.hashes.hash, password)

    def startService(self) -> None:
        """Start the threads."""
        super().startService()  # type: ignore[no-untyped-call]
        self._threads.start()

    def stopService(self) -> Deferred[None]:
        """End the threads once they have done what was asked."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._threads.stop()
