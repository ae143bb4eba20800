"""Logins that are in use here, and the look at the store that finds those whose rights have been taken away.

A password is set, or an account disabled or removed, by a command in another process, on another node, or here: the
store is the one place that all of them change, so the store is asked, and no notice between processes can be lost. One
short row says whether anything has changed at all; only then, and for logins that are new since the last look, accounts
are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.interfaces import IDirectory
from pymailsuite.periodic import PeriodicService
from pymailsuite.values import AccountId, LoginGrant

_ACCOUNTS_A_QUERY: Final = 500


@frozen(eq=False)
class _Login:
    """One login in use."""

    grant: LoginGrant
    ended: Callable[[], object]


class OpenLogins:
    """The logins in use in this process, by account."""

    log = Logger()

    def __init__(self) -> None:
        self._logins: dict[AccountId, set[_Login]] = {}
        self._new: set[AccountId] = set()

    def __len__(self) -> int:
        return sum(map(len, self._logins.values()))

    @property
    def accounts(self) -> list[AccountId]:
        """Those with a login in use."""
        return list(self._logins)

    def add(self, grant: LoginGrant, ended: Callable[[], object]) -> Callable[[], None]:
        """Call ``ended`` once when what was granted is taken away; answers how to stop."""
        login = _Login(grant, ended)
        self._logins.setdefault(grant.account_id, set()).add(login)
        # Proving a password takes a while, in which the account may have changed: it is looked at once in any case.
        self._new.add(grant.account_id)
        return lambda: self._forget(login)

    def take_new(self) -> list[AccountId]:
        """Accounts with a login that was not there when this was called the last time."""
        new, self._new = self._new, set()
        return [account_id for account_id in new if account_id in self._logins]

    def look_again(self, account_ids: Iterable[AccountId]) -> None:
        """What was taken could not be looked at."""
        self._new.update(account_ids)

    def end_others(self, account_ids: Iterable[AccountId], current: dict[AccountId, int]) -> None:
        """Of these accounts only what has the ``current`` epoch is good; all other logins end."""
        for account_id in account_ids:
            for login in list(self._logins.get(account_id, ())):
                if login.grant.epoch != current.get(account_id):
                    self._end(login)

    def _end(self, login: _Login) -> None:
        self._forget(login)
        self.log.info("{event} account={account_id}", event="auth.login_ended", account_id=login.grant.account_id)
        try:
            login.ended()
        except Exception:
            self.log.failure("{event}", event="auth.login_not_ended")

    def _forget(self, login: _Login) -> None:
        logins = self._logins.get(login.grant.account_id)
        if logins is not None:
            logins.discard(login)
            if not logins:
                del self._logins[login.grant.account_id]


class LoginWatch(PeriodicService):
    """Looks every ``interval_s`` seconds whether what was granted to the logins in use is good still."""

    log = Logger()
    failed_event = "auth.watch_failed"

    def __init__(self, logins: OpenLogins, directory: IDirectory, interval_s: float, clock: IReactorTime) -> None:
        super().__init__("login watch", interval_s, clock)
        self._logins = logins
        self._directory = directory
        self._seen: int | None = None

    async def once(self) -> None:
        """End the logins whose rights have been taken away."""
        logins = self._logins
        # Before the store is asked: a login that comes while it answers is looked at the next time.
        accounts, new = logins.accounts, logins.take_new()
        if not accounts:
            return
        try:
            latest = await self._look(new)
            if latest != self._seen:
                looked_at = set(new)
                await self._look([account_id for account_id in accounts if account_id not in looked_at])
        except BaseException:
            logins.look_again(new)
            raise
        self._seen = latest

    async def _look(self, account_ids: Sequence[AccountId]) -> int:
        """Look at these accounts; the latest epoch as it was before."""
        latest: int | None = None
        for start in range(0, max(len(account_ids), 1), _ACCOUNTS_A_QUERY):
            asked = account_ids[start : start + _ACCOUNTS_A_QUERY]
            epochs = await self._directory.login_epochs(asked)
            latest = epochs.latest if latest is None else latest
            self._logins.end_others(asked, dict(epochs.current))
        assert latest is not None, "asked at least once"
        return latest
