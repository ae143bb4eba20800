"""Many sessions on the same mailboxes at random, as imaptest has it: no client is told what cannot be, no message is
lost or there twice, and in the end all know the same.

Each client is a model that believes what it is told (``tests.support.imap_model``). Answers of the store come late and
in any order, and so do notices: commands of all sessions run into one another as on a busy server, from one seed.
"""

from __future__ import annotations

import os
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, providedBy

from pymailsuite.interfaces import Column
from pymailsuite.interfaces.text_index import ITextNarrowing
from pymailsuite.values import ALL_UIDS
from tests.acceptance import acceptance
from tests.imap.conversation import PASSWORD, USER, Client, Server, message
from tests.imap.test_changes_told import LateNotices
from tests.support.imap_model import Broken, ClientModel, Message, expect, numbers_of, responses
from tests.support.stores import fired

_COMMANDS = int(os.environ.get("PYMAILSUITE_STRESS_COMMANDS", "800"))
_SEED = int(os.environ.get("PYMAILSUITE_STRESS_SEED", "1"))
_CLIENTS = 12
_MAILBOXES = ("INBOX", "Archive")
_FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Deleted", "one", "two")
_PROGRAMS = ("UNSEEN", "DELETED", "NOT FLAGGED", "KEYWORD one", "ALL", "SUBJECT 1", "OR FLAGGED BODY 2")
_BY_NUMBER = ("FETCH", "STORE", "SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD")
"""While these are answered sequence numbers must not change (RFC 3501 §7.4.1); so this server has it with UID SORT."""


class HeldMail:
    """The mail of an account whose answers come when ``held`` is emptied. What is asked is done at once."""

    def __init__(self, real: Any, held: list[tuple[Deferred[Any], Any]]) -> None:
        self._real = real
        self._held = held
        directlyProvides(self, providedBy(real) - ITextNarrowing)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._real, name)
        if not callable(attribute):
            return attribute

        def held(*arguments: Any, **keywords: Any) -> Any:
            answer = attribute(*arguments, **keywords)
            if not isinstance(answer, Deferred):
                return answer
            waiting: Deferred[Any] = Deferred()
            answer.addBoth(lambda result: self._held.append((waiting, result)))
            return waiting

        return held


