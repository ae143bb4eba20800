"""LIST, LSUB: the mailboxes of the account.

RFC 3501 §6.3.8 and §6.3.9, RFC 5258 (options), RFC 3348 (children), RFC 6154 (special use).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.mailboxes import parse_list, parse_lsub
from pymailsuite.imap.patterns import Patterns
from pymailsuite.imap.render import list_line
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import List, Lsub
from pymailsuite.interfaces import Mailbox, Steps, drained
from pymailsuite.values import DELIMITER

_MOST_AT_ONCE: Final = 200
"""The greatest number of names processed in the reactor; more go to a reader thread."""
_NAMES_A_STEP: Final = 50


async def _list_mailboxes(context: Context, command: List) -> bytes:
    """RFC 3501 §6.3.8 and RFC 5258 §3."""
    if command.patterns == ("",) and not command.selection:
        # A question about the delimiter, not about mailboxes.
        context.out.append(f'* LIST (\\Noselect) "{DELIMITER}" ""\r\n'.encode("ascii"))
        return b"OK LIST completed"
    mailboxes = {mailbox.name: mailbox for mailbox in await context.mail.mailboxes()}
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in command.selection or "SUBSCRIBED" in command.returns:
        subscribed = frozenset(await context.mail.subscriptions())
    await _say(context, len(mailboxes) + len(subscribed), _listed(context, command, mailboxes, subscribed))
    options = context.shared.vocabulary.list_returns
    for name, argument in command.returns.items():
        asked = options[name].asked
        if asked is not None:
            asked(context, argument)
    return b"OK LIST completed"


async def _say(context: Context, count: int, work: Steps[list[bytes]]) -> None:
    """Send the lines that ``work`` makes of ``count`` names; many are processed in a reader thread."""
    context.out += drained(work) if count <= _MOST_AT_ONCE else await context.mail.in_steps("list", work)


def _listed(
    context: Context, command: List, mailboxes: Mapping[str, Mailbox], subscribed: frozenset[str]
) -> Steps[list[bytes]]:
    selection = command.selection
    vocabulary = context.shared.vocabulary
    matches = Patterns(command.reference, command.patterns)
    conditions = {name: meets for name in selection if (meets := vocabulary.list_selections[name].meets) is not None}
    wanted = _Wanted(conditions, mailboxes, subscribed, matches)
    tellers = [
        (line, argument)
        for name, argument in command.returns.items()
        if (line := vocabulary.list_returns[name].line) is not None
    ]
    parents = yield from _levels_above(mailboxes)
    # RFC 5258 §3.1: a subscribed name need not exist to be listed.
    names = sorted(mailboxes.keys() | subscribed) if "SUBSCRIBED" in selection else list(mailboxes)
    if "RECURSIVEMATCH" in selection:
        names = sorted({*names, *(yield from _levels_above(names))})
        yield from wanted.look_below()
    out: list[bytes] = []
    for place, name in enumerate(names):
        if place % _NAMES_A_STEP == 0:
            yield
        mailbox = mailboxes.get(name)
        child_info = wanted.child_info(name)
        is_wanted = wanted(name)
        if not (is_wanted or child_info) or not matches(name):
            continue
        attributes = _attributes(mailbox, name in parents)
        if name in subscribed:
            attributes.append("\\Subscribed")
        out.append(list_line(name, attributes, child_info=child_info))
        # RFC 5819 §2: a name listed only for its inferiors gets no STATUS.
        if tellers and is_wanted and mailbox is not None and mailbox.selectable:
            out += [line(context, mailbox, argument) for line, argument in tellers]
    return out


async def _list_subscribed(context: Context, command: Lsub) -> bytes:
    """RFC 3501 §6.3.9: a level matched by ``%`` with a subscribed name below it is listed as ``\\Noselect``."""
    mailboxes = {mailbox.name: mailbox for mailbox in await context.mail.mailboxes()}
    subscribed = frozenset(await context.mail.subscriptions())
    await _say(context, len(subscribed), _listed_subscribed(command, mailboxes, subscribed))
    return b"OK LSUB completed"


def _listed_subscribed(
    command: Lsub, mailboxes: Mapping[str, Mailbox], subscribed: frozenset[str]
) -> Steps[list[bytes]]:
    matches = Patterns(command.reference, (command.pattern,))
    names = subscribed | (yield from _levels_above(subscribed)) if command.pattern.endswith("%") else subscribed
    out: list[bytes] = []
    for place, name in enumerate(sorted(names)):
        if place % _NAMES_A_STEP == 0:
            yield
        if matches(name):
            attributes = _subscribed_attributes(mailboxes.get(name)) if name in subscribed else ["\\Noselect"]
            out.append(list_line(name, attributes, response="LSUB"))
    return out


def _subscribed_attributes(mailbox: Mailbox | None) -> list[str]:
    # RFC 3501 §6.3.9: a name that does not exist any more is still listed.
    return ["\\Noselect"] if mailbox is not None and not mailbox.selectable else []


class _Wanted:
    """Tests names against the selection options. Source: RFC 5258 §3.1, RFC 6154 §5.2."""

    def __init__(
        self,
        conditions: Mapping[str, Callable[[str, Mailbox | None, bool], bool]],
        mailboxes: Mapping[str, Mailbox],
        subscribed: frozenset[str],
        listed: Callable[[str], bool],
    ) -> None:
        self._mailboxes = mailboxes
        self._subscribed = subscribed
        self._listed = listed
        self._conditions = conditions
        self._all = tuple(conditions.values())
        self._below: dict[str, set[str]] = {}

    def _meets(self, name: str, meets: Callable[[str, Mailbox | None, bool], bool]) -> bool:
        return meets(name, self._mailboxes.get(name), name in self._subscribed)

    def __call__(self, name: str) -> bool:
        """True if the name meets all options."""
        return all(self._meets(name, meets) for meets in self._all)

    def look_below(self) -> Steps[None]:
        """For RECURSIVEMATCH: find the options that the names below each name meet."""
        below = self._below
        for place, inferior in enumerate(self._mailboxes.keys() | self._subscribed):
            if place % _NAMES_A_STEP == 0:
                yield
            met = {option for option, meets in self._conditions.items() if self._meets(inferior, meets)}
            if len(met) == len(self._conditions) and not self._listed(inferior):
                for level in _levels(inferior):
                    below.setdefault(level, set()).update(met)

    def child_info(self, name: str) -> tuple[str, ...]:
        """The options (CHILDINFO) met by names below this one that are not listed themselves.

        RFC 5258 §3.5: servers should suppress what the client finds in other lines of the reply.
        """
        met = self._below.get(name)
        return tuple(sorted(met)) if met else ()


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


def _levels_above(names: Collection[str]) -> Steps[set[str]]:
    """The names above any of these."""
    above: set[str] = set()
    for place, name in enumerate(names):
        if place % _NAMES_A_STEP == 0:
            yield
        above.update(_levels(name))
    return above


COMMANDS: Final = (
    ImapCommand("LIST", AFTER_LOGIN, _list_mailboxes, parse_list),
    ImapCommand("LSUB", AFTER_LOGIN, _list_subscribed, parse_lsub),
)
