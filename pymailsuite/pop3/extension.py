"""A POP3 extension, declared once: its line in CAPA, and its commands.

The built-in extensions are in :mod:`pymailsuite.pop3.extensions`, and are found as plugins like those of other
packages. The commands that RFC 1939 requires of every server are no extension; the session has them, and CAPA too.

Source: RFC 2449 §3, §5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.plugins import plugins_by_name
from pymailsuite.pop3.states import State
from pymailsuite.wire.extension import ExtensionTable

BASE_COMMANDS: Final = frozenset({b"CAPA", b"QUIT", b"STAT", b"LIST", b"RETR", b"DELE", b"NOOP", b"RSET"})
"""Commands that no extension may replace. Source: RFC 1939 §4, §5, §6."""


class ExtensionContext(Protocol):
    """The part of the session that an extension may use."""

    state: State
    login_name: str
    """The user's, empty before login."""

    @property
    def settings(self) -> Pop3Settings:
        """``[pop3]``."""

    @property
    def secure(self) -> bool:
        """Whether there is TLS."""

    def good(self, octets: bytes) -> None:
        """A reply to a command that was in order, as :mod:`pymailsuite.pop3.replies` makes it."""

    def refuse(self, octets: bytes) -> None:
        """A reply to a command that was not in order; too many of those end the connection."""

    def index_of(self, number: int) -> int:
        """The index of a message in the listing. PeerError if there is none of that number, or it is marked deleted."""

    def read_message(self, index: int, lines: int | None) -> Any:
        """The request for a reply that is a message: all of it, or its header and ``lines`` lines of its body."""


@frozen(eq=False)
class Command:
    """A command, legal in ``state``; None: in any but within AUTH.

    ``handle`` takes the session and the text after the keyword; it sends a reply and returns None, or returns
    ``AwaitReply`` of :mod:`pymailsuite.wire.extension`, or another request of :mod:`pymailsuite.pop3.requests`. A
    MailError it raises is the reply.
    """

    keyword: bytes
    handle: Callable[[Any, bytes], Any]
    state: State | None


class IPop3Extension(Interface):
    """See :class:`Pop3Extension`."""

    name = Attribute("What it is called in the log; lower case.")


@implementer(IPlugin, IPop3Extension)
@frozen
class Pop3Extension:
    """One extension. ``capability`` is its line in the CAPA reply, or a function that returns it; empty: not offered
    now.

    ``position`` orders these lines.
    """

    name: str
    capability: str | Callable[[Any], str] = ""
    commands: tuple[Command, ...] = ()
    position: int = 100

    @property
    def offer(self) -> str | Callable[[Any], str]:
        """The line in the CAPA reply, or the function that returns it."""
        return self.capability


class Extensions(ExtensionTable[Pop3Extension]):
    """All extensions of a listener, as the session looks them up."""

    protocol = "pop3"

    def __init__(self, extensions: Iterable[Pop3Extension]) -> None:
        super().__init__(extensions)
        self.commands: dict[bytes, Command] = {}
        for one in self.declared:
            for command in one.commands:
                keyword = command.keyword.upper()
                if keyword in BASE_COMMANDS:
                    self.report_taken(one, keyword, "RFC 1939")
                else:
                    self.add(self.commands, keyword, command, one)


def find_extensions() -> Extensions:
    """The extensions declared as plugins, built-in ones and those of other packages."""
    found = plugins_by_name(IPop3Extension).values()
    return Extensions([one for one in found if isinstance(one, Pop3Extension)])