class Ledger:
    """Which message is where: what was answered of each that came, and which may go."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, int], tuple[str, int] | int] = {}
        """The number in the text of each message, or of what it is a copy."""
        self._may_go: set[tuple[str, int]] = set()
        self._moved: set[tuple[str, int]] = set()

    def came(self, mailbox: str, uid: int, text: int) -> None:
        """A message is in a mailbox from now on."""
        expect((mailbox, uid) not in self._texts, f"{mailbox} {uid} came twice")
        self._texts[mailbox, uid] = text

    def copied(self, source: str, target: str, answer: str, *, moved: bool) -> None:
        """COPYUID of COPY or MOVE."""
        match = re.search(r"\[COPYUID [0-9]+ ([0-9:,]+) ([0-9:,]+)\]", answer)
        if match is None:
            return
        for before, after in zip(numbers_of(match[1]), numbers_of(match[2]), strict=True):
            expect((target, after) not in self._texts, f"{target} {after} came twice")
            # What made the source may not be answered yet.
            self._texts[target, after] = (source, before)
            if moved:
                self._moved.add((source, before))

    def _origins(self, key: tuple[str, int]) -> Iterator[tuple[str, int] | int]:
        """Of what it is a copy, and of what that is, and the number in its text at last."""
        origin: tuple[str, int] | int | None = key
        while isinstance(origin, tuple):
            yield origin
            origin = self._texts.get(origin)
        if origin is not None:
            yield origin

    def may_go(self, mailbox: str, uids: Iterable[int]) -> None:
        """Some session sets ``\\Deleted`` on these, and any may expunge them."""
        self._may_go.update((mailbox, uid) for uid in uids)

    def compare(self, mailbox: str, there: dict[int, int]) -> None:
        """What is there in the end: UIDs, and of each the number in its text."""
        came = {uid for name, uid in self._texts if name == mailbox}
        for uid, text in there.items():
            expect(uid in came, f"{mailbox} {uid} is there, and nothing told of it")
            *_, known = self._origins((mailbox, uid))
            expect(known == text, f"{mailbox} {uid} is message {text}, and {known} came")
            expect((mailbox, uid) not in self._moved, f"{mailbox} {uid} was moved, and is still there")
        for uid in came - there.keys():
            # A copy has \\Deleted if what it was made of had.
            may_go = any(origin in self._may_go for origin in self._origins((mailbox, uid)))
            expect(may_go or (mailbox, uid) in self._moved, f"{mailbox} {uid} is lost")


class Stress:
    """The sessions, and the order in which everything happens."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = Server(connections_per_account=_CLIENTS)
        self.ledger = Ledger()
        self.said: deque[str] = deque(maxlen=80)
        self.texts = 0
        self.held: list[tuple[Deferred[Any], Any]] = []
        self.mail = self.server.mail
        for _ in range(12):
            self.deliver("INBOX")
        store: Any = self.server.store
        self.notices = self.server.factory.shared.notices = LateNotices(store.notices)
        self.notices.late = True
        real = store.account_mail
        store.account_mail = lambda account_id: HeldMail(real(account_id), self.held)
        self.actors: list[Actor] = []
        for number in range(_CLIENTS):
            self.actors.append(Actor(self, number))
            self.settle()
            self.actors[-1].begin()
            self.settle()
        del store.account_mail

    def deliver(self, mailbox: str) -> None:
        """A message comes from outside."""
        self.texts += 1
        self.server.deliver(self.texts, mailbox=mailbox)
        self.ledger.came(mailbox, self.rows(mailbox)[-1][0], self.texts)

    def rows(self, mailbox: str) -> Any:
        """What the store has."""
        selection: Any = fired(self.mail.select(mailbox, True))
        return selection.rows

    def answer_one(self) -> None:
        """The store answers, and the reactor has its turn."""
        if self.held:
            waiting, result = self.held.pop(self.chance.randrange(len(self.held)))
            waiting.callback(result)
        self.server.clock.advance(0)

    def settle(self) -> None:
        """All that is under way comes to its end."""
        for _ in range(100_000):
            for actor in self.actors:
                actor.hear()
            if not self.held and not any(actor.is_busy for actor in self.actors):
                return
            self.answer_one()
        raise Broken("a command is not answered")

    def run(self, commands: int) -> None:
        """So many commands, and what happens meanwhile; now and then all come to rest and compare."""
        done = 0
        compared = 0
        while done < commands:
            choice = self.chance.random()
            if choice < 0.45:
                actor = self.chance.choice(self.actors)
                if not actor.is_busy:
                    actor.act()
                    done += 1
            elif choice < 0.93:
                self.answer_one()
            elif choice < 0.97:
                self.notices.deliver()
            else:
                self.deliver(self.chance.choice(_MAILBOXES))
            for actor in self.actors:
                actor.hear()
            if done - compared >= 300:
                compared = done
                self.compare()
        self.compare()

    def _all_ask(self, command: str) -> None:
        for actor in self.actors:
            if actor.model.mailbox:
                actor.ask(command)
        self.settle()

    def compare(self) -> None:
        """At rest each client knows what is true."""
        for actor in self.actors:
            actor.end_idle()
        self.settle()
        self.notices.deliver()
        truth = {
            name: [
                (uid, frozenset(_words(system, keywords)), modseq) for uid, system, keywords, modseq in self.rows(name)
            ]
            for name in _MAILBOXES
        }
        self._all_ask("NOOP")
        for actor in self.actors:
            if actor.model.mailbox:
                flags = [one.flags for one in actor.model.messages]
                real = [row[1] for row in truth[actor.model.mailbox]]
                expect(len(flags) == len(real), f"{actor}: {len(flags)} messages, but {len(real)}")
                unlike = [pair for pair in zip(flags, real, strict=True) if pair[0] not in (None, pair[1])]
                expect(actor.model.uid_only or not unlike, f"{actor}: flags are other than told: {unlike}")
        self._all_ask("UID FETCH 1:* (UID FLAGS MODSEQ)")
        for actor in self.actors:
            model = actor.model
            if model.mailbox:
                known = [(one.uid, one.flags, one.modseq) for one in model.messages]
                expect(known == truth[model.mailbox], f"{actor}: {known}, but {truth[model.mailbox]}")
                actor.compare_searches()
        for name in _MAILBOXES:
            mailbox: Any = fired(self.mail.mailbox(name))
            columns = (Column.UID, Column.SUBJECT)
            rows: Any = fired(self.mail.read_messages(mailbox.mailbox_id, ALL_UIDS, columns, list))
            self.ledger.compare(name, {uid: int(subject.split()[-1]) for uid, subject in rows})


