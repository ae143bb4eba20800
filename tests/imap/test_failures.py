"""Every dialogue again, with each call to the store failing, held or called off: see :mod:`tests.support.failures`."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.values import MAX_CHUNK
from tests.imap.conversation import Client, Conversation, Server
from tests.imap.test_protocol import spoil
from tests.imap.test_qresync import uids_in
from tests.support.failures import Defect, failures
from tests.support.interference import Call, Interference, failing, held
from tests.support.stores import append, fired
from tests.support.transcripts import Transcript, parse

pytestmark = pytest.mark.sqlite

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_TAGGED = re.compile(rb"([^\s*+]+) (?:OK|NO|BAD) ")
_EXISTS = re.compile(rb"\* (\d+) EXISTS\r\n")
_EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE\r\n")
_VANISHED = re.compile(rb"\* VANISHED ([\d:,]+)\r\n")
_FLAGS = re.compile(rb"\* (\d+) FETCH \(.*?\bFLAGS \(([^)]*)\)", re.DOTALL)


def responses(octets: bytes) -> tuple[list[bytes], bytes]:
    """Whole responses, their literals within them; and what is left, which is none."""
    found = []
    at = begun = 0
    while (end := octets.find(b"\r\n", at)) >= 0:
        line = octets[at : end + 2]
        literal = _LITERAL.search(line)
        at = end + 2 + (int(literal[1]) if literal else 0)
        if literal is None:
            found.append(octets[begun:at])
            begun = at
    return found, octets[begun:]


class Told:
    """What a client knows of its mailbox from what it was told: the flags of each message, None where it never was."""

    def __init__(self, said: list[bytes]) -> None:
        self.flags: list[set[bytes] | None] = []
        exists = 0
        for response in said:
            if match := _EXISTS.match(response):
                exists = int(match[1])
                self.flags += [None] * (exists - len(self.flags))
            elif response.startswith(b"* OK [UIDVALIDITY"):
                # Another mailbox: only SELECT tells this, behind EXISTS.
                self.flags = [None] * exists
            elif match := _EXPUNGE.match(response):
                del self.flags[int(match[1]) - 1]
            elif match := _VANISHED.match(response):
                # It follows no UIDs: there are fewer, and any of them may be meant.
                self.flags = [None] * (len(self.flags) - len(uids_in(match[1].decode())))
            elif match := _FLAGS.match(response):
                self.flags[int(match[1]) - 1] = set(match[2].split()) - {b"\\Recent"}


_PART = "Content-Type: {type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n"
LONG = (
    "Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    + _PART.format(type="text/plain", encoding="8bit", body=("word " * 15 + "\r\n") * (MAX_CHUNK // 50))
    + "--b\r\n"
    + _PART.format(type="application/x", encoding="base64", body=("eHh4" * 19 + "\r\n") * (MAX_CHUNK // 50))
    + "--b--\r\n"
).encode()
"""Longer than what is read of a message at once, and so is each of its parts."""

_CHUNKS = "\\r\\n".join(["Subject: x", "", *["y" * 998] * (3 * MAX_CHUNK // 1000)])
_LONG_APPEND = len(_CHUNKS) - _CHUNKS.count("\\r\\n") * 2

MORE = (
    parse(
        "long_messages",
        """
@messages 1
@long 1
@login
@setting fetch_piece 64KiB
@setting search_octets 64KiB
@setting search_piece 1
C: a SELECT INBOX
S: ...
S: a OK [READ-WRITE] SELECT completed
C: b FETCH 1:* (FLAGS BODY[])
S: ...
S: b OK FETCH completed
C: c FETCH 2 (BODY[TEXT]<100.300000> BINARY[2])
S: ...
S: c OK FETCH completed
C: e SEARCH BODY "word word" NOT BODY nothing
S: * SEARCH 2
S: e OK SEARCH completed
C: g CLOSE
S: g OK CLOSE completed
""",
    ),
    parse(
        "in_steps",
        """
@messages 6
@login
@setting step_messages 2
C: a SELECT INBOX
S: ...
S: a OK [READ-WRITE] SELECT completed
C: b STORE 1:* +FLAGS ($one \\Flagged)
S: ...
S: b OK STORE completed
C: c MOVE 1:5 Archive
S: ...
S: c OK MOVE completed
C: d COPY 1 INBOX
S: * 2 EXISTS
S: ...
S: /d OK .* COPY completed/
C: e STORE 1 FLAGS (\\Deleted)
C: f EXPUNGE
S: ...
S: f OK EXPUNGE completed
C: g FETCH 1:* (FLAGS BODY[])
S: ...
S: g OK FETCH completed
""",
    ),
    parse(
        "long_append",
        f"""
