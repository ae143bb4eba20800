"""What becomes of a message's octets on their way to one host: transforms, found as plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.content import MessageSource
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.queue import QueueEntry
from pymailsuite.interfaces.store import IMailStore
from pymailsuite.values import Address


@frozen
class EgressTransaction:
    """One transaction with one host, before its first command.

    ``reverse_path`` and ``recipients`` are as they will be said in MAIL and RCPT. ``extensions`` is what EHLO offered:
    keyword in upper case to parameters. ``host`` is the name of the host.
    """

    entry: QueueEntry
    reverse_path: Address | None
    recipients: tuple[Address, ...]
    extensions: Mapping[str, str]
    host: str


class IEgressTransform(Interface):
    """Makes of a message what one transaction is to carry. What is stored stays as it was received."""

    name = Attribute("The name it has in the settings, in the log and in replies.")

    def transform(
        transaction: EgressTransaction, source: MessageSource
    ) -> MessageSource | Deferred[MessageSource | None] | None:
        """The message as it is to be sent; None: as it is.

        ``source`` is what the transforms before this one made. It may be read, in pieces, as often as wanted; the
        answer may read it only when it is read itself. A message never has to be in memory whole.

        A Refusal: it cannot be sent to this host, and fails if no other takes it. A TemporaryFailure: not now. Anything
        else that is raised, an answer that does not come in time, and octets that are not as many as promised delay the
        message, whose sender is told the transform's name.
        """


@frozen
class EgressContext:
    """What a transform is made of. ``options`` is its table below ``[egress.plugins]``; ``in_thread`` calls a function
    with arguments in a thread."""

    host_name: str
    clock: IReactorTime
    store: IMailStore
    resolver: IResolver
    in_thread: Callable[..., Deferred[Any]]
    options: Mapping[str, Any] = field(factory=dict)


class IEgressTransformFactory(Interface):
    """A plugin that declares a transform."""

    name = Attribute("The name by which ``[egress] transforms`` has it.")

    def make(context: EgressContext) -> IEgressTransform:
        """The transform. ConfigError if its options are wrong."""
