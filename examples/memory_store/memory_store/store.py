"""The store: what :class:`IMailStore` wants, and no ability."""

from pathlib import Path

from twisted.internet.defer import fail, succeed
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from memory_store.directory import MemoryDirectory
from memory_store.loading import load
from pymailsuite.bus.account_notices import ChangeNotices
from pymailsuite.errors import NoSuchAccount, NoSuchEntry, Refusal
from pymailsuite.interfaces.store import IMailStore
from pymailsuite.store.plain import PlainAccountMail
from pymailsuite.values import AccountId


@implementer(IMailStore)
class MemoryStore:
    """``reactor`` tells the time, ``in_thread`` calls what takes long."""

    is_shared = False
    writes_in_turn = True

    def __init__(self, folder, scan_limits, reactor, in_thread=deferToThread):
        self.directory = MemoryDirectory()
        self.notices = ChangeNotices()
        self._folder = folder
        self._scan_limits = scan_limits
        self._reactor = reactor
        self._in_thread = in_thread
        self._mail = {}

    def open(self):
        # UIDs are given anew at each start, by the order of the files: so is UIDVALIDITY (RFC 3501 §2.3.1.1).
        uid_validity = int(self._reactor.seconds())
        return self._in_thread(load, self._folder, self._scan_limits, uid_validity).addCallback(self._loaded)

    def _loaded(self, mailboxes):
        self.directory.set_accounts(list(mailboxes))
        for number, name in enumerate(mailboxes, 1):
            account_id = AccountId(number)
            self._mail[account_id] = PlainAccountMail(
                account_id, mailboxes[name], self.notices, self._reactor, self._in_thread
            )

    def close(self):
        return succeed(None)

    def ability(self, interface):
        return None

    def modseqs(self, account_ids):
        return succeed({one: self._mail[one].modseq for one in account_ids if one in self._mail})

    def account_mail(self, account_id):
        if account_id not in self._mail:
            raise NoSuchAccount
        return self._mail[account_id]

    def new_content(self):
        raise Refusal("Mail is only read here")

    def read_content(self, content_id, start, stop):
        # Only a queue asks for it.
        return fail(NoSuchEntry())


def make_store(context):
    """For the plugin: ``memory:FOLDER``."""
    return MemoryStore(Path(context.url.partition(":")[2]), context.scan_limits, context.reactor)
