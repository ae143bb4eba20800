"""An extension of SMTP, declared once: what EHLO says of it, its commands, its parameters of MAIL and RCPT.

Ours are in :mod:`pymailsuite.smtp.extensions`, a module each, and are found as plugins like those of other packages.
What RFC 5321 §4.5.1 wants of every server is no extension; it is the session's.

Source: RFC 5321 §2.2.2, §4.1.1.1, §4.1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from attrs import field, frozen
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from pymailsuite.config.sections.smtp import SmtpSettings
from pymailsuite.plugins import plugins_by_name
from pymailsuite.smtp.states import State
from pymailsuite.values import Peer
from pymailsuite.wire.extension import ExtensionTable

BASE_COMMANDS: Final = frozenset({"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "VRFY", "NOOP", "QUIT"})
"""Those that no extension takes the place of. Source: RFC 5321 §4.5.1."""


class ExtensionContext(Protocol):
    """What an extension may ask of a conversation, and do there."""

    settings: SmtpSettings
    """The listener's section."""
    state: State

    @property
    def peer(self) -> Peer:
        """Who is at the other end; ``peer.login`` is the user's name, empty before AUTH."""

    @property
    def hostname(self) -> str:
        """Our name."""

    @property
    def submission(self) -> bool:
        """Whether users hand in mail of their own here."""

    @property
    def secure(self) -> bool:
        """Whether there is TLS."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What MAIL's parameters were taken for, by keyword."""

    def say(self, octets: bytes) -> None:
        """A reply, as :func:`pymailsuite.smtp.replies.reply` makes it."""

    def refuse(self, octets: bytes) -> None:
        """A reply to a command that was not in order; too many of those end the connection."""


@frozen(eq=False)
class Command:
    """A command. ``handle`` is given the conversation and what follows the verb; it says a reply and answers None, or
    answers ``AwaitReply`` of :mod:`pymailsuite.wire.extension`, or another request of
    :mod:`pymailsuite.smtp.requests`. A MailError it raises is the reply.

    ``refused_in`` are states in which it is out of order, and what is said then. ``help`` are lines for HELP.
    """

    verb: str
    handle: Callable[[Any, str], Any]
    refused_in: Mapping[State, bytes] = field(factory=dict)
    help: tuple[str, ...] = ()


@frozen(eq=False)
class Parameter:
    """A parameter of MAIL or RCPT. ``take`` is given the conversation and the value, empty if there is none.

    What it answers is kept with the envelope, under the keyword, for policies and delivery; a MailError it raises is
    the reply.
    """

    keyword: str
    take: Callable[[Any, str], Any]


class ISmtpExtension(Interface):
    """See :class:`SmtpExtension`."""

    name = Attribute("What it is called in the log; lower case.")


@implementer(IPlugin, ISmtpExtension)
@frozen
class SmtpExtension:
    """One extension. ``keyword`` is its line in the reply to EHLO, or answers that line; empty: not offered just now.

    ``position`` orders these lines.
    """

    name: str
    keyword: str | Callable[[Any], str] = ""
    commands: tuple[Command, ...] = ()
    mail_parameters: tuple[Parameter, ...] = ()
    recipient_parameters: tuple[Parameter, ...] = ()
    position: int = 100

    @property
    def offer(self) -> str | Callable[[Any], str]:
        """What EHLO says of it."""
        return self.keyword


class Extensions(ExtensionTable[SmtpExtension]):
    """All extensions of a listener, as the session looks them up."""

    protocol = "smtp"

    def __init__(self, extensions: Iterable[SmtpExtension]) -> None:
        super().__init__(extensions)
        self.commands: dict[str, Command] = {}
        self.mail_parameters: dict[str, Parameter] = {}
        self.recipient_parameters: dict[str, Parameter] = {}
        for one in self.declared:
            for command in one.commands:
                if command.verb in BASE_COMMANDS:
                    self.report_taken(one, command.verb, "RFC 5321")
                else:
                    self.add(self.commands, command.verb, command, one)
            for parameter in one.mail_parameters:
                self.add(self.mail_parameters, parameter.keyword, parameter, one)
            for parameter in one.recipient_parameters:
                self.add(self.recipient_parameters, parameter.keyword, parameter, one)


def find_extensions() -> Extensions:
    """Those that are declared as plugins: ours and others'."""
    found = plugins_by_name(ISmtpExtension).values()
    return Extensions([one for one in found if isinstance(one, SmtpExtension)])
