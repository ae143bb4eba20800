"""The store, built from its parts, and functions that make one from a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.bus.account_notices import ChangeNotices
from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS, QuotaSettings
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.annotations import IAnnotations
from pymailsuite.interfaces.channel import IStoreChannel
from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.dmarc import IDmarcStore, IFailureStore
from pymailsuite.interfaces.greylist import ICorrespondents, IGreylistStore
from pymailsuite.interfaces.groups import IGroupStore
from pymailsuite.interfaces.history import IHistoryStore
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.keys import IKeyStore
from pymailsuite.interfaces.lists import IFetchedLists, IListStore
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.quota import IQuotaStore
from pymailsuite.interfaces.reputation import IJunkFeedback, IReputationStore
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.interfaces.send_as import ISendAsStore
from pymailsuite.interfaces.sharing import IMailSharing
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.interfaces.store import IDryRuns, IMailStore, IStoreMaintenance
from pymailsuite.interfaces.text_index import ITextIndex
from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.scan import DEFAULT_LIMITS, StructureScanner, scan
from pymailsuite.store.account_mail import AccountMail
from pymailsuite.store.annotations import Annotations
from pymailsuite.store.contents import ContentWriter, Scanning, read_content
from pymailsuite.store.database import Database, InlineDatabase, ThreadedDatabase
from pymailsuite.store.directory import DirectoryStore
from pymailsuite.store.dmarc import DmarcStore
from pymailsuite.store.dmarc_failures import FailureStore
from pymailsuite.store.dry_run import DryRunDatabase
from pymailsuite.store.encryption import Encryption, missing_keys_txn, read_encryption
from pymailsuite.store.engines.base import Engine
from pymailsuite.store.engines.sqlite import SqliteEngine
from pymailsuite.store.fetched_lists import FetchedListStore
from pymailsuite.store.greylist import Correspondents, GreylistStore
from pymailsuite.store.groups import GroupStore
from pymailsuite.store.history import DEFAULT_KEEP_S, HistoryStore
from pymailsuite.store.junk_feedback import JunkFeedback
from pymailsuite.store.kept_paths import KeptPathStore
from pymailsuite.store.keys import KeyStore
from pymailsuite.store.limits import UserLimits
from pymailsuite.store.lists import ListStore
from pymailsuite.store.maintenance import StoreMaintenance
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.modseqs import read_modseqs
from pymailsuite.store.node import Beat, Node
from pymailsuite.store.others_mail import OthersMail
from pymailsuite.store.queue import QueueStore
from pymailsuite.store.quota import Quotas
from pymailsuite.store.quota_store import QuotaStore
from pymailsuite.store.reputation import ReputationStore
from pymailsuite.store.secrets import SecretStore
from pymailsuite.store.send_as import SendAsStore
from pymailsuite.store.sharing import MailSharing
from pymailsuite.store.state import StateStore
from pymailsuite.store.text_index import TextIndex
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, ContentId, ModSeq

log = Logger()

T = TypeVar("T")

MESSAGE_SCAN = Scanning(StructureScanner, scan)


@implementer(IMailStore, IDryRuns)
class MailStore:
    """The one transactional store, on any engine."""

    def __init__(
        self,
        make_database: Callable[[ChangeNotices], Database],
        clock: IReactorTime,
        scanning: Scanning = MESSAGE_SCAN,
        channel: IStoreChannel | None = None,
        history_keep_s: float = DEFAULT_KEEP_S,
        encryption: Encryption | None = None,
        quota: QuotaSettings = NO_QUOTA_SETTINGS,
    ) -> None:
        self.channel = channel
        self.notices = ChangeNotices()
        self.database = make_database(self.notices)
        self.is_shared = not self.database.engine.in_memory
        self.writes_in_turn = self.database.engine.writes_in_turn
        self._node = Node(self.database, clock)
        self.directory = DirectoryStore(self.database, clock)
        quotas = Quotas(quota)
        self._quota_settings = quota
        self.queue = QueueStore(self.database, clock, self._node.clock, self._next_id, quotas)
        self.quotas = QuotaStore(self.database, quotas, self.queue)
        self.lists = ListStore(self.database, clock)
        self.fetched_lists = FetchedListStore(self.database, self._node.clock)
        self.state = StateStore(self.database, self._node.clock)
        self.dmarc = DmarcStore(self.database, self._node.clock)
        self.dmarc_failures = FailureStore(self.database, self._node.clock)
        self.greylist = GreylistStore(self.database, self._node.clock)
        self.correspondents = Correspondents(self.database, self._node.clock)
        self.reputations = ReputationStore(self.database, self._node.clock)
        self.junk_feedback = JunkFeedback()
        self._limits = UserLimits(self.database.settings, quotas)
        self.groups = GroupStore(self.database, clock)
        self.sharing = MailSharing(self.database, clock, self.account_mail_for, self._limits, self.database.settings)
        self.annotations = Annotations(self.database, clock, self.database.settings)
        self._encryption = encryption or Encryption()
        self.keys = KeyStore(self.database, self._encryption)
        self.secrets = SecretStore(self.database, self._node.clock, self._encryption)
        self.kept_paths = KeptPathStore(self.database)
        self.send_as = SendAsStore(self.database)
        self.history = HistoryStore(self.database, self._next_id)
        self.maintenance = StoreMaintenance(
            self.database, clock, scanning, self.directory, self._next_id, history_keep_s
        )
        self.text_index = TextIndex(self.database, self._node.clock)
        self._clock = clock
        self._scanning = scanning
        self._abilities: dict[Any, Any] = {
            IDirectoryStore: self.directory,
            IGroupStore: self.groups,
            IMailSharing: self.sharing,
            IAnnotations: self.annotations,
            IQueueStore: self.queue,
            IQuotaStore: self.quotas,
            IStateStore: self.state,
            ISecretStore: self.secrets,
            IKeptPaths: self.kept_paths,
            IKeyStore: self.keys,
            ISendAsStore: self.send_as,
            IStoreMaintenance: self.maintenance,
            IStoreChannel: channel,
            IHistoryStore: self.history,
            IListStore: self.lists,
            IFetchedLists: self.fetched_lists,
            IGreylistStore: self.greylist,
            ICorrespondents: self.correspondents,
            IReputationStore: self.reputations,
            IJunkFeedback: self.junk_feedback,
            IDmarcStore: self.dmarc,
            IFailureStore: self.dmarc_failures,
            ITextIndex: self.text_index,
            IDryRuns: self,
        }

    def ability(self, interface: type[T]) -> T | None:
        return cast("T | None", self._abilities.get(interface))

    def open(self) -> Deferred[None]:
        now = self._clock.seconds()
        engine = self.database.engine

        def prepare_txn(txn: Transaction) -> tuple[Beat | None, list[str]]:
            migrate_txn(txn, engine, now)
            return self._node.enter_txn(txn), missing_keys_txn(txn, self._encryption)

        return self.database.open(prepare_txn).addCallback(self._opened)

    def _opened(self, prepared: tuple[Beat | None, list[str]]) -> None:
        beat, missing = prepared
        self._node.entered(beat)
        for name in missing:
            # The server runs without the unreadable secrets, and the operator needs the store to replace them.
            log.error(
                "{event}: [store] encryption_keys has no key {key}", event="store.encryption_key_missing", key=name
            )

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await self._node.leave()
        await self.database.close()

    def dry_run(self) -> MailStore:
        return MailStore(
            lambda notices: DryRunDatabase(self.database),
            self._clock,
            self._scanning,
            encryption=self._encryption,
            quota=self._quota_settings,
        )

    def modseqs(self, account_ids: Sequence[AccountId]) -> Deferred[Mapping[AccountId, ModSeq]]:
        return read_modseqs(self.database, account_ids)

    def account_mail(self, account_id: AccountId) -> AccountMail:
        return AccountMail(self.database, self._clock, self._node.clock, account_id, self.junk_feedback, self._limits)

    def account_mail_for(self, owner_id: AccountId, user_id: AccountId) -> AccountMail:
        """The mail of an account as a user may use it."""
        if owner_id == user_id:
            return self.account_mail(owner_id)
        return OthersMail(
            self.database, self._clock, self._node.clock, owner_id, user_id, self.junk_feedback, self._limits
        )

    def new_content(self) -> ContentWriter:
        return ContentWriter(self.database, self._next_id(), self._scanning, self._clock)

    def _next_id(self) -> ContentId:
        return self._node.ids.next_id()

    def read_content(self, content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
        return read_content(self.database, content_id, start, stop)


def _sqlite(url: str, settings: StoreSection) -> Engine:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigError(f"store.url: {url!r} names a host; a SQLite file is sqlite:///path")
    path = unquote(parts.path)
    return SqliteEngine(None if path in {"", "/"} else path, settings)


def _postgres(url: str, settings: StoreSection) -> Engine:
    try:
        from pymailsuite.store.engines.postgres import PostgresEngine
    except ImportError as error:
        raise ConfigError(
            f"store.url: PostgreSQL needs psycopg: pip install 'pymailsuite[postgres]' ({error})"
        ) from None
    return PostgresEngine(url, settings)


_ENGINES: dict[str, Callable[[str, StoreSection], Engine]] = {
    "postgres": _postgres,
    "postgresql": _postgres,
    "sqlite": _sqlite,
}


def is_database(url: str) -> bool:
    """Whether a URL is of a kind that :func:`open_engine` knows."""
    return url.partition(":")[0] in _ENGINES


def open_engine(url: str, settings: StoreSection) -> Engine:
    """The engine for a URL: ``sqlite:///path``, ``sqlite://`` for memory, or ``postgresql://...`` as libpq reads it.

    For code that works on the database itself. ConfigError if it is none of these.
    """
    scheme = url.partition(":")[0]
    make = _ENGINES.get(scheme)
    if make is None:
        raise ConfigError(f"store.url: no store of the kind {scheme!r}; known: {', '.join(sorted(_ENGINES))}")
    return make(url, settings)


def mail_store(
    settings: StoreSection,
    reactor: Any,
    *,
    url: str = "",
    scan_limits: ScanLimits = DEFAULT_LIMITS,
    history_keep_s: float = DEFAULT_KEEP_S,
    quota: QuotaSettings = NO_QUOTA_SETTINGS,
) -> MailStore:
    """The store that ``settings`` (or ``url``, if given) describe, not yet open. It runs on threads of its own.

    ``scan_limits`` bounds the scan of messages, ``history_keep_s`` is the age up to which the history is kept, and
    ``quota`` goes for accounts that have no other.
    ConfigError, also for a file of keys that cannot be used.
    """
    engine = open_engine(url or settings.url, settings)
    encryption = read_encryption(settings.encryption_keys)

    def make_database(notices: ChangeNotices) -> Database:
        if engine.in_memory:
            return InlineDatabase(engine, settings, notices.announce)
        return ThreadedDatabase(engine, settings, notices.announce, reactor)

    scanning = Scanning(partial(StructureScanner, scan_limits), partial(scan, limits=scan_limits))
    return MailStore(make_database, reactor, scanning, engine.channel(reactor), history_keep_s, encryption, quota)


def inline_store(
    settings: StoreSection,
    clock: IReactorTime,
    *,
    url: str = "sqlite://",
    quota: QuotaSettings = NO_QUOTA_SETTINGS,
) -> MailStore:
    """A store without threads or reactor, not yet open: each Deferred has fired when it is returned."""
    engine = open_engine(url, settings)
    encryption = read_encryption(settings.encryption_keys)
    return MailStore(
        lambda notices: InlineDatabase(engine, settings, notices.announce), clock, encryption=encryption, quota=quota
    )
