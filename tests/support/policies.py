"""Policies that say what a test wants, and a chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from pymailsuite.config.sections.policy import PolicySection, PolicySettings
from pymailsuite.interfaces.policy import (
    Action,
    IMessageTap,
    IVerdictRecord,
    MailTransaction,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.policy.base import Policy
from pymailsuite.policy.chain import PolicyChain
from pymailsuite.policy.plan import Installed
from pymailsuite.values import Address, Peer

STRANGER = Peer("192.0.2.7", 2525, helo="client.example", esmtp=True)
SENDER = Address("a", "client.example")


def rejecting(text: str = "go away", code: int = 550) -> Verdict:
    """An objection."""
    return Verdict(Action.REJECT, text, reply=PolicyReply(code, f"{code // 100}.7.1", text))


def says(name: str, after: Sequence[str] = (), **answers: Any) -> Policy:
    """A policy that answers, at the stages named, a Verdict, an exception, a Deferred, or what a function says.

    ``asked`` remembers the transactions.
    """

    def method(stage: str, answer: Any) -> Any:
        def ask(self: Any, transaction: MailTransaction) -> Deferred[Verdict]:
            self.asked.append(transaction)
            found = answer(transaction) if callable(answer) else answer
            if isinstance(found, Exception):
                return fail(found)
            return found if isinstance(found, Deferred) else succeed(found)

        return ask

    body: dict[str, Any] = {stage: method(stage, answer) for stage, answer in answers.items()}
    made: Any = type(f"{name.title()}Policy", (Policy,), {**body, "name": name, "after": tuple(after)})()
    made.asked = []
    return made  # type: ignore[no-any-return]


class Ear:
    """A tap that keeps everything."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, octets: bytes) -> None:
        """More of it."""
        self.octets += octets


class ListeningPolicy(Policy):
    """Hears each message, and objects to those with ``spam`` in them."""

    name = "listening"

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        """A new ear."""
        return Ear()  # type: ignore[return-value]

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """By what was heard."""
        assert transaction.message is not None
        ear: Any = transaction.message.taps["listening"]
        return succeed(rejecting("no spam") if b"spam" in ear.octets else Verdict())


def chain_of(
    *policies: Policy,
    clock: Any = None,
    sections: dict[str, PolicySection] | None = None,
    record: IVerdictRecord | None = None,
    **options: Any,
) -> PolicyChain:
    """A chain of them, in this order; a policy without a section objects at once."""
    known = sections or {}
    installed = [Installed(policy, known.get(policy.name, PolicySection(at_once=True))) for policy in policies]
    return PolicyChain(PolicySettings(**options), installed, "mail.example", clock or Clock(), record)


def at(stage: Stage, **more: Any) -> MailTransaction:
    """A transaction of a stranger."""
    facts: dict[str, Any] = {"peer": STRANGER, "authserv_id": "mail.example", "reverse_path": SENDER}
    return MailTransaction(stage, **{**facts, **more})
