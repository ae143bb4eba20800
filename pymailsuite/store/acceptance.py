"""The transaction behind SMTP's 250: content, local copies and queue rows at once, for all messages that wait.

This is the hot path. Many acceptances share each statement, because a statement costs two hand-overs of the interpreter
lock whatever it does.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import json
from collections.abc import Sequence

from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    OutgoingEnvelope,
    QueuedRecipient,
    RecipientState,
    Way,
)
from pymailsuite.store.contents import insert_contents_txn
from pymailsuite.store.history import insert_history_txn
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.login_epochs import check_grants_txn
from pymailsuite.store.mailboxes import INBOX_ID, arrive_everywhere_txn, find_mailbox_txn
from pymailsuite.store.messages import MESSAGE_COLUMNS, keyword_text
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import INBOX, AccountId, Address, ContentId, MailboxId, ModSeq, QueueId, queue_id_of

NO_DUE = 1e300
"""Later than any attempt: an entry that waits for nobody."""

Copy = tuple[Delivery, ContentId, int, int | None]
"""A local copy, of which content, and the size and extra octets of that with what stands in front of all copies."""


def accept_txn(txn: Transaction, items: Sequence[tuple[Acceptance, float]]) -> list[QueueId]:
    """Store messages, each with the time it came; their queue ids. NoSuchAccount, LoginEnded: nothing was."""
    grants = {acceptance.grant for acceptance, _ in items if acceptance.grant is not None}
    if grants:
        check_grants_txn(txn, grants)
    copies: list[Copy] = []
    contents = []
    for acceptance, _ in items:
        content = acceptance.content
        contents.append((content, len(acceptance.deliveries) + bool(acceptance.outgoing), acceptance.fields))
        size = content.size + len(acceptance.fields)
        copies += [(delivery, content.content_id, size, content.extra_octets) for delivery in acceptance.deliveries]
    now = items[-1][1]
    insert_contents_txn(txn, contents, now)
    deliver_txn(txn, copies, now)
    for acceptance, created_at in items:
        if acceptance.outgoing:
            _enqueue_txn(txn, acceptance, created_at)
    insert_history_txn(txn, [acceptance.history for acceptance, _ in items if acceptance.history is not None])
    return [queue_id_of(content.content_id) for content, *_ in contents]


def deliver_txn(txn: Transaction, copies: Sequence[Copy], now: float) -> None:
    """Put copies into mailboxes; the references to their contents are the caller's."""
    if not copies:
        return
    modseqs = _advance_all_txn(txn, sorted({delivery.account_id for delivery, *_ in copies}))
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
    rows = []
    for key, arrived in arriving.items():
        account_id, mailbox_id = key
        modseq, first_uid = modseqs[account_id], arrivals[key].first_uid
        for uid, (delivery, content_id, _, extra), (flags, size) in zip(
            range(first_uid, first_uid + len(arrived)), arrived, sizes[key], strict=True
        ):
            keywords = keyword_text(delivery.flags.keywords) if delivery.flags.keywords else ""
            row = (account_id, mailbox_id, uid, flags, keywords, modseq, content_id, size, now, now, delivery.prefix)
            rows.append((*row, extra))
    txn.insert("messages", MESSAGE_COLUMNS, rows)
    for account_id, modseq in modseqs.items():
        txn.announce(account_id, modseq)


def _advance_all_txn(txn: Transaction, account_ids: Sequence[AccountId]) -> dict[AccountId, ModSeq]:
    """The next modseq of each account: one for all that arrives in it with this commit."""
    length = 1 << (len(account_ids) - 1).bit_length()
    padded = [*account_ids, *[account_ids[-1]] * (length - len(account_ids))]
    if len(account_ids) > 1:
        lock_accounts_txn(txn, account_ids)
    modseqs: dict[AccountId, ModSeq] = dict(
        txn.rows(
            "UPDATE account_state SET modseq = modseq + 1"
            f" WHERE account_id IN ({', '.join('?' * length)}) AND removed_at IS NULL RETURNING account_id, modseq",
            padded,
        )
    )
    if len(modseqs) < len(account_ids):
        raise NoSuchAccount(cause=f"accounts {sorted(set(account_ids) - set(modseqs))}")
    return modseqs


def _target_txn(txn: Transaction, delivery: Delivery) -> MailboxId:
    account_id, name = delivery.account_id, delivery.mailbox
    if delivery.special_use is not None:
        used = txn.row(
            "SELECT mailbox_id FROM mailboxes WHERE account_id = ? AND special_use = ? AND selectable = 1"
            " ORDER BY mailbox_id LIMIT 1",
            (account_id, delivery.special_use.value),
        )
        if used is not None:
            return MailboxId(used[0])
    if name == INBOX:
        return INBOX_ID
    mailbox = find_mailbox_txn(txn, account_id, name)
    return mailbox.mailbox_id if mailbox is not None and mailbox.selectable else INBOX_ID


def _enqueue_txn(txn: Transaction, acceptance: Acceptance, created_at: float) -> None:
    content_id, (first, *others) = acceptance.content.content_id, acceptance.outgoing
    sender = first.reverse_path
    relays = [(relay, way) for way, envelope in enumerate(acceptance.outgoing) for relay in envelope.recipients]
    txn.insert(
        "queue_entries",
        "content_id, due_at, held, claimed_by, claimed_until, reverse_local, reverse_domain, created_at, smtputf8,"
        " body, origin, prefix, reverse_unquoted, other_ways",
        [
            (
                *(content_id, due_at([relay for relay, _ in relays]), 0, "", 0.0),
                *((None, None) if sender is None else (sender.local_part, sender.domain)),
                *(created_at, int(first.smtputf8), first.body, first.origin, first.prefix or None),
                int(sender is not None and sender.unquoted),
                ways_text(others),
            )
        ],
    )
    txn.insert(
        "queue_recipients",
        RECIPIENT_COLUMNS,
        [
            (
                content_id,
                position,
                relay.address.local_part,
                relay.address.domain,
                relay.route,
                relay.original.local_part if relay.original else None,
                relay.original.domain if relay.original else None,
                relay.state.value,
                relay.attempts,
                relay.next_attempt,
                int(relay.delay_reported),
                relay.last_status,
                relay.last_reply,
                relay.last_host,
                int(relay.address.unquoted),
                way,
            )
            for position, (relay, way) in enumerate(relays)
        ],
    )


RECIPIENT_COLUMNS = (
    "content_id, position, local_part, domain, route, original_local, original_domain, state, attempts, next_attempt,"
    " delay_reported, last_status, last_reply, last_host, unquoted, way"
)


def ways_text(ways: Sequence[OutgoingEnvelope]) -> str:
    """Ways as a row of the queue has them: JSON, empty for none."""
    rows = [
        (*((None, None, False) if path is None else (path.local_part, path.domain, path.unquoted)), prefix)
        for path, prefix in ((way.reverse_path, way.prefix.decode("latin-1")) for way in ways)
    ]
    return json.dumps(rows) if rows else ""


def ways_of(text: str) -> tuple[Way, ...]:
    """The ways of such a row."""
    return tuple(
        [
            Way(None if local_part is None else Address(local_part, domain, unquoted), prefix.encode("latin-1"))
            for local_part, domain, unquoted, prefix in (json.loads(text) if text else ())
        ]
    )


def due_at(recipients: Sequence[QueuedRecipient]) -> float:
    """When the first of those that wait is due."""
    return min((r.next_attempt for r in recipients if r.state is RecipientState.WAITING), default=NO_DUE)