class Actor:
    """One client that acts at random."""

    def __init__(self, stress: Stress, number: int) -> None:
        self.stress = stress
        self.number = number
        self.chance = stress.chance
        self.model = ClientModel()
        self.client: Client = stress.server.connect()
        self._octets = b""
        self._tags = 0
        self._tag = ""
        self._command = ""
        self._done: Callable[[str, list[str]], None] = _nothing
        self._lines: list[str] = []
        self.idle = False
        self.is_notified = False
        """It sent NOTIFY (RFC 5465): responses may come without a command; ``expunges_any_time``: EXPUNGE too."""
        self.expunges_any_time = False
        self.client.output()
        self.ask(f"LOGIN {USER} {PASSWORD}")

    def begin(self) -> None:
        """Enable what this client uses."""
        enables = {1: "CONDSTORE", 2: "QRESYNC", 3: "UIDONLY", 4: "QRESYNC UIDONLY"}.get(self.number % 6)
        if enables:
            self.ask(f"ENABLE {enables}")
            self.model.qresync = "QRESYNC" in enables
            self.model.uid_only = "UIDONLY" in enables
        wanted = {5: "selected-delayed", 8: "selected-delayed", 9: "selected"}.get(self.number)
        if wanted:
            self.stress.settle()
            events = "(MessageNew MessageExpunge FlagChange)"
            self.ask(f"NOTIFY SET ({wanted} {events}) (personal {events})")
            self.is_notified, self.expunges_any_time = True, wanted == "selected"

    def __repr__(self) -> str:
        return f"client {self.number} ({self._tag} {self._command})"

    @property
    def is_busy(self) -> bool:
        """A command is being answered; in IDLE it is not."""
        return bool(self._tag) and not self.idle

    @property
    def next_tag(self) -> str:
        """The tag of the next command."""
        return f"c{self.number}x{self._tags + 1}"

    def ask(self, command: str, done: Callable[[str, list[str]], None] | None = None, literal: bytes = b"") -> None:
        """Send a command; ``done`` is called with its completion and its untagged responses."""
        assert not self._tag
        self._tag, self._command, self._done = self.next_tag, command, done or _nothing
        self._tags += 1
        self._lines = []
        self._send(f"{self._tag} {command}".encode() + (literal and b"\r\n" + literal) + b"\r\n")

    def _send(self, octets: bytes) -> None:
        self.stress.said.append(f"{self.number} C: {octets!r}")
        self.client.protocol.dataReceived(octets)

    def hear(self) -> None:
        """Take what the server has sent."""
        lines, self._octets = responses(self._octets + self.client.output())
        for line in lines:
            self.stress.said.append(f"{self.number} S: {line}")
            expect(self._tag or self.is_notified, f"{self}: {line} without a command")
            if line.startswith("* "):
                self._lines.append(line)
                by_number = not self._tag or self._command.startswith(_BY_NUMBER)
                self.model.take(line, expunges=self.expunges_any_time or not by_number)
            elif not line.startswith("+ "):
                self._complete(line)

    def _complete(self, line: str) -> None:
        expect(line.startswith(f"{self._tag} "), f"{self}: {line}")
        answer = line.partition(" ")[2]
        may_fail = re.match(r"NO \[(EXPUNGEISSUED|MODIFIED [0-9:,]+|READ-ONLY|CANNOT)\]", answer)
        expect(answer.startswith("OK") or may_fail, f"{self}: {line}")
        self._tag, self.idle = "", False
        done, self._done = self._done, _nothing
        self.model.take_modseq(answer)
        done(answer, self._lines)

    def end_idle(self) -> None:
        """DONE, if in IDLE."""
        if self.idle:
            self.idle = False
            self._send(b"DONE\r\n")

    # --- what it does

    def act(self) -> None:
        """Begin one command."""
        if self._tag:
            if self.chance.random() < 0.3:
                self.end_idle()
            return
        if not self.model.mailbox:
            self._select()
            return
        count = len(self.model.messages)
        actions: list[tuple[int, Callable[[], object]]] = [
            (4, self._select),
            (2, lambda: self._close(self.chance.choice(("CLOSE", "UNSELECT")))),
            (10, self._append),
            (10, lambda: self.ask(self.chance.choice(("NOOP", "CHECK")))),
            (10, self._idle),
            (5, lambda: self._expunge("EXPUNGE")),
            (8, self._keep_search),
            (3, self._cancel),
            (2, lambda: self.ask("UIDBATCHES 500")),
        ]
        if count:
            actions += [
                (25, self._store),
                (5, lambda: self._expunge(f"UID EXPUNGE {self._uids()}")),
                (7, lambda: self._copy("COPY")),
                (5, lambda: self._copy("MOVE")),
                (25, self._fetch),
                (15, self._find),
            ]
        weights = [weight for weight, _ in actions]
        self.chance.choices([action for _, action in actions], weights)[0]()

    def _select(self) -> None:
        model, chance = self.model, self.chance
        name = chance.choice(_MAILBOXES)
        word = "EXAMINE" if chance.random() < 0.2 else "SELECT"
        cache = model.begin_select(name, read_only=word == "EXAMINE", resync=model.qresync and chance.random() < 0.8)
        parameter = f" (QRESYNC ({cache.uid_validity} {cache.modseq}))" if cache is not None else ""
        self.ask(f"{word} {name}{parameter}", lambda answer, lines: model.end_select())

    def _close(self, word: str) -> None:
        self.ask(word, lambda answer, lines: self.model.leave())

    def _append(self) -> None:
        stress = self.stress
        stress.texts += 1
        text, name = stress.texts, self.chance.choice(_MAILBOXES)
        octets = message(text)

        def appended(answer: str, lines: list[str]) -> None:
            match = re.search(r"\[APPENDUID [0-9]+ ([0-9]+)\]", answer)
            expect(match, answer)
            assert match is not None
            stress.ledger.came(name, int(match[1]), text)

        self.ask(f"APPEND {name} {{{len(octets)}+}}", appended, octets)

    def _idle(self) -> None:
        self.ask("IDLE")
        self.idle = True

    def _span(self) -> tuple[int, int]:
        count = len(self.model.messages)
        low = self.chance.randint(1, count)
        return low, min(count, low + self.chance.choice((0, 0, 1, 3, count)))

    def _uids(self) -> str:
        greatest = max((one.uid or 1 for one in self.model.messages), default=1)
        low = self.chance.randint(1, greatest)
        return f"{low}:{low + self.chance.choice((0, 1, 3, greatest))}"

    def _numbers(self) -> tuple[str, list[Message]]:
        """What stands behind the name of a command, a set with UID or not, and the messages that it names."""
        if self.model.uid_only or self.chance.random() < 0.5:
            uids = self._uids()
            low, high = map(int, uids.split(":"))
            named = [one for one in self.model.messages if one.uid is None or low <= one.uid <= high]
            return f"UID {{}} {uids}", named
        low, high = self._span()
        return f"{{}} {low}:{high}", self.model.messages[low - 1 : high]

    def _store(self) -> None:
        model, chance = self.model, self.chance
        form, named = self._numbers()
        sign, flag = chance.choice("+-"), chance.choice(_FLAGS)
        silent = chance.random() < 0.4
        modifier = ""
        if not silent and chance.random() < 0.2:
            modifier = f" (UNCHANGEDSINCE {chance.randint(1, max(model.highest_modseq, 1))})"
        if flag == "\\Deleted" and sign == "+":
            # Whatever becomes of the command: another session may have expunged them by the time it is answered.
            known = {one.uid for one in named if one.uid is not None}
            if len(known) < len(named):
                known |= set(range(1, 10_000))
            self.stress.ledger.may_go(model.mailbox, known)
        if silent and not model.read_only:
            for one in named:
                # The client takes it for done; what is different is told to it. Of a message whose UID it does not
                # know it cannot tell whether it was meant.
                if one.flags is not None:
                    known = one.uid is not None
                    one.flags = (one.flags | {flag} if sign == "+" else one.flags - {flag}) if known else None
                one.modseq = None
        self.ask(f"{form.format('STORE')}{modifier} {sign}FLAGS{'.SILENT' if silent else ''} ({flag})")

    def _expunge(self, command: str) -> None:
        self.ask(command)

    def _copy(self, word: str) -> None:
        form, _ = self._numbers()
        source, target = self.model.mailbox, self.chance.choice(_MAILBOXES)
        ledger = self.stress.ledger

        def copied(answer: str, lines: list[str]) -> None:
            for line in (answer, *lines):
                ledger.copied(source, target, line, moved=word == "MOVE")

        self.ask(f"{form.format(word)} {target}", copied)

    def _fetch(self) -> None:
        form, _ = self._numbers()
        items = self.chance.choice(
            ("(UID FLAGS)", "FLAGS", "(UID FLAGS MODSEQ)", "BODY.PEEK[TEXT]", "(UID BODY[TEXT])", "(UID RFC822.SIZE)")
        )
        self.ask(f"{form.format('FETCH')} {items}")

    def _find(self) -> None:
        program = self.chance.choice(_PROGRAMS)
        uid = "UID " if self.model.uid_only or self.chance.random() < 0.5 else ""
        self.ask(
            self.chance.choice(
                (
                    f"{uid}SEARCH {program}",
                    f"{uid}SEARCH RETURN (SAVE) {program}",
                    f"{uid}SEARCH RETURN (COUNT PARTIAL -1:-3) $",
                    f"{uid}SORT (REVERSE SUBJECT) UTF-8 {program}",
                    f"{uid}SORT RETURN (MIN MAX COUNT) (ARRIVAL) UTF-8 {program}",
                    f"{uid}THREAD REFS UTF-8 {program}",
                    "UID FETCH $ FLAGS",
                    "ESEARCH IN (personal) RETURN (COUNT) DELETED",
                )
            )
        )

    def _keep_search(self) -> None:
        model = self.model
        # VANISHED of a message whose UID was not told yet says nothing of its number.
        uid = model.uid_only or model.qresync or self.chance.random() < 0.5
        if uid and any(one.uid is None for one in model.messages):
            # The UIDs of all are needed to know what is meant.
            self.ask("UID FETCH 1:* (UID FLAGS)")
            return
        in_order = self.chance.random() < 0.4
        program = self.chance.choice(_PROGRAMS)
        command = (
            f"SORT RETURN ({{}}) (REVERSE SUBJECT) UTF-8 {program}" if in_order else f"SEARCH RETURN ({{}}) {program}"
        )
        command = f"UID {command}" if uid else command
        model.begin_search(self.next_tag, command.format("ALL"), uid=uid, in_order=in_order)
        self.ask(command.format("UPDATE ALL"))

    def _cancel(self) -> None:
        tags = [tag for tag in self.model.searches if self.chance.random() < 0.5]
        for tag in tags:
            self.model.cancel(tag)
        quoted = " ".join(f'"{tag}"' for tag in tags)
        self.ask(f"CANCELUPDATE {quoted}" if tags else "NOOP")

    def compare_searches(self) -> None:
        """The same search again finds what the one that is kept up to date has."""
        for tag, search in self.model.searches.items():
            self.ask(search.command)
            self.stress.settle()
            text = next((line.partition(" ALL ")[2] for line in self._lines if " ALL " in line), "")
            told = list(numbers_of(text)) if text else []
            place = {id(one): number for number, one in enumerate(self.model.messages, 1)}
            known = [one if isinstance(one, int) else place[id(one)] for one in search.found]
            if not search.in_order:
                known.sort()
            expect(known == told, f"{self}: {tag} has {known}, and {search.command} finds {told}")


def _nothing(answer: str, lines: list[str]) -> None:
    del answer, lines


def _words(system: int, keywords: str) -> list[str]:
    names = {1: "\\Seen", 2: "\\Answered", 4: "\\Flagged", 8: "\\Deleted", 16: "\\Draft"}
    return [name for bit, name in names.items() if system & bit] + keywords.split()


class StressTests(SynchronousTestCase):
    """``PYMAILSUITE_STRESS_COMMANDS`` makes it longer, ``PYMAILSUITE_STRESS_SEED`` another."""

    @pytest.mark.slow
    @acceptance("S087", "S130")
    def test_many_sessions_at_random(self) -> None:
        stress = Stress(_SEED)
        self.addCleanup(stress.server.store.close)
        try:
            stress.run(_COMMANDS)
        except Exception as error:
            said = "\n".join(stress.said)
            raise AssertionError(f"PYMAILSUITE_STRESS_SEED={_SEED}: {error}\n{said}") from error