@login
C: a SELECT Drafts
S: ...
S: a OK [READ-WRITE] SELECT completed
C: b APPEND Drafts (\\Seen) {{{_LONG_APPEND}}}
S: + OK
C: {_CHUNKS} {{{_LONG_APPEND}}}
S: + OK
C: {_CHUNKS}
S: * 2 EXISTS
S: ...
S: /b OK .* APPEND completed/
C: c APPEND Nowhere {{{_LONG_APPEND}+}}
C: {_CHUNKS}
S: /c NO \\[TRYCREATE\\] .*/
C: d APPEND Drafts {{{_LONG_APPEND}}}
S: + OK
C: {_CHUNKS} {{0}}
S: /d NO .*/
""",
    ),
    parse(
        "opened_again",
        """
@messages 300
@login
C: a SELECT INBOX
S: ...
S: a OK [READ-WRITE] SELECT completed
C: b UNSELECT
S: b OK UNSELECT completed
X: deliver 301
C: c SELECT INBOX
S: ...
S: c OK [READ-WRITE] SELECT completed
X: deliver 302
C: d NOOP
S: * 302 EXISTS
S: * 2 RECENT
S: d OK NOOP completed
C: e LOGOUT
S: ...
S: e OK LOGOUT completed
E:
""",
    ),
)


class FailingConversation(Conversation):
    """Its server's store and portal are interfered with, once its set-up is over."""

    def __init__(self, transcript: Transcript, interference: Interference) -> None:
        super().__init__(transcript)
        self._interference = interference
        self._has_silence = any(".SILENT" in step.text for step in transcript.steps)
        for argument in transcript.arguments("long"):
            append(self.server.store, self.server.account, "INBOX", *[LONG] * int(argument))
        interference.inside(self.server.store.database)
        self.server.factory.shared.portal = interference.around(self.server.portal)

    def receive(self, octets: bytes) -> None:
        super().receive(octets)
        self.server.clock.advance(0)

    def act(self, name: str, argument: str) -> None:
        set_aside = () if name in {"session", "quota"} else _OF_DELIVERY
        with self._interference.aside(*set_aside):
            super().act(name, argument)

    @property
    def _clients(self) -> list[Client]:
        return list(self._sessions.values())

    def check_alive(self, case: SynchronousTestCase) -> None:
        for client in self._clients:
            session: Any = client.protocol._session
            if client.closed or client.transport.disconnecting:
                continue
            case.assertIsNone(client.protocol._running, "a command hangs")
            if session.view is None or session._line_reader or session._message_reader:
                continue
            asked = client.send(b"\r\nlast NOOP\r\n")
            if b"last OK" not in asked:
                continue  # it was an answer to something else: a literal, or a challenge
            self._check_view(case, client, session)

    def _check_view(self, case: SynchronousTestCase, client: Client, session: Any) -> None:
        view = session.view
        if view is None:
            return
        rows = fired(self.server.mail.select(view.name, True)).rows  # type: ignore[attr-defined]
        known = [
            (uid, state.system, state.keywords, modseq)
            for uid, state, modseq in zip(view.uids, view.states, view.modseqs, strict=True)
        ]
        case.assertEqual(known, [tuple(row) for row in rows])
        told = Told(responses(b"".join(client.transport.writes))[0]).flags
        case.assertEqual(len(told), len(rows))
        for said, state in zip(told, view.states, strict=True):
            case.assertTrue(
                said is None or self._has_silence or said == set(state.text.encode().split()), (said, state)
            )

    def leave(self) -> None:
        for client in self._clients:
            client.close()

    def check_said(self, case: SynchronousTestCase, sent: bytes) -> None:
        for client in self._clients:
            said = b"".join(client.transport.writes)
            whole, rest = responses(said)
            case.assertFalse(rest and not client.transport.disconnecting and not client.closed, rest)
            tags: dict[bytes, int] = {}
            for response in whole:
                tagged = _TAGGED.match(response)
                case.assertTrue(tagged or response.startswith((b"* ", b"+ ")), response)
                if tagged:
                    tags[tagged[1]] = tags.get(tagged[1], 0) + 1
            if len(self._sessions) == 1:
                asked = [line.split(b" ")[0] for line in sent.splitlines()] + [b"x", b"x", b"last"]
                for tag, times in tags.items():
                    case.assertLessEqual(times, asked.count(tag), (tag, said))

    def check_nothing_is_left(self, case: SynchronousTestCase, call: Call) -> None:
        server = self.server
        case.assertEqual(server.clock.getDelayedCalls(), [])
        case.assertEqual(server.factory.connections, 0)
        case.assertEqual(server.factory._idle_clients._connections, set())
        case.assertEqual(server.store.notices.watched(), [])
        case.assertEqual(dict(server.factory.shared.per_account.here), {})
        case.assertEqual(server.portal.realm.logged_out, server.portal.realm.logged_in)
        if call[1] != "write drop staged chunks":
            staged = fired(server.store.database.read("staged", lambda txn: txn.rows("SELECT * FROM staged_contents")))
            case.assertEqual(staged, [])
        again = server.connect().login()
        case.assertEqual(again.command("SELECT INBOX")[-1], "x OK [READ-WRITE] SELECT completed")
        again.close()


