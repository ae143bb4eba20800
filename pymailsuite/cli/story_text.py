"""What happened to a message, in words for people; ``why`` and ``explain`` use the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_WHAT: Final = {
    "client_refused": "connection refused",
    "hello_refused": "HELO refused",
    "sender_refused": "sender refused",
    "recipient_refused": "recipient refused",
    "login_refused": "login refused",
    "refused": "message refused",
    "cut_off": "connection ended",
    "too_many_connections": "too many connections",
    "bad_proxy_header": "wrong PROXY header",
}
_SAID: Final = {"pass": "no objection", "accept": "vouches for it", "tag": "marks it"}
_DISPOSALS: Final = {"junk": ", for the mailbox of junk", "discard": ", to be thrown away"}


def story_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """A story as ``why --json`` has it."""
    yield f"{told['at']}  {told['id']}  {_WHAT.get(told.get('what', ''), told['kind'])}"
    if told.get("peer"):
        yield f"  client    {_client(told['peer'])}"
    if told.get("protocol"):
        yield f"  protocol  {told['protocol']}"
    if told.get("about"):
        yield f"  about     {told['about']}"
    if told.get("sender") is not None:
        yield f"  sender    {told['sender'] or '<>'}"
    if told.get("message_id"):
        yield f"  message   <{told['message_id']}>, {told['size']} octets"
    for recipient in told.get("recipients", ()):
        yield f"  recipient {recipient_text(recipient)}"
    for step in told.get("steps", ()):
        yield f"  step      {step_text(step)}"
    for applied in told.get("rulings", ()):
        for line in verdict_lines(applied):
            yield f"  {line}"
    if told.get("left_out"):
        yield "  (what the checks found was too long to be kept)"
    if told.get("number", 1) > 1:
        yield f"  number    {told['number']}, from {told['since']} to {told['until']}; the last was told:"
    if told.get("reply"):
        by = f"  (by {told['policy']})" if told.get("policy") else ""
        yield f"  reply     {told['reply']}{by}"
    if told.get("reason"):
        yield f"  reason    {told['reason']}"
    for later in told.get("later", ()):
        yield f"  then      {_WHAT.get(later.get('what', ''), 'refused')}: {later.get('reply', '')}"
    for attempt in told["attempts"]:
        yield f"  attempt   {_attempt(attempt)}"
    for copy in told["copies"]:
        yield f"  copy      {_copy(copy)}"
    for report in told["reports"]:
        yield f"  report    sent to the sender as {report}"
    for waiting in told["waiting"]:
        held = ", held by an operator" if waiting["held"] else f", next attempt at {waiting['next_attempt']}"
        yield f"  waiting   {waiting['recipient']}{held}"


def _client(peer: Mapping[str, Any]) -> str:
    first: str = peer.get("ip", "many clients")
    if peer.get("rdns"):
        first += f" ({peer['rdns']})"
    return ", ".join([first, *(f"{name} {peer[name]}" for name in ("helo", "login", "tls") if peer.get(name))])


def recipient_text(recipient: Mapping[str, Any]) -> str:
    """Where mail for one goes: into whose mailbox, and where the copy is ``now``, or on to which address."""
    text: str = recipient["recipient"]
    if recipient.get("disposal") == "discard":
        return f"{text}: thrown away, as a check wants it"
    if "reply" in recipient:
        return f"{text}: refused, {recipient['reply']}"
    if "mailbox" in recipient:
        return f"{text}: {_copy(recipient)}"
    if "address" in recipient:
        return f"{text}: on to {recipient['address']}"
    return text


def _copy(recipient: Mapping[str, Any]) -> str:
    account, now = recipient.get("account"), recipient.get("now")
    if recipient.get("disposal") == "junk":
        told = "taken for junk"
        if now is None:
            return f"{told}, into the mailbox for it of {account}"
        owner = f" of {account}" if account and account != recipient["recipient"] else ""
        return f"{told}, now in {', '.join(now)}{owner}" if now else f"{told}, now in no mailbox: expunged since"
    told = f"into {recipient['mailbox']} of {account or 'an account that is gone'}"
    if account is None or now is None or now == [recipient["mailbox"]]:
        return told
    return f"{told}, now in {', '.join(now)}" if now else f"{told}, expunged since"


def step_text(step: Mapping[str, Any]) -> str:
    """The decision of a delivery step, its recipient, and the reason."""
    about = f" {step['recipient']}" if step["recipient"] else ""
    return f"{step['step']}: {step['did']}{about}" + (f" ({step['why']})" if step["why"] else "")


def verdict_lines(applied: Mapping[str, Any]) -> Iterator[str]:
    """Each verdict, its effect, and below that its evidence."""
    about = f" about {applied['recipient']}" if applied["recipient"] else ""
    yield f"at {applied['stage']:8}{applied['policy']}{about}: {_said(applied)}; {applied['reason']}"
    inputs = [
        f"{name}={value}"
        for name, value in applied["evidence"].items()
        if isinstance(value, str | int | float) and value not in ("", applied["reason"])
    ]
    if inputs:
        yield f"           {', '.join(inputs)}"


def _said(applied: Mapping[str, Any]) -> str:
    said, counts = applied["said"], applied["counts_as"]
    text: str = _SAID.get(said, said) + _DISPOSALS.get(applied.get("disposal", ""), "")
    if said in ("pass", counts) and not applied["score"]:
        return text
    if counts == "none":
        return f"{text}, not counted"
    if counts == "overruled":
        return f"{text}, set aside ({applied['set_aside']})" if applied.get("set_aside") else f"{text}, set aside"
    if counts == "score":
        return f"{text}, counts {applied['score']:g}"
    return f"{text}, counts as {counts}"


def _attempt(attempt: Mapping[str, Any]) -> str:
    host = f"{attempt['host']} said: " if attempt["host"] else ""
    again = f"; again at {attempt['next_attempt']}" if attempt["next_attempt"] else ""
    return f"{attempt['at']} {attempt['recipient']} {attempt['state']}: {host}{attempt['reply']}{again}"
