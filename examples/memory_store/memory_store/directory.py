"""The accounts there are: one for each folder of mail."""

from twisted.internet.defer import succeed
from zope.interface import implementer

from pymailsuite.interfaces.directory import Account, DirectoryRow, Domain, IDirectory, LoginEpochs
from pymailsuite.values import AccountId


@implementer(IDirectory)
class MemoryDirectory:
    """Knows no passwords and no aliases. ``login_names`` are set when the mail has been read."""

    def __init__(self):
        self._accounts = {}
        self._domains = {}

    def set_accounts(self, login_names):
        self._accounts = {name: Account(AccountId(number), name) for number, name in enumerate(login_names, 1)}
        self._domains = {name: Domain(name) for name in sorted({one.rpartition("@")[2] for one in login_names})}

    def domains(self):
        return succeed(list(self._domains.values()))

    def domain(self, name):
        return succeed(self._domains.get(name))

    def _of(self, domain):
        return [one for name, one in sorted(self._accounts.items()) if domain in (None, name.rpartition("@")[2])]

    def accounts(self, domain):
        return succeed(self._of(domain))

    def first_account(self, domain):
        return succeed(next(iter(self._of(domain)), None))

    def account(self, login_name):
        return succeed(self._accounts.get(login_name))

    def credentials(self, login_name):
        return succeed(None)

    def renew_password_hash(self, account_id, old, new):
        return succeed(False)

    def keep_scram_keys(self, account_id, password_hash, scram_keys):
        return succeed(False)

    def login_epochs(self, account_ids):
        there = {account.account_id: account.login_epoch for account in self._accounts.values()}
        return succeed(LoginEpochs(0, {one: there[one] for one in account_ids if one in there}))

    def aliases(self, domain):
        return succeed([])

    def route(self, address):
        account = self._accounts.get(f"{address.local_part.lower()}@{address.domain}")
        return succeed(DirectoryRow(self._domains.get(address.domain), account))
