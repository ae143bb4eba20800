"""What the tests of logging in share: hashing that is counted, in threads that are not there."""

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock

from pymailsuite.auth import CheckerSurroundings, PasswordHashes, PasswordVerifier, StoreChecker
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.sasl import SaslPassword

CHEAP = {"argon2_time_cost": 1, "argon2_memory_kib": 8}
"""The least that argon2 allows."""


class InlineThreads:
    """Runs at once, or, while ``held``, when told to. ``ran`` lists the names of the functions that were run."""

    def __init__(self):
        self.ran = []
        self.failure = None
        self.held = False
        self._waiting = []

    def run(self, function, *args, **kwargs):
        if self.failure is not None:
            return fail(self.failure)
        self.ran.append(getattr(function, "func", function).__name__)
        if not self.held:
            return execute(function, *args, **kwargs)
        waiter = Deferred()
        self._waiting.append((waiter, function, args))
        return waiter

    def release(self):
        """Run what waits."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for waiter, function, args in waiting:
            execute(function, *args).chainDeferred(waiter)


class Surroundings:
    """A checker's world: settings with cheap hashes, a clock, counted threads."""

    def __init__(self, directory, **settings):
        self.settings = AuthSettings(**(CHEAP | settings))
        self.clock = Clock()
        self.threads = InlineThreads()
        self.hashes = PasswordHashes(self.settings)
        self.password_verifier = PasswordVerifier(self.settings, self.hashes, self.threads, self.clock)
        self.directory = directory
        self.all = CheckerSurroundings(self.settings, directory, self.password_verifier)

    def store_checker(self):
        return StoreChecker(self.settings, self.directory, self.password_verifier)


def credentials(name, password):
    """What a protocol hands to the portal."""
    return SaslPassword(name.encode(), password.encode())
