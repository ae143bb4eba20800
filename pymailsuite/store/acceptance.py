"""The transaction behind SMTP's 250: content, local copies and queue rows at once, for all messages that wait.

This is the hot path. Many acceptances share each statement, because each statement costs two switches of the
interpreter lock.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    OutgoingEnvelope,
    QueuedRecipient,
    RecipientState,
)
from pymailsuite.interfaces.transient import transient
from pymailsuite.store.contents import insert_contents_txn
from pymailsuite.store.history import insert_history_txn
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.login_epochs import check_grants_txn
from pymailsuite.store.mailboxes import INBOX_ID, arrive_everywhere_txn, find_mailbox_txn, note_total, uses_of
from pymailsuite.store.messages import MESSAGE_COLUMNS, keyword_text
from pymailsuite.store.quota import NONE_KEPT, QUOTA_TEXTS, Arrived, EffectiveQuota, Quotas
from pymailsuite.store.rights import takes_post_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import INBOX, AccountId, ContentId, EntryId, MailboxId, ModSeq, QueueId, queue_id_of

NO_DUE = 1e300
"""Later than any attempt: for an entry without waiting recipients."""

Copy = tuple[Delivery, ContentId, int, int | None]
"""A local copy, its content, and the size and extra octets of the content with the fields in front of all copies."""


@transient
class Accepting:
    """A message to be accepted, its time of arrival, and the ids of its queue entries; with the messages accepted along
    with it."""

    acceptance: Acceptance
    created_at: float
    entry_ids: tuple[EntryId, ...] = ()
    along: tuple[Accepting, ...] = ()


def accept_txn(txn: Transaction, items: Sequence[Accepting], quotas: Quotas) -> list[QueueId]:
    """Store messages, and those accepted along with them; returns the queue ids of the former. NoSuchAccount,
    LoginEnded, OverQuota: nothing was stored."""
    queue_ids = [queue_id_of(item.acceptance.content.content_id) for item in items]
    items = [each for item in items for each in (item, *item.along)]
    grants = {item.acceptance.grant for item in items if item.acceptance.grant is not None}
    if grants:
        check_grants_txn(txn, grants)
    copies: list[Copy] = []
    contents = []
    queued: list[tuple[EntryId, ContentId, OutgoingEnvelope, float]] = []
    for item in items:
        acceptance = item.acceptance
        content = acceptance.content
        contents.append((content, len(acceptance.deliveries) + len(acceptance.outgoing), acceptance.fields))
        size = content.size + len(acceptance.fields)
        copies += [(delivery, content.content_id, size, content.extra_octets) for delivery in acceptance.deliveries]
        if acceptance.outgoing:
            queued += [
                (entry_id, content.content_id, envelope, item.created_at)
                for entry_id, envelope in zip(item.entry_ids, acceptance.outgoing, strict=True)
            ]
    now = items[-1].created_at
    insert_contents_txn(txn, contents, now)
    deliver_txn(txn, copies, now, quotas)
    if queued:
        enqueue_txn(txn, queued)
    insert_history_txn(txn, [item.acceptance.history for item in items if item.acceptance.history is not None])
    return queue_ids


def deliver_txn(txn: Transaction, copies: Sequence[Copy], now: float, quotas: Quotas) -> None:
    """Put copies into mailboxes; the caller counts the references to their contents. NoSuchAccount, OverQuota."""
    if not copies:
        return
    modseqs, limited = _advance_all_txn(txn, sorted({delivery.account_id for delivery, *_ in copies}), quotas)
    arriving: dict[tuple[AccountId, MailboxId], list[Copy]] = {}
    for copy in copies:
        delivery = copy[0]
        mailbox_id = _target_txn(txn, delivery)
        arriving.setdefault((delivery.account_id, mailbox_id), []).append(copy)
    sizes = {
        key: [(int(delivery.flags.system), len(delivery.prefix) + size) for delivery, _, size, _ in arrived]
        for key, arrived in arriving.items()
    }
    arrivals = arrive_everywhere_txn(
        txn,
        [
            (account_id, mailbox_id, modseqs[account_id], sizes[account_id, mailbox_id])
            for account_id, mailbox_id in sizes
        ],
    )
    if limited or txn.totals:
        _check_quotas_txn(txn, arriving, sizes, limited, quotas)
    rows = []
    for key, arrived in arriving.items():
        account_id, mailbox_id = key
        modseq, first_uid = modseqs[account_id], arrivals[key].first_uid
        for uid, (delivery, content_id, _, extra), (flags, size) in zip(
            range(first_uid, first_uid + len(arrived)), arrived, sizes[key], strict=True
        ):
            keywords = keyword_text(delivery.flags.keywords) if delivery.flags.keywords else ""
            received_at = now if delivery.internal_date is None else delivery.internal_date
            row = (account_id, mailbox_id, uid, flags, keywords, modseq, content_id, size)
            rows.append((*row, received_at, now, delivery.prefix, extra))
    txn.insert("messages", MESSAGE_COLUMNS, rows)
    for account_id, modseq in modseqs.items():
        txn.announce(account_id, modseq)


def _check_quotas_txn(
    txn: Transaction,
    arriving: Mapping[tuple[AccountId, MailboxId], Sequence[Copy]],
    sizes: Mapping[tuple[AccountId, MailboxId], Sequence[tuple[int, int]]],
    limited: Mapping[AccountId, EffectiveQuota],
    quotas: Quotas,
) -> None:
    """OverQuota if copies that were just counted in are too much for their accounts."""
    arrived: dict[AccountId, list[Arrived]] = {}
    for (account_id, mailbox_id), copies in arriving.items():
        octets = [
            size
            for (delivery, *_), (_, size) in zip(copies, sizes[account_id, mailbox_id], strict=True)
            if not delivery.beyond_quota
        ]
        if octets:
            arrived.setdefault(account_id, []).append((mailbox_id, sum(octets), len(octets)))
    some = {account_id: quota for account_id, quota in limited.items() if account_id in arrived}
    quotas.check_arrived_txn(txn, arrived, some, delivered=True)


def _advance_all_txn(
    txn: Transaction, account_ids: Sequence[AccountId], quotas: Quotas
) -> tuple[dict[AccountId, ModSeq], dict[AccountId, EffectiveQuota]]:
    """The next modseq of each account: one for all messages that arrive in it with this commit; and the quotas of those
    that have one."""
    length = 1 << (len(account_ids) - 1).bit_length()
    padded = [*account_ids, *[account_ids[-1]] * (length - len(account_ids))]
    if len(account_ids) > 1:
        lock_accounts_txn(txn, account_ids)
    modseqs: dict[AccountId, ModSeq] = {}
    limited: dict[AccountId, EffectiveQuota] = {}
    for account_id, modseq, total_of, texts in txn.rows(
        "UPDATE account_state SET modseq = modseq + 1"
        f" WHERE account_id IN ({', '.join('?' * length)}) AND removed_at IS NULL"
        f" RETURNING account_id, modseq, total_of, {QUOTA_TEXTS}",
        padded,
    ):
        modseqs[account_id] = modseq
        if total_of is not None or txn.totals:
            note_total(txn, account_id, total_of)
        if texts != NONE_KEPT or quotas.is_general:
            quota = quotas.effective(texts)
            if quota.limits_messages:
                limited[account_id] = quota
    if len(modseqs) < len(account_ids):
        raise NoSuchAccount(cause=f"accounts {sorted(set(account_ids) - set(modseqs))}")
    return modseqs, limited


def _target_txn(txn: Transaction, delivery: Delivery) -> MailboxId:
    account_id, name = delivery.account_id, delivery.mailbox
    if delivery.special_use is not None:
        for mailbox_id, uses in txn.rows(
            "SELECT mailbox_id, special_use FROM mailboxes WHERE account_id = ? AND special_use IS NOT NULL"
            " AND selectable = 1 ORDER BY mailbox_id",
            (account_id,),
        ):
            if delivery.special_use in uses_of(uses):
                return MailboxId(mailbox_id)
    if name == INBOX:
        return INBOX_ID
    mailbox = find_mailbox_txn(txn, account_id, name)
    if mailbox is None or not mailbox.selectable or not takes_post_txn(txn, account_id, mailbox.mailbox_id):
        return INBOX_ID
    return mailbox.mailbox_id


ENTRY_COLUMNS = (
    "entry_id, content_id, due_at, held, claimed_by, claimed_until, reverse_local, reverse_domain, reverse_unquoted,"
    " created_at, smtputf8, body, origin, prefix, envid, ret, priority"
)
RECIPIENT_COLUMNS = (
    "entry_id, position, local_part, domain, unquoted, route, original_local, original_domain, state, attempts,"
    " next_attempt, delay_reported, last_status, last_reply, last_host, notify, orcpt"
)


def enqueue_txn(txn: Transaction, queued: Sequence[tuple[EntryId, ContentId, OutgoingEnvelope, float]]) -> None:
    """Queue envelopes, each under its id, with its content and the time it came."""
    entries, recipients = [], []
    for entry_id, content_id, envelope, created_at in queued:
        sender = envelope.reverse_path
        entries.append(
            (
                *(entry_id, content_id, due_at(envelope.recipients), int(envelope.held), "", 0.0),
                *((None, None, 0) if sender is None else (sender.local_part, sender.domain, int(sender.unquoted))),
                *(created_at, int(envelope.smtputf8), envelope.body, envelope.origin, envelope.prefix or None),
                *(envelope.envid, "" if envelope.ret is None else envelope.ret.value, envelope.priority),
            )
        )
        recipients += [_recipient_row(entry_id, recipient) for recipient in envelope.recipients]
    txn.insert("queue_entries", ENTRY_COLUMNS, entries)
    txn.insert("queue_recipients", RECIPIENT_COLUMNS, recipients)


def _recipient_row(entry_id: EntryId, recipient: QueuedRecipient) -> tuple[object, ...]:
    address, original = recipient.address, recipient.original
    return (
        *(entry_id, recipient.position, address.local_part, address.domain, int(address.unquoted), recipient.route),
        *((None, None) if original is None else (original.local_part, original.domain)),
        *(recipient.state.value, recipient.attempts, recipient.next_attempt, int(recipient.delay_reported)),
        *(recipient.last_status, recipient.last_reply, recipient.last_host, recipient.notify.value, recipient.orcpt),
    )


def due_at(recipients: Sequence[QueuedRecipient]) -> float:
    """The time at which the first delayed recipient is due."""
    return min((r.next_attempt for r in recipients if r.state is RecipientState.DELAYED), default=NO_DUE)
