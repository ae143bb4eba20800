"""What is declared is what there is; and extensions of other packages that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.errors import Refusal
from pymailsuite.imap import plugin
from pymailsuite.imap.extension import (
    FetchAttribute,
    FetchModifier,
    ImapCommand,
    ImapExtension,
    ListReturn,
    ListSelection,
    SearchKey,
    SelectParameter,
    Standing,
    StatusItem,
    after_login,
)
from pymailsuite.imap.extensions import OURS
from pymailsuite.imap.fetch import Text
from pymailsuite.imap.search import Condition, SearchBatch
from pymailsuite.imap.selected import Spans
from pymailsuite.imap.states import AFTER_LOGIN, ANY, BEFORE_LOGIN, SELECTED, State
from pymailsuite.imap.vocabulary import Vocabulary
from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server
from tests.imap_language.test_grammar import COMMANDS, pieces
from tests.support.imap import VOCABULARY, parse_named

_WITH_VALUES = ("APPENDLIMIT", "COMPRESS", "CONTEXT", "MESSAGELIMIT", "THREAD")
STATES = {State.NOT_AUTHENTICATED: BEFORE_LOGIN, State.AUTHENTICATED: AFTER_LOGIN, State.SELECTED: SELECTED}


def _samples() -> dict[str, bytes]:
    """A line for each command."""
    samples = {
        "APPEND": b"a APPEND INBOX CATENATE (URL /x/;UID=1)",
        "REPLACE": b"a REPLACE 1 INBOX CATENATE (URL /x/;UID=1)",
        "UID REPLACE": b"a UID REPLACE 1 INBOX CATENATE (URL /x/;UID=1)",
        "UID FETCH": b"a UID FETCH 1 FLAGS",
        "FETCH": b"a FETCH 1 FLAGS",
    }
    samples |= {"SEARCH": b"a SEARCH ALL", "UID SEARCH": b"a UID SEARCH ALL"}
    for uid in ("", "UID "):
        samples[f"{uid}SORT"] = f"a {uid}SORT (DATE) UTF-8 ALL".encode()
        samples[f"{uid}THREAD"] = f"a {uid}THREAD REFERENCES UTF-8 ALL".encode()
    samples["SETMETADATA"] = b"a SETMETADATA INBOX (/private/comment NIL)"
    samples["GETQUOTA"] = b"a GETQUOTA ROOT"
    samples["GETQUOTAROOT"] = b"a GETQUOTAROOT INBOX"
    samples["SETQUOTA"] = b"a SETQUOTA ROOT ()"
    samples["CANCELUPDATE"] = b'a CANCELUPDATE "b"'
    samples["ESEARCH"] = b"a ESEARCH ALL"
    samples["XLIST"] = b'a XLIST "" *'
    samples["UIDBATCHES"] = b"a UIDBATCHES 500"
    samples["NOTIFY"] = b"a NOTIFY SET (personal (MailboxName))"
    for line, _ in COMMANDS:
        if len(pieces(line)) == 1:
            samples.setdefault(parse_named(pieces(line))[0], pieces(line)[0])
    return samples


@acceptance("S133")
class DeclarationTests(SynchronousTestCase):
    """Of ours."""

    def test_our_extensions_are_found_and_share_no_name(self) -> None:
        self.assertEqual(VOCABULARY.taken, [])
        self.assertEqual(VOCABULARY.foreign, {})
        declared = [command.name for extension in OURS for command in extension.commands]
        self.assertEqual(sorted(declared), sorted(VOCABULARY.commands))

    def test_every_capability_that_is_announced_is_declared_once(self) -> None:
        for offers_tls, secure, plaintext, logged_in in product((False, True), repeat=4):
            standing = Standing(ImapSettings(), offers_tls, secure, plaintext, logged_in)
            declared = Counter(word for extension in OURS for word in extension.capabilities(standing))
            self.assertEqual(set(declared.values()), {1})
            announced = VOCABULARY.capabilities(standing).decode().split()
            self.assertEqual(sorted(announced), sorted(declared))
            self.assertEqual(announced[0], "IMAP4rev1")

    def test_every_extension_is_told_of(self) -> None:
        words = set()
        for flags in product((False, True), repeat=4):
            words |= set(VOCABULARY.capabilities(Standing(ImapSettings(xlist=True), *flags)).decode().split())
        names = {word.partition("=")[0] if word.startswith(_WITH_VALUES) else word for word in words}
        self.assertEqual({extension.name for extension in OURS} - names, {"logins", "LOGIN-REFERRALS"})

    def test_a_command_is_refused_in_every_state_it_is_not_declared_for(self) -> None:
        samples = _samples()
        self.assertEqual(samples.keys(), VOCABULARY.commands.keys())
        server = Server(bad_commands=1000)
        clients = {state: server.connect() for state in STATES}
        clients[State.AUTHENTICATED].login()
        clients[State.SELECTED].login().command("SELECT INBOX")
        refused = 0
        for state, client in clients.items():
            client.output()
            for name, command in VOCABULARY.commands.items():
                if state not in command.states:
                    answer = client.send(samples[name] + b"\r\n")
                    self.assertEqual(answer, b"a BAD Command not allowed in this state\r\n", name)
                    refused += 1
            client.close()
        self.assertGreater(refused, 40)


async def _fails(context: Any, command: Any) -> bytes:
    raise ValueError("a defect")


async def _odd(context: Any, command: Any) -> Any:
    return "OK but no octets"


async def _is_done(context: Any, command: Any) -> bytes:
    return b"OK done"


async def _refuses(context: Any, command: Any) -> bytes:
    raise Refusal("Not today")


async def _hangs(context: Any, command: Any) -> bytes:
    context.out.append(b"* BEGUN\r\n")
    return await Deferred[bytes]()


async def _fails_there(context: Any, argument: Any) -> None:
    raise ValueError("a defect")


async def _hangs_there(context: Any, argument: Any) -> None:
    await Deferred[None]()


def _nothing(context: Any, argument: Any) -> None:
    pass


def _broken(*_: Any) -> Any:
    raise ValueError("a defect")


def _last(context: Any, spans: Spans, argument: None) -> Spans:
    return [(spans[-1][1] - 1, spans[-1][1])]


@frozen
class _Broken(Condition):
    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        raise ValueError("a defect")


BROKEN = ImapExtension(
    "broken",
    after_login("XBROKEN"),
    commands=(
        ImapCommand("XFAILS", ANY, _fails),
        ImapCommand("XREFUSES", ANY, _refuses),
        ImapCommand("XHANGS", ANY, _hangs),
        ImapCommand("XUNREAD", ANY, _fails, _broken),
        ImapCommand("XODD", ANY, _odd),
        ImapCommand("XNOVALUE", ANY, _fails, lambda cursor, tag: tag),  # type: ignore[arg-type, return-value]
        ImapCommand("XAFTER", ANY, _is_done, after=_broken),
    ),
    fetch_attributes=(
        FetchAttribute("X-FAILS", lambda _: Text(b"X-FAILS %d", (), _broken)),
        FetchAttribute("X-LATER", lambda _: Text(b"X-LATER %d", (), lambda batch: (map(_broken, batch.uids),))),
        FetchAttribute("X-NONE", _broken),
        FetchAttribute("X-FEW", lambda _: Text(b"X-FEW %d", (), lambda _: ([],))),
        FetchAttribute("X-MORE", lambda _: Text(b"X-MORE %d %d", (), lambda batch: (batch.uids,))),
    ),
    fetch_modifiers=(
        FetchModifier("X-FAILS", narrow=_broken),
        FetchModifier("X-LAST", narrow=_last),
        FetchModifier("X-EARLY", before=_fails_there),
        FetchModifier("X-WAITS", before=_hangs_there),
    ),
    select_parameters=(SelectParameter("X-FAILS", _broken), SelectParameter("X-LATE", _nothing, answer=_fails_there)),
    search_keys=(SearchKey("X-FAILS", bare=_Broken()), SearchKey("X-ARGUES", lambda _: _Broken())),
    status_items=(StatusItem("X-FAILS", _broken),),
    list_selections=(ListSelection("X-FAILS", _broken),),
    list_returns=(ListReturn("X-FAILS", line=_broken), ListReturn("X-FAILS-BEFORE", before=_fails_there)),
    enables={"XBROKEN": _broken},
    opened=_broken,
    created=_broken,
)


@acceptance("S133")
class ForeignTests(SynchronousTestCase):
    """Of other packages."""

    def setUp(self) -> None:
        self.server = Server(vocabulary=Vocabulary(OURS, (BROKEN,)), extension_timeout=30, bad_commands=100)
        self.server.deliver(1, 2)
        self.client = self.selected()
        self.other = self.selected()
        self.flushLoggedErrors()  # of SELECT

    def selected(self) -> Client:
        client = self.server.connect().login()
        client.command("SELECT INBOX")
        return client

    def blamed(self) -> list[str]:
        """What the failures in the log say, those of the extension alone."""
        return [str(failure.value) for failure in self.flushLoggedErrors()]

    def test_what_fails_is_answered_no_and_named_in_the_log(self) -> None:
        for line in (
            "XFAILS",
            "XUNREAD",
            "XODD",
            "XNOVALUE",
            "SEARCH X-FAILS",
            "SEARCH UNSEEN NOT X-ARGUES ",
            "STATUS INBOX (X-FAILS)",
            'LIST "" * RETURN (STATUS (X-FAILS))',
            'LIST (X-FAILS) "" *',
            'LIST "" * RETURN (X-FAILS)',
            'LIST "" * RETURN (X-FAILS-BEFORE)',
            "ENABLE XBROKEN",
            "FETCH 1 X-FAILS",
            "FETCH 1:2 (FLAGS X-LATER)",
            "FETCH 1 X-NONE",
            "FETCH 1:2 (FLAGS X-FEW)",
            "UID FETCH 1:2 X-MORE",
            "FETCH 1 FLAGS (X-FAILS)",
            "UID FETCH 1 FLAGS (X-EARLY)",
            "SELECT INBOX (X-FAILS)",
            "SELECT INBOX (X-LATE)",
        ):
            answer = self.client.command(line)
            self.assertEqual(answer[-1], "x NO [SERVERBUG] Internal error", line)
            blamed = self.blamed()
            self.assertTrue(blamed, line)
            for failure in blamed:
                self.assertTrue(failure.startswith("extension broken: "), failure)
            self.assertEqual(self.other.command("FETCH 1 UID"), ["* 1 FETCH (UID 1)", "x OK FETCH completed"])
        self.assertEqual(self.client.command("NOOP"), ["x OK NOOP completed"])

    def test_what_is_done_is_answered_though_an_extension_fails_to_add_to_it(self) -> None:
        self.assertEqual(self.client.command("SELECT INBOX")[-1], "x OK [READ-WRITE] SELECT completed")
        (created,) = self.client.command("CREATE There")
        self.assertRegex(created, r"x OK \[MAILBOXID .*\] CREATE completed")
        self.assertEqual(self.blamed(), ["extension broken: ValueError('a defect')"] * 2)

    def test_a_command_is_answered_once_whatever_comes_after_it(self) -> None:
        self.assertEqual(self.client.command("XAFTER"), ["x OK done", "* BYE Internal error"])
        self.assertTrue(self.client.transport.disconnecting)
        self.assertEqual(self.blamed(), ["extension broken: ValueError('a defect')"])
        self.assertEqual(self.other.command("NOOP"), ["x OK NOOP completed"])

    def test_a_modifier_says_which_messages_are_wanted(self) -> None:
        self.assertEqual(self.client.command("FETCH 1:* UID (X-LAST)"), ["* 2 FETCH (UID 2)", "x OK FETCH completed"])
        self.assertEqual(self.client.command("FETCH 1 UID (X-NEVER)"), ["x BAD Unknown modifier"])

    def test_what_it_refuses_is_refused(self) -> None:
        self.assertEqual(self.client.command("XREFUSES"), ["x NO [CANNOT] Not today"])

    def test_what_hangs_is_called_off_and_named_in_the_log(self) -> None:
        self.assertEqual(self.client.command("XHANGS"), [])
        self.assertEqual(self.other.command("NOOP"), ["x OK NOOP completed"])
        self.server.clock.advance(29)
        self.assertEqual(self.client.send(b"y NOOP\r\n"), b"")
        self.server.clock.advance(1)
        self.assertEqual(
            self.client.output(), b"* BEGUN\r\nx NO [UNAVAILABLE] The command took too long\r\ny OK NOOP completed\r\n"
        )

    def test_a_modifier_that_hangs_is_called_off(self) -> None:
        self.assertEqual(self.client.command("FETCH 1 FLAGS (X-WAITS)"), [])
        self.server.clock.advance(30)
        self.assertEqual(self.client.output(), b"x NO [UNAVAILABLE] The command took too long\r\n")

    def test_a_client_that_leaves_ends_what_hangs(self) -> None:
        self.client.command("XHANGS")
        self.client.close()
        self.other.close()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_of_two_of_one_name_ours_stays(self) -> None:
        thief = ImapExtension(
            "thief",
            commands=(ImapCommand("noop", ANY, _fails), ImapCommand("XMINE", ANY, _refuses)),
            fetch_attributes=(FetchAttribute("FLAGS", _broken),),
            search_keys=(SearchKey("ALL", _broken),),
        )
        vocabulary = Vocabulary(OURS, (thief, BROKEN))
        self.assertEqual(
            [(taken.what, taken.name, taken.extension, taken.other) for taken in vocabulary.taken],
            [
                ("command", "NOOP", "thief", "IMAP4rev1"),
                ("FETCH attribute", "FLAGS", "thief", "IMAP4rev1"),
                ("SEARCH key", "ALL", "thief", "IMAP4rev1"),
            ],
        )
        client = Server(vocabulary=vocabulary).connect().login()
        self.assertEqual(client.command("NOOP"), ["x OK NOOP completed"])
        self.assertEqual(client.command("XMINE"), ["x NO [CANNOT] Not today"])

    def test_names_that_are_taken_and_what_cannot_be_offered_are_reported_and_left_out(self) -> None:
        thief = ImapExtension("thief", commands=(ImapCommand("NOOP", ANY, _fails),))
        mute = ImapExtension("mute", _broken)
        odd: Any = ImapExtension("odd", commands=(ImapCommand(None, ANY, _fails),))  # type: ignore[arg-type]
        found = {extension.name: extension for extension in (*OURS, thief, mute, odd)}
        self.patch(plugin, "plugins_by_name", lambda _: found)
        vocabulary = plugin.find_vocabulary(ImapSettings())
        self.assertEqual(vocabulary.foreign.keys() & set(vocabulary.commands.values()), set())
        self.assertEqual([taken.extension for taken in vocabulary.taken], ["thief"])
        self.assertEqual(
            [type(failure.value).__name__ for failure in self.flushLoggedErrors()],
            ["ExtensionFailed", "AttributeError"],
        )
        self.assertEqual(vocabulary.commands.keys(), VOCABULARY.commands.keys())
