"""``pymailsuite queue``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import field, frozen

from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_facts, print_json, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces import IMailStore, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.store import needed
from pymailsuite.values import MAX_CHUNK, Address, EntryId, QueueId, queue_id_of

queue_ids_argument = click.argument("queue_ids", nargs=-1)
all_option = click.option("--all", "everything", is_flag=True, help="Every entry.")


def recipient_row(recipient: QueuedRecipient, sender: Address | None) -> dict[str, Any]:
    """A recipient as commands show it; ``sender`` is the reverse-path of the entry."""
    waiting = recipient.state is RecipientState.DELAYED
    return {
        "recipient": str(recipient.address),
        "sender": _sender(sender),
        "state": recipient.state.value,
        "attempts": recipient.attempts,
        "next_attempt": moment(recipient.next_attempt) if waiting else None,
        "status": recipient.last_status,
        "host": recipient.last_host,
        "reply": recipient.last_reply,
    }


def _sender(reverse_path: Address | None) -> str:
    return "<>" if reverse_path is None else str(reverse_path)


def entry_row(entry: QueueEntry) -> dict[str, Any]:
    """An entry as commands show it."""
    waiting = [recipient for recipient in entry.recipients if recipient.state is RecipientState.DELAYED]
    return {
        "queue_id": entry.queue_id,
        "entry_id": queue_id_of(entry.entry_id),
        "size": entry.size,
        "arrived": moment(entry.created_at),
        "sender": _sender(entry.reverse_path),
        "held": entry.held,
        "origin": entry.origin,
        "priority": entry.priority,
        "envelope_id": entry.envid,
        "waiting": len(waiting),
        "next_attempt": moment(min((recipient.next_attempt for recipient in waiting), default=None)),
        "recipients": [recipient_row(one, entry.reverse_path) for one in entry.recipients],
    }


@click.group()
def queue() -> None:
    """Messages that still have somewhere to go.

    A message has an entry for each envelope that it leaves in. An ID is that of a message, which is in its Received
    field and in the log and stands for all its entries, or that of one entry.
    """


@queue.command("list")
@config_option
@json_option
def list_entries(config_file: Path, as_json: bool) -> None:
    """All entries, oldest first."""

    async def operation(store: IMailStore, settings: Settings) -> list[QueueEntry]:
        return await needed(store, IQueueStore).entries()

    rows = [entry_row(entry) for entry in on_store(config_file, operation)]
    if not as_json:
        for row in rows:
            row["recipients"] = [recipient["recipient"] for recipient in row["recipients"]]
    columns = ["queue_id", "entry_id", "size", "arrived", "sender", "recipients", "waiting", "next_attempt", "held"]
    print_rows(rows, columns, as_json)


@queue.command()
@click.argument("queue_id")
@click.option("--headers", is_flag=True, help="Print the message's header only.")
@click.option("--message", is_flag=True, help="Print the whole message only, as it is.")
@config_option
@json_option
def show(queue_id: str, headers: bool, message: bool, config_file: Path, as_json: bool) -> None:
    """An entry, or all entries of a message: the recipients, and the state of each."""

    async def operation(store: IMailStore, settings: Settings) -> list[QueueEntry]:
        entries: list[QueueEntry] = await needed(store, IQueueStore).entries(QueueId(queue_id.upper()))
        if not entries:
            raise NoSuchEntry(cause=queue_id)
        if headers or message:
            if len(entries) > 1:
                raise click.UsageError(f"{queue_id} has {len(entries)} entries: give the id of one")
            await _print_octets(store, entries[0], entries[0].size if message else entries[0].header_size)
        return entries

    entries = on_store(config_file, operation)
    if headers or message:
        return
    if as_json:
        print_json([entry_row(entry) for entry in entries])
        return
    for entry in entries:
        row = entry_row(entry)
        recipients = row.pop("recipients")
        print_facts(row, as_json=False)
        click.echo()
        columns = ["recipient", "state", "attempts", "next_attempt", "status", "host", "reply"]
        print_rows(recipients, columns, as_json=False)


async def _print_octets(store: IMailStore, entry: QueueEntry, stop: int) -> None:
    source = entry.source(store.read_content)
    for start in range(0, stop, MAX_CHUNK):
        click.echo(await source.read(start, min(stop, start + MAX_CHUNK)), nl=False)


@frozen
class _Done:
    """What a command has done to entries, and to how many not, by why (as the JSON has it)."""

    count: int
    left: Mapping[str, int] = field(factory=dict)


async def _chosen(store: IMailStore, queue_ids: Sequence[str], everything: bool) -> tuple[list[QueueEntry], int]:
    """The entries named that are there, each once, or all there are; and how many names are of none."""
    if everything:
        return await needed(store, IQueueStore).entries(), 0
    found: dict[EntryId, QueueEntry] = {}
    missing = 0
    for queue_id in dict.fromkeys(name.upper() for name in queue_ids):
        entries = await needed(store, IQueueStore).entries(QueueId(queue_id))
        found |= {entry.entry_id: entry for entry in entries}
        missing += not entries
    return list(found.values()), missing


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _change(
    queue_ids: Sequence[str],
    everything: bool,
    config_file: Path,
    as_json: bool,
    done: str,
    change: Callable[[IMailStore, list[QueueEntry]], Awaitable[_Done]],
) -> _Done:
    """Do ``change`` to the entries named, or to all there are, and say what came of it."""
    if bool(queue_ids) == everything:
        raise click.UsageError("give either queue ids or --all")

    async def operation(store: IMailStore, settings: Settings) -> tuple[int, _Done]:
        chosen, missing = await _chosen(store, queue_ids, everything)
        return missing, await change(store, chosen)

    missing, changed = on_store(config_file, operation)
    left = {why: count for why, count in changed.left.items() if count}
    text = "; ".join(
        [f"{done} {_entries(changed.count)}", *[f"{count} {why.replace('_', ' ')}" for why, count in left.items()]]
    )
    print_done(text, {done: changed.count, **left}, as_json)
    if missing > 0:
        raise click.ClickException(f"{missing} not in the queue")
    return changed


@queue.command()
@queue_ids_argument
@all_option
@config_option
@json_option
def flush(queue_ids: tuple[str, ...], everything: bool, config_file: Path, as_json: bool) -> None:
    """Try entries now instead of when they are due. Those that are held must be released first."""

    async def change(store: IMailStore, chosen: list[QueueEntry]) -> _Done:
        flushed = await needed(store, IQueueStore).flush([entry.entry_id for entry in chosen], time.time())
        return _Done(flushed, {"still_held": sum(entry.held for entry in chosen)})

    done = _change(queue_ids, everything, config_file, as_json, "flushed", change)
    if queue_ids and done.left["still_held"]:
        raise click.ClickException(f"{_entries(done.left['still_held'])} held: release first")


@queue.command()
@queue_ids_argument
@all_option
@config_option
@json_option
def hold(queue_ids: tuple[str, ...], everything: bool, config_file: Path, as_json: bool) -> None:
    """Try entries no more until they are released."""

    async def change(store: IMailStore, chosen: list[QueueEntry]) -> _Done:
        held = await needed(store, IQueueStore).hold([entry.entry_id for entry in chosen], True)
        return _Done(held, {"held_before": sum(entry.held for entry in chosen)})

    _change(queue_ids, everything, config_file, as_json, "held", change)


@queue.command()
@queue_ids_argument
@all_option
@config_option
@json_option
def release(queue_ids: tuple[str, ...], everything: bool, config_file: Path, as_json: bool) -> None:
    """Let held entries go on, when they are due; ``flush`` has them tried at once."""

    async def change(store: IMailStore, chosen: list[QueueEntry]) -> _Done:
        released = await needed(store, IQueueStore).hold([entry.entry_id for entry in chosen], False)
        return _Done(released, {"not_held": sum(not entry.held for entry in chosen)})

    _change(queue_ids, everything, config_file, as_json, "released", change)


@queue.command()
@queue_ids_argument
@all_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def delete(queue_ids: tuple[str, ...], everything: bool, yes: bool, config_file: Path, as_json: bool) -> None:
    """Remove entries, without a report to the sender."""
    if not yes:
        click.confirm("Delete without telling the senders?", abort=True, err=True)

    async def change(store: IMailStore, chosen: list[QueueEntry]) -> _Done:
        return _Done(await needed(store, IQueueStore).delete([entry.entry_id for entry in chosen]))

    _change(queue_ids, everything, config_file, as_json, "deleted", change)