_CHANGES = ("write append", "write copy", "write move", "write store flags", "write expunge", "write remove messages")
_OF_DELIVERY = ("write append", "write stage chunk")


@failures(
    "imap",
    make=FailingConversation,
    more=MORE,
    undone=("login",),
    untold=("write stage chunk",),
)
class FailureTests(SynchronousTestCase):
    """A test for each dialogue."""


class DoneIsDoneTests(SynchronousTestCase):
    """What has been committed is answered OK, whatever fails behind it: a client told NO would do it again."""

    commands = (
        "APPEND INBOX {5+}\r\nhello",
        "COPY 1 INBOX",
        "UID MOVE 1:2 Archive",
        "STORE 2 +FLAGS ($x)",
        "EXPUNGE",
    )

    def _play(self, command: str, interference: Interference) -> tuple[bytes, Client]:
        server = Server(step_messages=1)
        server.deliver(1, 2, 3)
        client = server.connect().login()
        client.command("SELECT INBOX")
        client.command("STORE 3 +FLAGS (\\Deleted)")
        # What others did meanwhile is to be told too.
        with interference.aside():
            server.deliver(4)
        interference.inside(server.store.database)
        return client.send(f"a {command}\r\n".encode()), client

    def test_each_command(self) -> None:
        for command in self.commands:
            interference = Interference()
            self._play(command, interference)
            names = [name for _, name in interference.calls]
            last = max(place for place, name in enumerate(names) if name in _CHANGES)
            behind = interference.calls[last + 1 :]
            self.assertTrue(behind, command)
            for call in behind:
                for error in (StoreUnavailable(), StorageFull(), Defect()):
                    with self.subTest(command=command, call=call, error=error):
                        interference = Interference(call, failing(error))
                        got, client = self._play(command, interference)
                        self.assertIn(b"\r\na OK ", b"\r\n" + got)
                        self.assertEqual(len(self.flushLoggedErrors()), isinstance(error, Defect))
                        told = got + client.send(b"b NOOP\r\n")
                        self.assertTrue(told.endswith(b"b OK NOOP completed\r\n"))
                        known = Told(responses(b"".join(client.transport.writes))[0]).flags
                        self.assertEqual(len(known), len(fired(client.server.mail.select("INBOX", True)).rows))

    def test_one_that_is_called_off_behind_it(self) -> None:
        for command in self.commands:
            interference = Interference()
            self._play(command, interference)
            call = interference.calls[-1]
            interference = Interference(call, held)
            _, client = self._play(command, interference)
            assert interference.held is not None
            interference.held.cancel()
            self.assertIn(b"\r\na OK ", b"\r\n" + client.output())


class IdleTests(SynchronousTestCase):
    """A client in IDLE is owed something that the store does not give."""

    def setUp(self) -> None:
        self.server = Server()
        self.client = self.server.connect().login()
        self.client.command("SELECT INBOX")
        self.mail = self.client.protocol._session.avatar.mail
        spoil(self.client, mailbox_changes=self._changes)
        self.error: Exception | None = StoreUnavailable()
        self.asked = 0
        self.client.send(b"a IDLE\r\n")
        self.server.deliver(1)

    def _changes(self) -> Deferred[object]:
        self.asked += 1
        if self.error is not None:
            return fail(self.error)
        view = self.client.protocol._session.view
        changes: Deferred[object] = self.mail.mailbox_changes(view.mailbox_id, view.modseq)
        return changes

    def test_it_is_asked_for_now_and_then(self) -> None:
        self.assertEqual((self.asked, self.client.output()), (1, b""))
        self.server.deliver(2)
        self.server.clock.pump([1.0] * 11)
        self.assertEqual((self.asked, self.client.output()), (3, b""))
        self.error = None
        self.server.clock.advance(5)
        self.assertEqual((self.asked, self.client.output()), (4, b"* 2 EXISTS\r\n* 2 RECENT\r\n"))
        self.assertEqual(self.client.send(b"DONE\r\n"), b"a OK IDLE completed\r\n")

    def test_done_ends_it_all_the_same(self) -> None:
        self.assertEqual(self.client.send(b"DONE\r\n"), b"a OK IDLE completed\r\n")
        self.error = None
        self.assertIn("* 1 EXISTS", self.client.command("CHECK"))

    def test_a_defect_is_asked_for_no_more_often(self) -> None:
        self.error = Defect()
        self.server.clock.advance(5)
        self.assertEqual((self.asked, len(self.flushLoggedErrors(Defect))), (2, 1))

    def test_nothing_is_left_when_the_client_leaves(self) -> None:
        self.client.close()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
