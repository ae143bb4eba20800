"""LIST, LSUB, NAMESPACE: which mailboxes there are.

RFC 3501 §6.3.8 and §6.3.9, RFC 5258 (options), RFC 3348 (children), RFC 6154 (special use), RFC 5819 (status),
RFC 2342.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pymailsuite.imap import values
from pymailsuite.imap.commands.mailboxes import status_reply
from pymailsuite.imap.patterns import Patterns
from pymailsuite.imap.render import list_line
from pymailsuite.interfaces import Mailbox
from pymailsuite.values import DELIMITER

if TYPE_CHECKING:
    from pymailsuite.imap.session import Session


async def namespace(session: Session, _: values.Namespace) -> bytes:
    """One personal namespace without a prefix; others' and shared ones do not exist. Source: RFC 2342 §5."""
    session.out.append(f'* NAMESPACE (("" "{DELIMITER}")) NIL NIL\r\n'.encode("ascii"))
    return b"OK NAMESPACE completed"


async def list_mailboxes(session: Session, command: values.List) -> bytes:
    """RFC 3501 §6.3.8 and RFC 5258 §3."""
    if command.patterns == ("",) and not command.selection:
        # A question about the delimiter, not about mailboxes.
        session.out.append(f'* LIST (\\Noselect) "{DELIMITER}" ""\r\n'.encode("ascii"))
        return b"OK LIST completed"
    selection, returns = command.selection, command.returns
    mailboxes = {mailbox.name: mailbox for mailbox in await session.mail.mailboxes()}
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in selection | returns:
        subscribed = frozenset(await session.mail.subscriptions())
    parents = _parents(mailboxes)
    matches = Patterns(command.reference, command.patterns)
    wanted = _Wanted(selection, mailboxes, subscribed, matches)
    # RFC 5258 §3.1: a subscribed name need not exist to be listed.
    names = sorted(mailboxes.keys() | subscribed) if "SUBSCRIBED" in selection else list(mailboxes)
    if "RECURSIVEMATCH" in selection:
        names = sorted({*names, *(parent for name in names for parent in _levels(name))})
    for name in names:
        mailbox = mailboxes.get(name)
        child_info = wanted.child_info(name) if "RECURSIVEMATCH" in selection else ()
        is_wanted = wanted(name)
        if not (is_wanted or child_info) or not matches(name):
            continue
        attributes = _attributes(mailbox, name in parents)
        if name in subscribed:
            attributes.append("\\Subscribed")
        session.out.append(list_line(name, attributes, child_info=child_info))
        # RFC 5819 §2: a name that is there for those below it alone was not asked about.
        if "STATUS" in returns and is_wanted and mailbox is not None and mailbox.selectable:
            session.out.append(status_reply(mailbox, command.status_items, session))
    if "HIGHESTMODSEQ" in command.status_items:
        session.use_condstore()
    return b"OK LIST completed"


async def list_subscribed(session: Session, command: values.Lsub) -> bytes:
    """RFC 3501 §6.3.9: a level matched by ``%`` with a subscribed name below it is listed as ``\\Noselect``."""
    mailboxes = {mailbox.name: mailbox for mailbox in await session.mail.mailboxes()}
    subscribed = frozenset(await session.mail.subscriptions())
    matches = Patterns(command.reference, (command.pattern,))
    listed = {name: _subscribed_attributes(mailboxes.get(name)) for name in subscribed if matches(name)}
    if command.pattern.endswith("%"):
        for name in subscribed:
            for level in _levels(name):
                if level not in subscribed and matches(level):
                    listed[level] = ["\\Noselect"]
    session.out += [list_line(name, listed[name], response="LSUB") for name in sorted(listed)]
    return b"OK LSUB completed"


def _subscribed_attributes(mailbox: Mailbox | None) -> list[str]:
    # RFC 3501 §6.3.9: a name that does not exist any more is still listed.
    return ["\\Noselect"] if mailbox is not None and not mailbox.selectable else []


class _Wanted:
    """Which names the selection options ask for. Source: RFC 5258 §3.1, RFC 6154 §5.2."""

    def __init__(
        self,
        selection: frozenset[str],
        mailboxes: dict[str, Mailbox],
        subscribed: frozenset[str],
        listed: Callable[[str], bool],
    ) -> None:
        self._mailboxes = mailboxes
        self._subscribed = subscribed
        self._listed = listed
        self._options = selection & {"SUBSCRIBED", "SPECIAL-USE"}
        self._below: dict[str, set[str]] | None = None

    def _meets(self, name: str, option: str) -> bool:
        if option == "SUBSCRIBED":
            return name in self._subscribed
        mailbox = self._mailboxes.get(name)
        return mailbox is not None and mailbox.special_use is not None

    def __call__(self, name: str) -> bool:
        """True if the name meets all options."""
        return all(self._meets(name, option) for option in self._options)

    def child_info(self, name: str) -> tuple[str, ...]:
        """The options which names below this one meet (CHILDINFO), of those that are not listed themselves.

        RFC 5258 §3.5: servers should suppress what the client finds in other lines of the reply.
        """
        if self._below is None:
            below: dict[str, set[str]] = {}
            for inferior in self._mailboxes.keys() | self._subscribed:
                met = {option for option in self._options if self._meets(inferior, option)}
                if met == self._options and not self._listed(inferior):
                    for level in _levels(inferior):
                        below.setdefault(level, set()).update(met)
            self._below = below
        return tuple(sorted(self._below.get(name, ())))


def _attributes(mailbox: Mailbox | None, has_children: bool) -> list[str]:
    """Attributes of RFC 3501 §7.2.2, RFC 3348, RFC 5258 and RFC 6154; children and special use always."""
    children = "\\HasChildren" if has_children else "\\HasNoChildren"
    if mailbox is None:
        return ["\\NonExistent", children]
    if not mailbox.selectable:
        return ["\\Noselect", children]
    # RFC 3501 §7.2.2: marked, if messages came since it was last opened.
    marked = "\\Marked" if mailbox.messages and mailbox.uid_next > mailbox.first_recent else "\\Unmarked"
    attributes = [marked, children]
    if mailbox.special_use is not None:
        attributes.append(mailbox.special_use.value)
    return attributes


def _levels(name: str) -> Iterable[str]:
    """The names above this one."""
    at = name.find(DELIMITER)
    while at > 0:
        yield name[:at]
        at = name.find(DELIMITER, at + 1)


def _parents(names: Iterable[str]) -> frozenset[str]:
    return frozenset(level for name in names for level in _levels(name))
