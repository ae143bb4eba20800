"""Every seam of the house, as zope interfaces, with the values that cross them.

A room never sees another room's classes, only what is declared here. Methods of the store return Deferreds; they fire
in the reactor thread. A method that writes fires after its commit has reached the disk, never before.

Any store method may fail with :class:`~pymailsuite.errors.StoreUnavailable` or, if it writes,
:class:`~pymailsuite.errors.StorageFull`; that is not repeated below.
"""

from pymailsuite.interfaces.content import IContentWriter, StagedContent
from pymailsuite.interfaces.cred import IImapAvatar, IMailAvatar, IPop3Avatar, ISubmissionAvatar
from pymailsuite.interfaces.directory import (
    Account,
    Alias,
    Credentials,
    DirectoryRow,
    Domain,
    IDirectory,
    IDirectoryStore,
    LoginEpochs,
)
from pymailsuite.interfaces.dns import Answer, IResolver, MxRecord, SrvRecord
from pymailsuite.interfaces.intake import (
    IIncomingMessage,
    IMessageIntake,
    IRecipientResolver,
    LocalRecipient,
    RemoteRecipient,
)
from pymailsuite.interfaces.mail import (
    AccountChanges,
    Appended,
    ChangedMailbox,
    Column,
    Copied,
    IAccountMail,
    Mailbox,
    MailboxChanges,
    MessageRow,
    NewMessage,
    Piece,
    Selection,
    Steps,
    StoreResult,
    drained,
)
from pymailsuite.interfaces.notices import MAX_PAYLOAD, INoticeBus
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    IQueueStore,
    Notify,
    Outcome,
    OutgoingEnvelope,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
    Ret,
)
from pymailsuite.interfaces.state import Count, IExpiringState, IStateStore, StateKey
from pymailsuite.interfaces.store import (
    IChangeNotices,
    IDryRuns,
    IMailStore,
    IStoreScheme,
    IStoreUpkeep,
    StoreContext,
    needed,
)

__all__ = [
    "MAX_PAYLOAD",
    "Acceptance",
    "Account",
    "AccountChanges",
    "Alias",
    "Answer",
    "Appended",
    "ChangedMailbox",
    "Column",
    "Copied",
    "Count",
    "Credentials",
    "Delivery",
    "DirectoryRow",
    "Domain",
    "IAccountMail",
    "IChangeNotices",
    "IContentWriter",
    "IDirectory",
    "IDirectoryStore",
    "IDryRuns",
    "IExpiringState",
    "IImapAvatar",
    "IIncomingMessage",
    "IMailAvatar",
    "IMailStore",
    "IMessageIntake",
    "INoticeBus",
    "IPop3Avatar",
    "IQueueStore",
    "IRecipientResolver",
    "IResolver",
    "IStateStore",
    "IStoreScheme",
    "IStoreUpkeep",
    "ISubmissionAvatar",
    "LocalRecipient",
    "LoginEpochs",
    "Mailbox",
    "MailboxChanges",
    "MessageRow",
    "MxRecord",
    "NewMessage",
    "Notify",
    "Outcome",
    "OutgoingEnvelope",
    "Piece",
    "QueueEntry",
    "QueuedRecipient",
    "RecipientState",
    "RemoteRecipient",
    "Ret",
    "Selection",
    "SrvRecord",
    "StagedContent",
    "StateKey",
    "Steps",
    "StoreContext",
    "StoreResult",
    "drained",
    "needed",
]
