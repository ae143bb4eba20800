"""Slows down and refuses clients that guess passwords, the same for every protocol and on every node.

Three things are counted, each in a window of its own: wrong logins of an address for a name, of an address for any
name, and for a name from anywhere. The first two lead to refusals, for the guessing address alone; the third only makes
logins wait, since otherwise a stranger could lock an account. Whether there is an account of that name plays no part. A
name counts in one form, however it was written.

An attempt is counted before its password is looked at, and what was right is taken back, so that many at once are no
more tries than many one after the other. Passwords are proved in turns (``auth.login_queue``); one that was right from
the same address before is a try of nobody's, and is proved at once: that costs one read, and no write.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from attrs import evolve, field, frozen
from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.auth.attempts import AttemptCounts
from pymailsuite.auth.checkers import password_of
from pymailsuite.auth.login_queue import LoginQueue, QueuedLogin
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.directory.names import login_key
from pymailsuite.errors import LoginRefused, MailError, TooManyFailedLogins
from pymailsuite.interfaces import IStateStore, StateKey
from pymailsuite.memory import ExpiringMemory
from pymailsuite.values import Peer
from pymailsuite.wire.addresses import address_key

T = TypeVar("T")

_PAIR: Final = "login.pair"
_ADDRESS: Final = "login.address"
_NAME: Final = "login.name"


@frozen
class Attempt:
    """A login as it is counted: who asks, by address (IPv6: its /64), and for which name.

    ``account`` is what that counts as; it is found out once the login's turn has come, and makes no other attempt.
    """

    client: str
    name: str
    exempt: bool = False
    account: str = field(default="", eq=False)

    @classmethod
    def of(cls, name: str, ip: str, exempt: bool = False) -> Attempt:
        """``name`` is its :func:`login_key`."""
        return cls(address_key(ip) or ip, name, exempt, name)

    @property
    def pair(self) -> StateKey:
        """This name from this address."""
        return StateKey(_PAIR, f"{self.client} {self.account}")

    @property
    def address(self) -> StateKey:
        """Any name from this address."""
        return StateKey(_ADDRESS, self.client)

    @property
    def anywhere(self) -> StateKey:
        """This name from any address."""
        return StateKey(_NAME, self.account)

    @property
    def keys(self) -> Sequence[StateKey]:
        """All that it counts for."""
        return self.pair, self.address, self.anywhere

    @property
    def queue(self) -> str:
        """The client among whose logins it waits. Behind an exempt address one client logs in for many users: each
        login waits by itself."""
        return f"{self.client} {self.name}" if self.exempt else self.client


@frozen
class Reservation:
    """An attempt that was counted before its password was checked.

    ``attacked``: the name is under attack, and this login has to wait; ``failed_before``: the same address has been
    wrong for this name before.
    """

    attempt: Attempt
    attacked: bool
    failed_before: bool


class LoginThrottle:
    """The counts, and what follows from them."""

    _log = Logger()

    def __init__(
        self,
        settings: ThrottleSettings,
        counts: IStateStore | None,
        clock: IReactorTime,
        account_of: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        """``counts`` None: this process counts for itself. ``account_of`` says which account a name leads to; by
        default each is one of its own."""
        self._account_of = account_of
        self._settings = settings
        self._counts = AttemptCounts(counts, clock, settings.remembered)
        self._clock = clock
        self._secret = os.urandom(hashlib.blake2b.MAX_KEY_SIZE)
        self._proved: ExpiringMemory[Attempt, tuple[bytes, str]] = ExpiringMemory(clock, settings.remembered)

    def is_exempt(self, ip: str) -> bool:
        """Whether logins of this address are neither counted nor judged; so it is for a UNIX socket, which has none."""
        try:
            address = ip_address(ip)
        except ValueError:
            return True
        return any(address in network for network in self._settings.exempt_networks)

    def is_proved(self, attempt: Attempt, password: bytes) -> bool:
        """Whether this very password was right before for this name from this address."""
        known = self._proved.get(attempt)
        return known is not None and hmac.compare_digest(known[0], self._digest(attempt, password))

    async def resolved(self, attempt: Attempt) -> Attempt:
        """With the account that it counts for."""
        known = self._proved.get(attempt)
        if known is not None:
            return evolve(attempt, account=known[1])
        try:
            return (
                attempt if self._account_of is None else evolve(attempt, account=await self._account_of(attempt.name))
            )
        except MailError as error:
            # Whoever cannot read names cannot read passwords either: nothing can be guessed now.
            self._log.warn("{event}: {reason}", event="auth.name_unresolved", reason=str(error))
            return attempt

    async def check(self, attempt: Attempt) -> None:
        """TooManyFailedLogins if the address has failed too often; nothing is counted."""
        self._refuse_beyond(attempt, await self._counts.totals(attempt.keys), 0)

    async def reserve(self, attempt: Attempt) -> Reservation:
        """Count the attempt as wrong until it is known better. TooManyFailedLogins: then nothing is counted."""
        settings = self._settings
        try:
            totals = await self._counts.add(attempt.keys, settings.window)
            self._refuse_beyond(attempt, totals, 1)
        except (TooManyFailedLogins, CancelledError):
            # Called off, it has been counted all the same, and nobody will look at the password.
            self._counts.take_back(attempt.keys)
            raise
        attacked = 0 < settings.slow_after < totals[attempt.anywhere] and self._proved.get(attempt) is None
        return Reservation(attempt, attacked, failed_before=totals[attempt.pair] > 1)

    def _refuse_beyond(self, attempt: Attempt, totals: dict[StateKey, int], own: int) -> None:
        for key, limit in (
            (attempt.pair, self._settings.failures_per_login),
            (attempt.address, self._settings.failures_per_address),
        ):
            others = totals[key] - own
            if limit and others >= limit:
                raise TooManyFailedLogins(cause=f"{others} wrong logins: {key.namespace} {key.name}")

    def slowed(self) -> Deferred[None]:
        """The wait of a login whose name is under attack."""
        return deferLater(self._clock, self._settings.slow_down)

    async def failed(self, attempt: Attempt, reservation: Reservation | None) -> None:
        """The password was wrong; without a reservation it was taken to be right, and is counted now."""
        self._proved.forget(attempt)
        if reservation is None and not attempt.exempt:
            await self._counts.add(attempt.keys, self._settings.window)

    def unjudged(self, reservation: Reservation) -> None:
        """No checker could decide whether it was right."""
        self._counts.take_back(reservation.attempt.keys)

    def succeeded(self, attempt: Attempt, password: bytes, reservation: Reservation | None) -> None:
        """The password was right: a client that knows it and mistyped it before is not guessing."""
        self._proved.put(attempt, (self._digest(attempt, password), attempt.account))
        if reservation is None:
            return
        if reservation.failed_before:
            self._counts.forget([attempt.pair])
        self._counts.take_back(attempt.keys)

    def _digest(self, attempt: Attempt, password: bytes) -> bytes:
        name = f"{attempt.client} {attempt.name}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(name, key=self._secret).digest()
        return hashlib.blake2b(password, key=key, digest_size=32).digest()


class ThrottledPortal(Portal):
    """A portal whose logins have turns, and are throttled where ``mind`` tells where they come from (a Peer)."""

    _log = Logger()

    def __init__(
        self, realm: Any, checkers: Any, throttle: LoginThrottle, turns: LoginQueue, default_domain: str
    ) -> None:
        super().__init__(realm, checkers)
        self._throttle = throttle
        self._default_domain = default_domain
        self._turns = turns

    def login(self, credentials: Any, mind: Any, *interfaces: Any) -> Deferred[Any]:
        """As :meth:`Portal.login`; TooManyFailedLogins without asking a checker after too many wrong logins.
        TooManyLogins if too many wait. Cancelled while it waits, it reaches no checker; cancelled later, its outcome is
        still counted.
        """
        ip = mind.ip if isinstance(mind, Peer) else ""
        attempt = Attempt.of(self._name(credentials), ip, self._throttle.is_exempt(ip))
        return Deferred.fromCoroutine(
            self._log_in(
                attempt,
                password_of(credentials),
                lambda: super(ThrottledPortal, self).login(credentials, mind, *interfaces),
            )
        )

    async def _log_in(self, attempt: Attempt, password: bytes, ask: Callable[[], Deferred[Any]]) -> Any:
        throttle = self._throttle
        reservation: Reservation | None = None
        turn: QueuedLogin | None = None
        if not throttle.is_proved(attempt, password):
            turn = await self._turns.take(attempt.queue, attempt.name)
        try:
            # Another login, for which this one had to wait, may have shown it meanwhile.
            if turn is not None and throttle.is_proved(attempt, password):
                self._turns.end(turn)
                turn = None
            if not attempt.exempt:
                attempt = await throttle.resolved(attempt)
            if turn is None:
                await self._check(attempt)
            elif not attempt.exempt:
                reservation = await self._reserve(attempt)
                if reservation.attacked:
                    # Nobody else is to wait for this one.
                    self._turns.end(turn)
                    turn = None
                    await throttle.slowed()
                    turn = await self._turns.take(attempt.queue, attempt.name)
        except BaseException:
            if turn is not None:
                self._turns.end(turn)
            if reservation is not None:
                throttle.unjudged(reservation)
            raise
        return await _though_left(self._ask(attempt, password, ask, reservation, turn))

    def login_elsewhere(self, credentials: Any, mind: Any, ask: Callable[[], Awaitable[Any]]) -> Deferred[Any]:
        """As :meth:`login`, where ``ask`` has another server prove the password, and answers as a portal does.

        It waits for nothing of ours but the answer, so that it takes no turn: a server that is away would keep all
        others waiting.
        """
        ip = mind.ip if isinstance(mind, Peer) else ""
        attempt = Attempt.of(self._name(credentials), ip, self._throttle.is_exempt(ip))
        return Deferred.fromCoroutine(self._log_in_elsewhere(attempt, password_of(credentials), ask))

    async def _log_in_elsewhere(self, attempt: Attempt, password: bytes, ask: Callable[[], Awaitable[Any]]) -> Any:
        throttle = self._throttle
        reservation: Reservation | None = None
        if throttle.is_proved(attempt, password):
            await self._check(attempt)
        elif not attempt.exempt:
            reservation = await self._reserve(attempt)
            if reservation.attacked:
                try:
                    await throttle.slowed()
                except BaseException:
                    throttle.unjudged(reservation)
                    raise
        return await _though_left(self._ask(attempt, password, ask, reservation, None))

    async def _ask(
        self,
        attempt: Attempt,
        password: bytes,
        ask: Callable[[], Awaitable[Any]],
        reservation: Reservation | None,
        turn: QueuedLogin | None,
    ) -> Any:
        throttle = self._throttle
        try:
            answer = await ask()
            throttle.succeeded(attempt, password, reservation)
        except (LoginRefused, LoginFailed):
            await throttle.failed(attempt, reservation)
            raise
        except BaseException:
            if reservation is not None:
                throttle.unjudged(reservation)
            raise
        finally:
            if turn is not None:
                self._turns.end(turn)
        return answer

    async def _check(self, attempt: Attempt) -> None:
        if not attempt.exempt:
            await self._noted(self._throttle.check(attempt))

    async def _reserve(self, attempt: Attempt) -> Reservation:
        return await self._noted(self._throttle.reserve(attempt))

    async def _noted(self, judging: Coroutine[Any, Any, T]) -> T:
        try:
            return await judging
        except TooManyFailedLogins as error:
            self._log.info("{event} {attempt}", event="auth.throttled", attempt=error.cause)
            raise

    def _name(self, credentials: Any) -> str:
        name: bytes | str = getattr(credentials, "username", "")
        text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
        return login_key(text, self._default_domain)


def login_elsewhere(
    portal: Portal, credentials: Any, mind: Any, ask: Callable[[], Awaitable[tuple[Any, Any, Any]]]
) -> Awaitable[tuple[Any, Any, Any]]:
    """A login whose password another server proves, throttled as those of ``portal`` are."""
    return portal.login_elsewhere(credentials, mind, ask) if isinstance(portal, ThrottledPortal) else ask()


def _though_left(asking: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """What ``asking`` answers. Cancelled, it goes on, for its outcome counts; a login that comes of it is ended."""
    waiting: Deferred[Any] = Deferred()

    def answered(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif not isinstance(result, Failure):
            _, _, log_out = result
            log_out()

    Deferred.fromCoroutine(asking).addBoth(answered)
    return waiting
