"""LIST, LSUB: the mailboxes of the account.

RFC 3501 §6.3.8 and §6.3.9, RFC 5258 (options), RFC 3348 (children), RFC 6154 (special use).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from attrs import evolve

from pymailsuite.imap.commands.mailboxes import uses_of
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar.mailboxes import parse_list, parse_lsub
from pymailsuite.imap.patterns import Patterns
from pymailsuite.imap.places import Places
from pymailsuite.imap.render import list_line
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import List, Lsub
from pymailsuite.interfaces import Mailbox, Steps, drained, mapped_in_steps
from pymailsuite.interfaces.rights import Right
from pymailsuite.interfaces.sharing import SharedMailbox

T = TypeVar("T")

_MOST_AT_ONCE: Final = 200
"""The greatest number of names processed in the reactor; more go to a reader thread."""
NAMES_A_STEP: Final = 50


async def _list_mailboxes(context: Context, command: List) -> bytes:
    """RFC 3501 §6.3.8 and RFC 5258 §3."""
    if command.patterns == ("",) and not command.selection and not command.returns:
        # A question about the delimiter, not about mailboxes.
        context.out.append(list_line(context.places.form, "", ["\\Noselect"]))
        return b"OK LIST completed"
    matches = Patterns(command.reference, command.patterns, context.places.form.delimiter)
    mailboxes = await listed_mailboxes(context, matches)
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in command.selection or "SUBSCRIBED" in command.returns:
        subscribed = await subscribed_names(context)
    options = context.shared.vocabulary.list_returns
    arguments = dict(command.returns)
    for name, argument in command.returns.items():
        before = options[name].before
        if before is not None:
            arguments[name] = await before(context, argument)
    listed = _listed(context, evolve(command, returns=arguments), matches, mailboxes, subscribed)
    await _say(context, len(mailboxes) + len(subscribed), listed)
    for name, argument in command.returns.items():
        asked = options[name].asked
        if asked is not None:
            asked(context, argument)
    return b"OK LIST completed"


async def listed_mailboxes(context: Context, matches: Patterns | None) -> dict[str, Mailbox]:
    """All mailboxes that may be listed, by the names that the client has for them; without ``matches`` the user's own
    alone."""
    places = context.places
    own: Sequence[Mailbox]
    shared: Sequence[SharedMailbox] = ()
    if matches is not None and any(map(matches.reach, places.naming.prefixes_of_others())):
        own, shared = await places.own_and_visible()
    else:
        own = await context.mail.mailboxes()
    if not shared and not places.naming.profile.prefix:
        return {mailbox.name: mailbox for mailbox in own}
    return await in_turns(context, len(own) + len(shared), _named(places, own, shared))


def _named(places: Places, own: Sequence[Mailbox], shared: Sequence[SharedMailbox]) -> Steps[dict[str, Mailbox]]:
    named: dict[str, Mailbox] = {}
    for place, mailbox in enumerate(own):
        if place % NAMES_A_STEP == 0:
            yield
        named[places.naming.profile.wire(mailbox.name)] = mailbox
    for place, (owner, mailbox) in enumerate((one.owner, one.mailbox) for one in shared):
        if place % NAMES_A_STEP == 0:
            yield
        named.setdefault(places.wire_of_others(owner, mailbox.name), mailbox)
    return named


async def subscribed_names(context: Context) -> frozenset[str]:
    """The subscribed names, as the client has them."""
    places = context.places
    kept = await context.mail.subscriptions()
    return frozenset(await in_turns(context, len(kept), mapped_in_steps(places.wire_of_subscription, kept, 50)))


async def in_turns(context: Context, count: int, work: Steps[T]) -> T:
    """The result of work on ``count`` names; many are processed in a reader thread."""
    if count <= _MOST_AT_ONCE:
        return drained(work)
    result: T = await context.mail.in_steps("list", work)
    return result


def _listed(
    context: Context, command: List, matches: Patterns, mailboxes: Mapping[str, Mailbox], subscribed: frozenset[str]
) -> Steps[list[bytes]]:
    selection = command.selection
    vocabulary = context.shared.vocabulary
    form = context.places.form
    delimiter = form.delimiter
    conditions = {name: meets for name in selection if (meets := vocabulary.list_selections[name].meets) is not None}
    wanted = _Wanted(conditions, mailboxes, subscribed, matches, delimiter)
    tellers = [
        (line, argument)
        for name, argument in command.returns.items()
        if (line := vocabulary.list_returns[name].line) is not None
    ]
    parents = yield from levels_above(mailboxes, delimiter)
    # RFC 5258 §3.1: a subscribed name need not exist to be listed.
    names: Collection[str] = mailboxes.keys() | subscribed if "SUBSCRIBED" in selection else mailboxes
    if "RECURSIVEMATCH" in selection:
        names = {*names, *(yield from levels_above(names, delimiter))}
        yield from wanted.look_below()
    elif not parents <= mailboxes.keys():
        # Levels of the namespaces of others, which are no mailboxes.
        names = {*names, *parents}
    is_extended = bool(selection or command.returns)
    out: list[bytes] = []
    for place, name in enumerate(names if names is mailboxes else sorted(names)):
        if place % NAMES_A_STEP == 0:
            yield
        mailbox = mailboxes.get(name)
        child_info = wanted.child_info(name)
        is_wanted = wanted(name)
        if not (is_wanted or child_info) or not matches(name):
            continue
        attributes = attributes_of(mailbox, name in parents, is_extended=is_extended)
        if name in subscribed:
            attributes.append("\\Subscribed")
        out.append(list_line(form, name, attributes, child_info=child_info))
        # RFC 5819 §2: a name listed only for its inferiors gets no STATUS.
        if tellers and is_wanted and mailbox is not None and mailbox.selectable:
            out += [line(context, name, mailbox, argument) for line, argument in tellers]
    return out


async def _list_subscribed(context: Context, command: Lsub) -> bytes:
    """RFC 3501 §6.3.9: a level matched by ``%`` with a subscribed name below it is listed as ``\\Noselect``."""
    matches = Patterns(command.reference, (command.pattern,), context.places.form.delimiter)
    mailboxes = await listed_mailboxes(context, None)
    subscribed = await subscribed_names(context)
    await _say(context, len(subscribed), _listed_subscribed(context, command, matches, mailboxes, subscribed))
    return b"OK LSUB completed"


async def _say(context: Context, count: int, work: Steps[list[bytes]]) -> None:
    """Send the lines that ``work`` makes of ``count`` names."""
    context.out += await in_turns(context, count, work)


def _listed_subscribed(
    context: Context, command: Lsub, matches: Patterns, mailboxes: Mapping[str, Mailbox], subscribed: frozenset[str]
) -> Steps[list[bytes]]:
    form = context.places.form
    names: Collection[str] = subscribed
    if command.pattern.endswith("%"):
        names = subscribed | (yield from levels_above(subscribed, form.delimiter))
    out: list[bytes] = []
    for place, name in enumerate(sorted(names)):
        if place % NAMES_A_STEP == 0:
            yield
        if matches(name):
            attributes = _subscribed_attributes(mailboxes.get(name)) if name in subscribed else ["\\Noselect"]
            out.append(list_line(form, name, attributes, response="LSUB"))
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
        delimiter: str,
    ) -> None:
        self._delimiter = delimiter
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
            if place % NAMES_A_STEP == 0:
                yield
            met = {option for option, meets in self._conditions.items() if self._meets(inferior, meets)}
            if len(met) == len(self._conditions) and not self._listed(inferior):
                for level in _levels(inferior, self._delimiter):
                    below.setdefault(level, set()).update(met)

    def child_info(self, name: str) -> tuple[str, ...]:
        """The options (CHILDINFO) met by names below this one that are not listed themselves.

        RFC 5258 §3.5: servers should suppress what the client finds in other lines of the reply.
        """
        met = self._below.get(name)
        return tuple(sorted(met)) if met else ()


def attributes_of(mailbox: Mailbox | None, has_children: bool, *, is_extended: bool) -> list[str]:
    """Attributes of RFC 3501 §7.2.2, RFC 3348, RFC 5258 and RFC 6154; children and special use always.

    Clients that send no command of RFC 5258 (``is_extended``) know no other word for a level without a mailbox than
    that of RFC 3501.
    """
    children = "\\HasChildren" if has_children else "\\HasNoChildren"
    if mailbox is None and is_extended:
        return ["\\NonExistent", children]
    # RFC 9051 §6.3.9.2: \Noselect too for another's mailbox that the user may not read.
    if mailbox is None or not mailbox.selectable or Right.READ not in mailbox.rights:
        return ["\\Noselect", children]
    # RFC 3501 §7.2.2: marked, if messages came since it was last opened.
    marked = "\\Marked" if mailbox.messages and mailbox.uid_next > mailbox.first_recent else "\\Unmarked"
    attributes = [marked, children]
    if mailbox.special_use is not None:
        attributes += uses_of(mailbox)
    return attributes


def _levels(name: str, delimiter: str) -> Iterable[str]:
    """The names above this one."""
    at = name.find(delimiter)
    while at > 0:
        yield name[:at]
        at = name.find(delimiter, at + 1)


def levels_above(names: Collection[str], delimiter: str) -> Steps[set[str]]:
    """The names above any of these."""
    above: set[str] = set()
    for place, name in enumerate(names):
        if place % NAMES_A_STEP == 0:
            yield
        above.update(_levels(name, delimiter))
    return above


COMMANDS: Final = (
    ImapCommand("LIST", AFTER_LOGIN, _list_mailboxes, parse_list),
    ImapCommand("LSUB", AFTER_LOGIN, _list_subscribed, parse_lsub),
)
