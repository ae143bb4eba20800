"""``pymailsuite why``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.moment import MomentType
from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_json
from pymailsuite.cli.story_text import story_lines
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import IMailStore, QueueEntry, RecipientState
from pymailsuite.interfaces.history import Copy, HistoryEntry, HistoryKind, IHistoryStore, Story
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.store import needed
from pymailsuite.values import AccountId, ContentId, QueueId, content_id_of, queue_id_of
from pymailsuite.wire.addresses import address_key

_OLD_STATES: Final = {"waiting": "delayed", "expired": "failed"}
"""States as earlier releases wrote them down."""
_ACCEPTED: Final = "250 2.0.0 {} Message accepted for delivery"


def content_of(text: str) -> ContentId | None:
    """The content id, if the text is a queue id."""
    try:
        return content_id_of(QueueId(text.upper()))
    except ValueError:
        return None


def _network(name: str) -> str:
    """The network that an IPv6 address is counted by; empty for anything else."""
    try:
        address = ip_address(name)
    except ValueError:
        return ""
    return address_key(name) if address.version == 6 else ""


async def stories_of(store: IMailStore, wanted: str, since: float, limit: int) -> list[dict[str, Any]]:
    """The stories of a queue id, or of anything a story can be found by; the newest first."""
    content_id = content_of(wanted)
    if content_id is not None:
        story = await needed(store, IHistoryStore).story(content_id)
        found = [story] if story is not None else await _of_entry(store, content_id, since, limit)
    else:
        name = wanted.strip().removeprefix("<").removesuffix(">")
        found = list(await needed(store, IHistoryStore).about(name, since, limit))
        network = _network(name)
        if network:
            # What was counted is counted for all of a network, under the last address that was seen of it.
            others = await needed(store, IHistoryStore).about(network, since, limit)
            stories = {story.story_id: story for story in (*found, *others)}
            found = [stories[story_id] for story_id in sorted(stories, reverse=True)[:limit]]
    return [await _told(store, story) for story in found]


async def _of_entry(store: IMailStore, number: ContentId, since: float, limit: int) -> list[Story]:
    """The story of the message that has, or had, an entry of this id in the queue."""
    name = queue_id_of(number)
    found = list(await needed(store, IHistoryStore).about(name, since, limit))
    if not found:
        entries: list[QueueEntry] = await needed(store, IQueueStore).entries(name)
        stories = [await needed(store, IHistoryStore).story(entry.content_id) for entry in entries]
        found = [story for story in stories if story is not None]
    return found


async def _told(store: IMailStore, story: Story) -> dict[str, Any]:
    """All that is known, in one object."""
    queue_id = queue_id_of(story.story_id)
    first, *others = story.entries
    told: dict[str, Any] = {"id": queue_id, "at": moment(first.happened_at), "kind": first.kind.value}
    if first.kind is HistoryKind.ATTEMPT:
        # How it began is forgotten, or was not recorded.
        others = [first, *others]
    else:
        told |= json.loads(first.facts)
    if first.kind in (HistoryKind.ACCEPTED, HistoryKind.REPORT):
        told["reply"] = _ACCEPTED.format(queue_id) if first.kind is HistoryKind.ACCEPTED else ""
        told["recipients"] = await _with_copies(store, story.story_id, told.get("recipients", ()))
    elif first.kind in (HistoryKind.MORE_REFUSED, HistoryKind.TURNED_AWAY):
        told |= {"since": moment(told["since"]), "until": moment(told["until"])}
    told["attempts"] = [attempt for entry in others for attempt in _attempts(entry)]
    copies = [copy for entry in others for copy in _facts(entry).get("copies", ())]
    told["copies"] = await _with_copies(store, story.story_id, copies)
    told["steps"] = [step for entry in story.entries for step in _facts(entry).get("steps", ())]
    told["reports"] = [facts["report"] for facts in map(_facts, others) if facts.get("report")]
    # What refused a text that had come in is an entry of its own: the message has the same id.
    told["later"] = [_facts(entry) for entry in others if entry.kind is HistoryKind.REFUSED]
    told["waiting"] = await _waiting(store, queue_id)
    return told


def _facts(entry: HistoryEntry) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(entry.facts)
    return facts


def _attempts(entry: HistoryEntry) -> Iterator[dict[str, Any]]:
    if entry.kind is HistoryKind.ATTEMPT:
        facts = _facts(entry)
        for outcome in facts["outcomes"]:
            state = _OLD_STATES.get(outcome["state"], outcome["state"])
            due = outcome["next_attempt"] if state == RecipientState.DELAYED.value else None
            told = {"at": moment(entry.happened_at), **outcome, "state": state, "next_attempt": moment(due)}
            yield told | ({"entry_id": facts["entry_id"]} if "entry_id" in facts else {})


async def _with_copies(
    store: IMailStore, content_id: ContentId, recipients: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Recipients, those who are here with where their copy is now."""
    told = []
    for recipient in recipients:
        facts = dict(recipient)
        account_id = facts.pop("account_id", None)
        if account_id is not None:
            copies: Sequence[Copy] = await needed(store, IHistoryStore).copies(content_id, [AccountId(account_id)])
            facts["account"] = copies[0].login_name if copies else None
            facts["now"] = [copy.mailbox for copy in copies if copy.mailbox is not None]
        told.append(facts)
    return told


async def _waiting(store: IMailStore, queue_id: QueueId) -> list[dict[str, Any]]:
    entries: list[QueueEntry] = await needed(store, IQueueStore).entries(queue_id)
    return [
        {
            "entry_id": queue_id_of(entry.entry_id),
            "recipient": str(one.address),
            "next_attempt": moment(one.next_attempt),
            "held": entry.held,
        }
        for entry in entries
        for one in entry.recipients
        if one.state is RecipientState.DELAYED
    ]


@click.command()
@click.argument("wanted", metavar="ID|ADDRESS")
@click.option("--since", type=MomentType(), default="14d", show_default=True, help="How far back: 2h, 3d, 2026-11-22.")
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=10, show_default=True, help="Stories at most.")
@config_option
@json_option
def why(wanted: str, since: float, limit: int, config_file: Path, as_json: bool) -> None:
    """Show what happened to a message, or why a client was refused; the newest first.

    ID is what a message is called in the log, in replies and in Received, or an entry of it in the queue. ADDRESS is a
    sender, a recipient or the IP address of a client; or a Message-ID. Told are the client, each check with what it
    looked at and what it said, what delivery steps decided and why, the reply, every attempt to send the message on
    with the other host's words, and where local copies are now. Connections that a limit refused are told by their
    number, up to a minute later.
    """

    async def operation(store: IMailStore, settings: Settings) -> list[dict[str, Any]]:
        return await stories_of(store, wanted, since, limit)

    stories = on_store(config_file, operation)
    if as_json:
        print_json(stories)
    elif stories:
        click.echo("\n\n".join("\n".join(story_lines(story)) for story in stories))
    if not stories and not as_json:
        raise click.ClickException(f"nothing is known of {wanted} since {moment(since)}")
