"""An SMTP extension, declared once: its EHLO line, its commands, its parameters of MAIL and RCPT.

The built-in extensions are in :mod:`pymailsuite.smtp.extensions`, a module each, and are found as plugins like those of
other packages. The commands that RFC 5321 §4.5.1 requires of every server are no extension; the session has them.

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
"""Commands that no extension may replace. Source: RFC 5321 §4.5.1."""


class ExtensionContext(Protocol):
    """The part of the session that an extension may use."""

    settings: SmtpSettings
    """The listener's section."""
    state: State

    @property
    def peer(self) -> Peer:
        """The client; ``peer.login`` is the user's name, empty before AUTH."""

    @property
    def hostname(self) -> str:
        """Our name."""

    @property
    def submission(self) -> bool:
        """Whether this listener takes submissions from users (RFC 6409)."""

    @property
    def secure(self) -> bool:
        """Whether there is TLS."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parsed values of MAIL's parameters, by keyword."""

    def say(self, octets: bytes) -> None:
        """A reply, as :func:`pymailsuite.smtp.replies.reply` makes it."""

    def refuse(self, octets: bytes) -> None:
        """A reply to a command that was not in order; too many of those end the connection."""


@frozen(eq=False)
class Command:
    """A command. ``handle`` takes the session and the text after the verb; it sends a reply and returns None, or
    returns ``AwaitReply`` of :mod:`pymailsuite.wire.extension`, or another request of :mod:`pymailsuite.smtp.requests`.
    A MailError it raises is the reply.

    ``refused_in`` maps the states in which the command is out of order to the reply. ``help`` are lines for HELP.
    """

    verb: str
    handle: Callable[[Any, str], Any]
    refused_in: Mapping[State, bytes] = field(factory=dict)
    help: tuple[str, ...] = ()


@frozen(eq=False)
class Parameter:
    """A parameter of MAIL or RCPT. ``take`` is called with the session and the value, which is empty if there is none.

    Its result is kept with the envelope, under the keyword, for policies and delivery; a MailError it raises is the
    reply.
    """

    keyword: str
    take: Callable[[Any, str], Any]


class ISmtpExtension(Interface):
    """See :class:`SmtpExtension`."""

    name = Attribute("What it is called in the log; lower case.")


@implementer(IPlugin, ISmtpExtension)
@frozen
class SmtpExtension:
    """One extension. ``keyword`` is its line in the EHLO reply, or a function that returns the line; empty: not offered
    now.

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
        """The line in the EHLO reply, or the function that returns it."""
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
    """The extensions declared as plugins, built-in ones and those of other packages."""
    found = plugins_by_name(ISmtpExtension).values()
    return Extensions([one for one in found if isinstance(one, SmtpExtension)])
