"""The addresses that a user may send as.

The address of the account needs no look-up. Other permitted addresses are remembered for a few seconds, as resolved
addresses are; refused ones are looked up each time, so that a grant is effective at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.routes import Route, Routes, key_of
from pymailsuite.errors import NoSuchUser
from pymailsuite.interfaces import IDirectory
from pymailsuite.interfaces.send_as import ISendAsStore, ISenderRights, SendAsGrant
from pymailsuite.memory import ExpiringMemory
from pymailsuite.values import Address

_Key = tuple[str, str]


def grant_of(address: Address) -> SendAsGrant:
    """The grant of an address, or with an empty local part of a domain, in the form in which grants are kept."""
    local_part, domain = key_of(address)
    return SendAsGrant(domain, local_part)


@implementer(ISenderRights)
class SenderRights:
    """Asks ``directory`` and ``grants``; remembers by ``clock`` what is allowed.

    A catch-all, a role that nobody has set up, and a lookup table give no right to send as the addresses that lead
    there by them: a grant does.
    """

    def __init__(
        self, settings: DirectorySettings, directory: IDirectory, grants: ISendAsStore, clock: IReactorTime
    ) -> None:
        self._settings = settings
        self._routes = Routes(settings, directory)
        self._grants = grants
        self._clock = clock
        self._allowed: ExpiringMemory[tuple[str, _Key], bool] = ExpiringMemory(clock, settings.cache_entries)

    def not_allowed(self, login_name: str, addresses: Sequence[Address]) -> Deferred[Address | None]:
        own = _own_key(login_name)
        asked = [address for address in addresses if not self._is_known(login_name, own, key_of(address))]
        return Deferred.fromCoroutine(self._first_refused(login_name, own, asked)) if asked else succeed(None)

    def _is_known(self, login_name: str, own: _Key, key: _Key) -> bool:
        return key == own or self._allowed.get((login_name, key)) is True

    async def _first_refused(self, login_name: str, own: _Key, addresses: Sequence[Address]) -> Address | None:
        # What is true now is not known to be true any later than this.
        until = self._clock.seconds() + self._settings.cache_life
        grants = await self._grants.grants_of(login_name)
        for address in addresses:
            if not await self._may(login_name, own, grants, address):
                return address
            self._allowed.put((login_name, key_of(address)), True, until - self._clock.seconds())
        return None

    async def _may(self, login_name: str, own: _Key, grants: Sequence[SendAsGrant], address: Address) -> bool:
        whole = grant_of(address)
        if whole in grants or SendAsGrant(whole.domain) in grants:
            return True
        try:
            address = await self._routes.with_domain(address)
        except NoSuchUser:
            return False
        route = await self._routes.route(address)
        account = route.row.account
        if account is not None and account.login_name == login_name:
            return True
        user, _ = self._routes.without_detail(whole.local_part)
        is_exact = route.known and key_of(route.address) == key_of(address)
        if user and not is_exact and SendAsGrant(whole.domain, user) in grants:
            return True
        return await self._leads_to(own, route)

    async def _leads_to(self, own: _Key, alias: Route) -> bool:
        """Whether one of the targets of an alias is the user, however many aliases are between."""
        # Breadth first: the nearest are the likeliest.
        waiting, seen = deque([alias]), {key_of(alias.address)}
        while waiting:
            targets = {key_of(target): target for target in waiting.popleft().row.targets}
            if own in targets and await self._is_reached(own, targets[own]):
                return True
            for key, target in targets.items():
                if key in seen:
                    continue
                if len(seen) > self._settings.max_alias_targets:
                    return False
                seen.add(key)
                route = await self._routes.route(target)
                if _is_delivered_to(route, own):
                    return True
                waiting.append(route)
        return False

    async def _is_reached(self, own: _Key, target: Address) -> bool:
        """Whether mail for the user's address comes to him: he would be passed by if it were an alias to others."""
        return _is_delivered_to(await self._routes.route(target), own)


def _is_delivered_to(route: Route, own: _Key) -> bool:
    """Whether mail that comes this way is put into the user's account. An alias that names itself keeps a copy."""
    account, targets = route.row.account, route.row.targets
    if account is None or _own_key(account.login_name) != own:
        return False
    return not targets or key_of(route.address) in map(key_of, targets)


# Asked twice for each message of a user.
@lru_cache(maxsize=4096)
def _own_key(login_name: str) -> _Key:
    local_part, _, domain = login_name.rpartition("@")
    return key_of(Address(local_part, domain))
