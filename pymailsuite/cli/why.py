"""``pymailsuite why``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.moment import MomentType
from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_json
from pymailsuite.config.settings import Settings
from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces import IMailStore, QueueEntry, RecipientState
from pymailsuite.interfaces.history import Copy, HistoryEntry, HistoryKind, Story
from pymailsuite.values import AccountId, ContentId, QueueId, content_id_of, queue_id_of

_ACCEPTED: Final = "250 2.0.0 {} Message accepted for delivery"
_WHAT: Final = {
    "client_refused": "connection refused",
    "hello_refused": "HELO refused",
    "sender_refused": "sender refused",
    "recipient_refused": "recipient refused",
    "login_refused": "login refused",
    "refused": "message refused",
}


def content_of(text: str) -> ContentId | None:
    """The content id, if the text is a queue id."""
    try:
        return content_id_of(QueueId(text.upper()))
    except ValueError:
        return None


async def stories_of(store: IMailStore, wanted: str, since: float, limit: int) -> list[dict[str, Any]]:
    """The stories of a queue id, or of anything a story can be found by; the newest first."""
    content_id = content_of(wanted)
    if content_id is not None:
        story = await store.history.story(content_id)
        found = [] if story is None else [story]
    else:
        name = wanted.strip().removeprefix("<").removesuffix(">")
        found = await store.history.about(name, since, limit)
    return [await _told(store, story) for story in found]


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
    elif first.kind is HistoryKind.MORE_REFUSED:
        told |= {"since": moment(told["since"]), "until": moment(told["until"])}
    told["attempts"] = [attempt for entry in others for attempt in _attempts(entry)]
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
        for outcome in _facts(entry)["outcomes"]:
            due = outcome["next_attempt"] if outcome["state"] == RecipientState.WAITING.value else None
            yield {"at": moment(entry.happened_at), **outcome, "next_attempt": moment(due)}


async def _with_copies(
    store: IMailStore, content_id: ContentId, recipients: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Recipients, those who are here with where their copy is now."""
    told = []
    for recipient in recipients:
        facts = dict(recipient)
        account_id = facts.pop("account_id", None)
        if account_id is not None:
            copies: Sequence[Copy] = await store.history.copies(content_id, [AccountId(account_id)])
            facts["account"] = copies[0].login_name if copies else None
            facts["now"] = [copy.mailbox for copy in copies if copy.mailbox is not None]
        told.append(facts)
    return told


async def _waiting(store: IMailStore, queue_id: QueueId) -> list[dict[str, Any]]:
    try:
        entry: QueueEntry = await store.queue.entry(queue_id)
    except NoSuchEntry:
        return []
    return [
        {"recipient": str(one.address), "next_attempt": moment(one.next_attempt), "held": entry.held}
        for one in entry.recipients
        if one.state is RecipientState.WAITING
    ]


# --- for people


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    kind = told["kind"]
    yield f"{told['at']}  {told['id']}  {_WHAT.get(told.get('what', ''), kind)}"
    if told.get("peer"):
        yield f"  client    {_client(told['peer'])}"
    if told.get("about"):
        yield f"  about     {told['about']}"
    if "sender" in told and told["sender"] is not None:
        yield f"  sender    {told['sender'] or '<>'}"
    if told.get("message_id"):
        yield f"  message   <{told['message_id']}>, {told['size']} octets"
    for recipient in told.get("recipients", ()):
        yield f"  recipient {_recipient(recipient)}"
    for ruling in told.get("rulings", ()):
        yield from _ruling(ruling)
    if kind == HistoryKind.MORE_REFUSED.value:
        yield f"  {told['number']} more refusals from {told['since']} to {told['until']}, the last:"
    if told.get("reply"):
        by = f"  (by {told['policy']})" if told.get("policy") else ""
        yield f"  reply     {told['reply']}{by}"
    for attempt in told["attempts"]:
        yield f"  {_attempt(attempt)}"
    for report in told["reports"]:
        yield f"  report    sent to the sender as {report}"
    for waiting in told["waiting"]:
        held = ", held by an operator" if waiting["held"] else f", next attempt at {waiting['next_attempt']}"
        yield f"  waiting   {waiting['recipient']}{held}"


def _client(peer: Mapping[str, Any]) -> str:
    words = [peer.get("ip", "many clients")]
    if peer.get("rdns"):
        words.append(f"({peer['rdns']})")
    words += [f"{name} {peer[name]}" for name in ("helo", "login", "tls") if peer.get(name)]
    return ", ".join(words).replace(", (", " (", 1)


def _recipient(recipient: Mapping[str, Any]) -> str:
    text: str = recipient["recipient"]
    if recipient.get("disposal") == "discard":
        text += ": thrown away, as a check wants it"
    elif recipient.get("disposal") == "junk" and "mailbox" in recipient:
        text += f": taken for junk, now in {', '.join(recipient['now']) or 'no mailbox: expunged since'}"
    elif "mailbox" in recipient:
        account = recipient.get("account")
        text += f": into {recipient['mailbox']} of {account or 'an account that is gone'}"
        now = recipient["now"]
        if account and now != [recipient["mailbox"]]:
            text += f", now in {', '.join(now)}" if now else ", expunged since"
    elif "address" in recipient:
        text += f": on to {recipient['address']}"
    return text


def _ruling(ruling: Mapping[str, Any]) -> Iterator[str]:
    counts = ruling["counts_as"] + (f" {ruling['score']:g}" if ruling["score"] else "")
    about = f" about {ruling['recipient']}" if ruling["recipient"] else ""
    yield f"  at {ruling['stage']:7}{ruling['policy']}{about}: {ruling['said']}, counts as {counts}; {ruling['reason']}"
    inputs = [
        f"{name}={value}"
        for name, value in ruling["evidence"].items()
        if isinstance(value, str | int | float) and value not in ("", ruling["reason"])
    ]
    if inputs:
        yield f"            {', '.join(inputs)}"


def _attempt(attempt: Mapping[str, Any]) -> str:
    host = f"{attempt['host']} said: " if attempt["host"] else ""
    again = f"; again at {attempt['next_attempt']}" if attempt["next_attempt"] else ""
    return f"{attempt['at']} {attempt['recipient']} {attempt['state']}: {host}{attempt['reply']}{again}"


@click.command()
@click.argument("wanted", metavar="ID|ADDRESS")
@click.option("--since", type=MomentType(), default="14d", show_default=True, help="How far back: 2h, 3d, 2026-11-22.")
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=10, show_default=True, help="Stories at most.")
@config_option
@json_option
def why(wanted: str, since: float, limit: int, config_file: Path, as_json: bool) -> None:
    """What happened to a message, or why somebody was refused; the newest first.

    ID is what a message is called in the log, in replies and in Received. ADDRESS is a sender, a recipient or the IP
    address of a client; a Message-ID will do too. Told are the client, each check with what it looked at and what it
    said, the reply, every attempt to send the message on with the other host's words, and where local copies are now.
    """

    async def operation(store: IMailStore, settings: Settings) -> list[dict[str, Any]]:
        return await stories_of(store, wanted, since, limit)

    stories = on_store(config_file, operation)
    if as_json:
        print_json(stories)
    elif stories:
        click.echo("\n\n".join("\n".join(_lines(story)) for story in stories))
    if not stories and not as_json:
        raise click.ClickException(f"nothing is known of {wanted} since {moment(since)}")
