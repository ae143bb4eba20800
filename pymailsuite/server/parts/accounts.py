"""Who there is: logins, and where mail for an address goes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from twisted.cred.checkers import ICredentialsChecker

from pymailsuite.auth import AuthService, LoginThrottle, LoginWatch, ScramLookup
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.account_names import AccountNames
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.tables import TableContext, make_tables
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.sasl import Mechanisms, mechanisms
from pymailsuite.server.parts.foundation import Foundation


class Accounts:
    """``portal`` lets users in, by ``mechanisms`` among other ways; ``recipients`` resolves addresses."""

    def __init__(self, foundation: Foundation, checkers: Sequence[ICredentialsChecker]) -> None:
        settings, store, reactor = foundation.settings, foundation.store, foundation.reactor
        names = AccountNames(settings.directory.detail_separator, store.directory)
        throttle = LoginThrottle(settings.throttle, store.ability(IStateStore), reactor, names.key_of)
        auth = AuthService(settings.auth, store, reactor, checkers, throttle)
        watch = LoginWatch(auth.logins, store.directory, settings.auth.watch_interval, reactor)
        tables = make_tables(TableContext(settings.directory, reactor, foundation.in_thread))
        roles = RoleAddresses(foundation.hostname, [settings.dmarc.report_from])
        self.portal = auth.portal
        self.mechanisms: Mechanisms = mechanisms
        if settings.auth.scram:
            lookup = ScramLookup(settings.auth, store.directory, store.ability(ISecretStore))
            self.mechanisms = partial(mechanisms, keys_of=lookup.keys_of)
        self.recipients = RecipientResolver(settings.directory, store.directory, reactor, roles, tables)
        self.services = (auth, watch, *(tables.services if tables is not None else ()))
