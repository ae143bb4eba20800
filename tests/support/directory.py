"""A directory in dicts, whose Deferreds have fired; remembers what it was asked."""

from attrs import evolve
from twisted.internet.defer import fail, succeed
from zope.interface import implementer

from pymailsuite.errors import AlreadyExists, MailError, NoSuchAccount, NoSuchEntry
from pymailsuite.interfaces import Account, Alias, Credentials, DirectoryRow, Domain, IDirectoryStore, LoginEpochs
from pymailsuite.values import AccountId, Address


def address_of(text):
    """An Address from ``local@domain``."""
    local_part, _, domain = text.rpartition("@")
    return Address(local_part, domain)


def _fired(method):
    """Errors of the tree become failures, results Deferreds."""

    def wrapped(self, *args):
        self.asked.append((method.__name__, *args))
        if self.failure is not None:
            return fail(self.failure)
        try:
            return succeed(method(self, *args))
        except MailError as error:
            return fail(error)

    return wrapped


@implementer(IDirectoryStore)
class MemoryDirectory:
    """``asked`` lists the calls as tuples; while ``failure`` is set every call fails with it."""

    def __init__(self):
        self.asked = []
        self.failure = None
        self._domains = {}
        self._credentials = {}
        self._aliases = {}
        self._epoch = 0

    def with_domain(self, name, catch_all=None):
        """Add a domain; chains."""
        self._domains[name] = Domain(name, address_of(catch_all) if catch_all else None)
        return self

    def with_account(self, login_name, password_hash="", enabled=True, is_shared=False):
        """Add an account; chains."""
        account = Account(AccountId(len(self._credentials) + 1), login_name, enabled=enabled, is_shared=is_shared)
        self._credentials[login_name] = Credentials(account, password_hash)
        return self

    def with_alias(self, address, *targets):
        """Add an alias; chains."""
        self._aliases[address] = tuple(map(address_of, targets))
        return self

    def account_id(self, login_name):
        """The id of an account that is there."""
        return self._credentials[login_name].account.account_id

    def _by_id(self, account_id):
        for name, found in self._credentials.items():
            if found.account.account_id == account_id:
                return name, found
        raise NoSuchAccount

    @_fired
    def add_domain(self, name):
        if name in self._domains:
            raise AlreadyExists
        return self._domains.setdefault(name.lower(), Domain(name.lower()))

    @_fired
    def remove_domain(self, name):
        if self._domains.pop(name, None) is None:
            raise NoSuchEntry

    @_fired
    def set_catch_all(self, name, target):
        if name not in self._domains:
            raise NoSuchEntry
        self._domains[name] = Domain(name, target)
        return self._domains[name]

    @_fired
    def change_domain_overrides(self, name, change):
        if name not in self._domains:
            raise NoSuchEntry
        found = self._domains[name]
        self._domains[name] = evolve(found, overrides=change(found.overrides))
        return self._domains[name]

    @_fired
    def change_domain_quota(self, name, change):
        if name not in self._domains:
            raise NoSuchEntry
        found = self._domains[name]
        self._domains[name] = evolve(found, quota=change(found.quota))
        return self._domains[name]

    @_fired
    def domains(self):
        return [self._domains[name] for name in sorted(self._domains)]

    @_fired
    def domain(self, name):
        return self._domains.get(name)

    @_fired
    def add_account(self, login_name, password_hash, full_name, is_shared=False):
        if login_name in self._credentials:
            raise AlreadyExists
        self.with_account(login_name, password_hash, is_shared=is_shared)
        return self._credentials[login_name].account

    @_fired
    def remove_account(self, login_name):
        if self._credentials.pop(login_name, None) is None:
            raise NoSuchAccount
        self._epoch += 1

    @_fired
    def set_password_hash(self, account_id, password_hash):
        name, found = self._by_id(account_id)
        self._credentials[name] = evolve(found, password_hash=password_hash, scram_keys="")
        self._end_logins(account_id)

    @_fired
    def keep_scram_keys(self, account_id, password_hash, scram_keys):
        name, found = self._by_id(account_id)
        if found.password_hash != password_hash:
            return False
        self._credentials[name] = evolve(found, scram_keys=scram_keys)
        return True

    @_fired
    def renew_password_hash(self, account_id, old, new):
        name, found = self._by_id(account_id)
        if found.password_hash != old:
            return False
        self._credentials[name] = evolve(found, password_hash=new)
        return True

    @_fired
    def set_enabled(self, account_id, enabled):
        name, found = self._by_id(account_id)
        self._credentials[name] = evolve(found, account=evolve(found.account, enabled=enabled))
        if not enabled:
            self._end_logins(account_id)

    @_fired
    def login_epochs(self, account_ids):
        accounts = [found.account for found in self._credentials.values()]
        current = {one.account_id: one.login_epoch for one in accounts if one.enabled and one.account_id in account_ids}
        return LoginEpochs(self._epoch, current)

    def _end_logins(self, account_id):
        self._epoch += 1
        name, found = self._by_id(account_id)
        self._credentials[name] = evolve(found, account=evolve(found.account, login_epoch=self._epoch))

    @_fired
    def change_account_quota(self, login_name, change):
        if login_name not in self._credentials:
            raise NoSuchAccount
        found = self._credentials[login_name]
        account = evolve(found.account, quota=change(found.account.quota), has_quota=True)
        self._credentials[login_name] = evolve(found, account=account)
        return account

    @_fired
    def change_account_overrides(self, login_name, change):
        if login_name not in self._credentials:
            raise NoSuchAccount
        found = self._credentials[login_name]
        account = evolve(found.account, overrides=change(found.account.overrides))
        self._credentials[login_name] = evolve(found, account=account)
        return account

    @_fired
    def accounts(self, domain):
        names = sorted(name for name in self._credentials if domain is None or name.endswith("@" + domain))
        return [self._credentials[name].account for name in names]

    @_fired
    def first_account(self, domain):
        names = sorted(name for name in self._credentials if domain is None or name.endswith("@" + domain))
        accounts = [self._credentials[name].account for name in names]
        return next((account for account in accounts if account.enabled), None)

    @_fired
    def account(self, login_name):
        found = self._credentials.get(login_name)
        return found.account if found else None

    @_fired
    def credentials(self, login_name):
        return self._credentials.get(login_name)

    @_fired
    def set_alias(self, address, targets):
        self._aliases[str(address).lower()] = tuple(targets)
        return Alias(address, tuple(targets))

    @_fired
    def remove_alias(self, address):
        if self._aliases.pop(str(address).lower(), None) is None:
            raise NoSuchEntry

    @_fired
    def aliases(self, domain):
        return [Alias(address_of(name), self._aliases[name]) for name in sorted(self._aliases)]

    @_fired
    def route(self, address):
        domain = self._domains.get(address.domain)
        if domain is None:
            return DirectoryRow(None)
        name = f"{address.local_part}@{address.domain}".lower()
        found = self._credentials.get(name)
        return DirectoryRow(domain, found.account if found else None, self._aliases.get(name, ()))
