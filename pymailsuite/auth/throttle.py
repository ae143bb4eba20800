"""Slows down and refuses those who guess passwords, the same for every protocol and on every node.

Three things are counted, each in a window of its own: wrong logins of an address for a name, of an address for any
name, and for a name from anywhere. The first two refuse, and hit nobody but the address that guessed; the third only
makes logins wait, for otherwise a stranger could lock an account. Whether there is an account of that name plays no
part. A login that is refused here costs one read; one that succeeds costs no write unless one before it failed.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from attrs import frozen
from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.directory.names import canonical_login
from pymailsuite.errors import LoginRefused, MailError, TooManyFailedLogins
from pymailsuite.interfaces import CountKey, ISharedCounts
from pymailsuite.values import Peer
from pymailsuite.wire.addresses import address_key

_PAIR: Final = "login.pair"
_ADDRESS: Final = "login.address"
_NAME: Final = "login.name"


@frozen
class Attempt:
    """A login as it is counted."""

    pair: CountKey
    address: CountKey
    name: CountKey

    @classmethod
    def of(cls, name: str, ip: str) -> Attempt:
        """``name`` in its canonical form; ``ip`` of an IPv6 peer counts as its /64."""
        network = address_key(ip) or ip
        return cls(CountKey(_PAIR, f"{network} {name}"), CountKey(_ADDRESS, network), CountKey(_NAME, name))


class LoginThrottle:
    """The counts, and what follows from them."""

    _log = Logger()

    def __init__(self, settings: ThrottleSettings, counts: ISharedCounts, clock: IReactorTime) -> None:
        self._settings = settings
        self._counts = counts
        self._clock = clock
        self._proved: dict[CountKey, None] = {}

    def is_exempt(self, ip: str) -> bool:
        """Whether logins of this address are neither counted nor judged; so it is for a UNIX socket, which has none."""
        try:
            address = ip_address(ip)
        except ValueError:
            return True
        return any(address in network for network in self._settings.exempt_networks)

    async def admit(self, attempt: Attempt) -> bool:
        """Wait if the name is under attack; TooManyFailedLogins if the address has failed too often.

        Answers whether there is a failure to forget when this attempt succeeds.
        """
        settings = self._settings
        counts = await self._counts.counted([attempt.pair, attempt.address, attempt.name])
        for key, limit in (
            (attempt.pair, settings.failures_per_login),
            (attempt.address, settings.failures_per_address),
        ):
            if limit and key in counts and counts[key].total >= limit:
                raise TooManyFailedLogins(cause=f"{counts[key].total} wrong logins: {key.kind} {key.name}")
        if (
            settings.slow_after
            and attempt.name in counts
            and counts[attempt.name].total >= settings.slow_after
            and attempt.pair not in self._proved
        ):
            await deferLater(self._clock, settings.slow_down)
        return attempt.pair in counts

    async def failed(self, attempt: Attempt) -> None:
        """One more wrong login. What the store cannot take is logged: the login is refused all the same."""
        self._proved.pop(attempt.pair, None)
        try:
            await self._counts.add([attempt.pair, attempt.address, attempt.name], self._settings.window)
        except CancelledError:
            raise
        except MailError as error:
            self._log.warn("{event}: {reason}", event="auth.failure_not_counted", reason=str(error))

    async def succeeded(self, attempt: Attempt, failed_before: bool) -> None:
        """The password was right: whoever knows it and mistyped it is no guesser."""
        self._proved.pop(attempt.pair, None)
        while self._proved and len(self._proved) >= self._settings.remembered:
            del self._proved[next(iter(self._proved))]
        if self._settings.remembered:
            self._proved[attempt.pair] = None
        if failed_before:
            try:
                await self._counts.forget([attempt.pair])
            except CancelledError:
                raise
            except MailError as error:
                self._log.warn("{event}: {reason}", event="auth.failures_not_forgotten", reason=str(error))


class ThrottledPortal(Portal):
    """A portal whose logins are throttled where ``mind`` tells where they come from (a Peer)."""

    _log = Logger()

    def __init__(self, realm: Any, checkers: Any, throttle: LoginThrottle, default_domain: str) -> None:
        super().__init__(realm, checkers)
        self._throttle = throttle
        self._default_domain = default_domain

    def login(self, credentials: Any, mind: Any, *interfaces: Any) -> Deferred[Any]:
        """As :meth:`Portal.login`; TooManyFailedLogins without asking anybody if it was wrong too often."""
        if not isinstance(mind, Peer) or self._throttle.is_exempt(mind.ip):
            return super().login(credentials, mind, *interfaces)
        attempt = Attempt.of(self._name(credentials), mind.ip)
        return Deferred.fromCoroutine(
            self._log_in(attempt, lambda: super(ThrottledPortal, self).login(credentials, mind, *interfaces))
        )

    async def _log_in(self, attempt: Attempt, ask: Callable[[], Deferred[Any]]) -> Any:
        try:
            failed_before = await self._throttle.admit(attempt)
        except TooManyFailedLogins as error:
            self._log.info("{event} {attempt}", event="auth.throttled", attempt=error.cause)
            raise
        try:
            answer = await ask()
        except (LoginRefused, LoginFailed):
            await self._throttle.failed(attempt)
            raise
        await self._throttle.succeeded(attempt, failed_before)
        return answer

    def _name(self, credentials: Any) -> str:
        name: bytes | str = getattr(credentials, "username", "")
        text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
        return canonical_login(text, self._default_domain)
