"""The same dialogues with Dovecot and with us: where the RFCs leave no freedom, the answers are the same.

What they do leave free is taken out by :func:`told` before answers are compared, or not asked for. Where Dovecot and
the RFC differ, the RFC is right, and the command is not here: Dovecot takes MOVE in a mailbox opened with EXAMINE,
renames what is below INBOX with it, gives a message without Date the year 1970 in SENTBEFORE, forgets one of two size
limits in SEARCH, and takes two spaces where the grammar has one.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final
from unittest import TestCase

import pytest

from tests.acceptance import acceptance
from tests.interop.dialogues import Answer, Dialogue, Text
from tests.interop.dovecot import needs_dovecot, running_dovecot
from tests.support.server import Server, running

PASSWORD = "test"
USERS = ("names", "fetch", "search", "changes", "errors", "modseq", "pair")
OUR_MAILBOXES: Final = frozenset({b"ARCHIVE", b"DRAFTS", b"JUNK", b"SENT", b"TRASH"})
FREE_ATTRIBUTES: Final = frozenset({b"\\MARKED", b"\\UNMARKED", b"\\NOINFERIORS", b"\\NOSELECT"})
TOLD_CODES: Final = frozenset({b"UNSEEN", b"UIDNEXT"})
FREE_NUMBERS: Final = frozenset({b"UIDVALIDITY", b"HIGHESTMODSEQ"})


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1")


MESSAGES = (
    crlf(
        'From: A <a@x.test>\nTo: b@y.test, "C, D" <c@z.test>\nCc: Group: e@e.test, F <f@f.test>;, u@u.test\n'
        "Subject: plain one\nDate: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\nMessage-ID: <m1@x>\n\n"
        "Hello Joe, lunch?\nline 2\n"
    ),
    crlf(
        "From: a@x.test\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?w7Y=?=\n"
        "Date: Tue, 8 Feb 2022 01:00:00 +0900\n"
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b1"; x=y\nContent-Language: en, de\n\npreamble\n'
        "--b1\nContent-Type: text/plain; charset=utf-8; format=flowed\n"
        "Content-Transfer-Encoding: quoted-printable\n"
        "Content-ID: <cid1>\nContent-Description: descr\n\nGr=C3=BC=C3=9Fe aus K=C3=B6ln =\nweiter\n"
        "--b1\nContent-Type: multipart/alternative; boundary=b2\n\n--b2\nContent-Type: text/html\n\n<p>html</p>\n"
        '--b2\nContent-Type: application/octet-stream; name="a.bin"\n'
        'Content-Disposition: attachment; filename="a.bin"\n'
        "Content-Transfer-Encoding: base64\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Location: http://x/y\n\n"
        "AAEC\n--b2--\n--b1\nContent-Type: message/rfc822\n\nFrom: inner@i.test\nSubject: within\n"
        "Date: Wed, 09 Feb 2022 01:00:00 +0000\nContent-Type: multipart/mixed; boundary=b3\n\n"
        "--b3\n\nin part 1\n--b3\nContent-Type: text/x-foo\n\nin part 2\n--b3--\n\n--b1--\nepilogue\n"
    ),
    crlf("Subject:\nDate: 1 Jan 1998 00:00:00 GMT\n\n"),
    crlf("Subject: no body\nDate: 2 Jan 1998 23:00 +0200\n\n"),
    crlf(
        'From: "Q\\"uote\\\\d" <q@q.test>\nSender: s@s.test\nReply-To: r@r.test\nBcc: bc@bc.test\nIn-Reply-To: <a@b>\n'
        "References: <a@b> <c@d>\nX-Long: aaa\n bbb\n\tccc\nSubject: folded\n subject\n"
        'Date: Wed, 5 Jan 2000 10:00:00 +0000\nContent-Type: text/plain;\n charset="us-ascii"\n\n' + "x" * 300 + "\n"
    ),
    crlf("From: <@one,@two:user@dom.test>\nTo: undisclosed-recipients:;\nDate: 3 Mar 2003 03:03 -0500\n\nbody\n"),
    crlf(
        "Subject: digest\nContent-Type: multipart/digest; boundary=dd\nMIME-Version: 1.0\n"
        "Date: Fri, 31 Dec 1999 23:59:59 -0100\n\n--dd\n\nSubject: first\n\nfirst text\n"
        "--dd\n\nSubject: second\nContent-Type: text/html\n\n<b>second</b>\n--dd--\n"
    ),
    crlf(
        "Received: from x by y; Mon, 1 Jan 2001 00:00:00 +0000\nFrom: late@x.test\nX-Test: one\nX-Test: two\n"
        "Date: Sun, 6 Feb 2022 12:00:00 +0000\nSubject: Needles\n\nNeedle in the hay. needle\nsplit nee\ndle\n"
    ),
)
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted", "$Kw", "other")


# --- what counts ----------------------------------------------------------------------------------------------------


def told(answer: Answer) -> tuple[bytes, list[Any]]:
    """What of an answer has to be as it is: its status and its untagged responses."""
    kept = [line for line in map(_told_line, answer.untagged) if line is not None]
    return answer.status, sorted(kept, key=repr)


def _told_line(line: tuple[Any, ...]) -> tuple[Any, ...] | None:
    name, *rest = line
    if name in (b"OK", b"NO", b"BYE"):
        code = rest[0].removeprefix(b"[") if rest and rest[0].startswith(b"[") else b""
        return (name, code, rest[1].rstrip(b"]")) if code in TOLD_CODES else None
    if name in (b"LIST", b"LSUB"):
        mailbox = _name(rest[2])
        attributes = tuple(sorted(set(rest[0]) - FREE_ATTRIBUTES))
        return None if mailbox in OUR_MAILBOXES else (name, attributes, rest[1], mailbox)
    if name == b"STATUS":
        return name, _name(rest[0]), _pairs(rest[1])
    if name in (b"FLAGS", b"CAPABILITY", b"ID"):
        # Which keywords are told of, once they were used, is the server's choice.
        return None
    if name == b"ESEARCH":
        # The order of the results is free.
        start = 2 if b"UID" in rest else 1
        return name, rest[:start], _pairs(tuple(rest[start:]))
    if rest == [b"EXPUNGE"]:
        # From the first to the last or the other way round: the numbers differ, what remains does not.
        return (b"EXPUNGE",)
    if rest and rest[0] == b"FETCH":
        return int(name), b"FETCH", tuple((key, _value(key, value)) for key, value in _pairs(rest[1]))
    return tuple("*" if isinstance(token, tuple) and token[0] == b"MODSEQ" else token for token in line)


def _name(token: Text | bytes) -> bytes:
    return (token.octets if isinstance(token, Text) else token).upper()


def _pairs(tokens: tuple[Any, ...]) -> tuple[tuple[bytes, Any], ...]:
    found = {tokens[at]: tokens[at + 1] for at in range(0, len(tokens), 2)}
    return tuple(sorted((key, "*" if key in FREE_NUMBERS or key == b"MODSEQ" else found[key]) for key in found))


def _value(key: bytes, value: Any) -> Any:
    if key == b"FLAGS":
        return tuple(sorted(value))
    if key == b"INTERNALDATE":
        # A day of one digit stands behind a space or a zero.
        return value.octets.replace(b" ", b"0", 1) if value.octets.startswith(b" ") else value.octets
    if key.startswith(b"BODY[") and value is None:
        # A part that is not there is NIL or empty.
        return Text(b"")
    if key in (b"BODY", b"BODYSTRUCTURE"):
        # The default charset may be named or not.
        return repr(value).replace("(b'charset', b'us-ascii')", "None")
    return value


# --- the same to both -----------------------------------------------------------------------------------------------


@pytest.mark.interop
@needs_dovecot
class DovecotTests(TestCase):
    """Each test has its account at both."""

    server: ClassVar[Server]
    dovecot_port: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls.dovecot_port, _ = stack.enter_context(running_dovecot(PASSWORD))
        cls.server = stack.enter_context(running(Server(folder / "server", USERS, password=PASSWORD)))

    def log_in(self, user: str) -> tuple[Dialogue, Dialogue]:
        theirs = Dialogue(self.dovecot_port, user, PASSWORD)
        self.addCleanup(theirs.close)
        ours = Dialogue(self.server.port(143), f"{user}@{self.server.domain}", PASSWORD)
        self.addCleanup(ours.close)
        return theirs, ours

    def ask(self, both: tuple[Dialogue, Dialogue], *pieces: str | bytes) -> Answer:
        """Say the same to both and compare; our answer."""
        theirs, ours = both[0].say(*pieces), both[1].say(*pieces)
        with self.subTest(command=pieces):
            self.assertEqual(told(ours), told(theirs))
        if theirs.status == b"BAD":
            # Neither throws out a client whose next command is right.
            both[0].say("NOOP"), both[1].say("NOOP")
        return ours

    def ask_all(self, both: tuple[Dialogue, Dialogue], commands: str) -> None:
        for command in commands.strip().splitlines():
            self.ask(both, command)

    def fill(self, both: tuple[Dialogue, Dialogue], mailbox: str, count: int, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.ask(both, f"CREATE {mailbox}")
        for place in range(count):
            flags = " ".join(sorted(chance.sample(FLAGS, chance.randint(0, 3))))
            date = f"{chance.randint(1, 28):2d}-Feb-{chance.choice((2020, 2021))} 0{place % 10}:00:00"
            zone = chance.choice(("+0000", "-0500", "+0900"))
            octets = MESSAGES[place % len(MESSAGES)]
            self.ask(both, f'APPEND {mailbox} ({flags}) "{date} {zone}" ', octets)

    @acceptance("S101")
    def test_names(self) -> None:
        self.ask_all(
            self.log_in("names"),
            """
LIST "" ""
LIST "" *
CREATE a
CREATE a/b
CREATE a/b/c
create inbox.test1
CREATE INBOX/Sub
CREATE INBOX
CREATE a
CREATE x
CREATE x/y/
CREATE /lead
CREATE "with space"
CREATE "&AOQ-"
CREATE ""
LIST "" *
LIST "" %
LIST a/ %
LIST a *
LIST "" a/%
LIST "" */c
LIST "" inbox
LIST "" InBox*
LIST "" inbox/%
LIST "" "%/%"
LIST "" "*%"
LIST "" a/b/
LIST / *
LIST "" (INBOX "%/b") RETURN (CHILDREN)
SUBSCRIBE a/b/c
SUBSCRIBE x
SUBSCRIBE INBOX
LIST (SUBSCRIBED) "" * RETURN (CHILDREN)
LIST "" % RETURN (SUBSCRIBED CHILDREN)
LIST (FOO) "" *
LIST "" % RETURN (FOO)
DELETE a/b/c
SELECT a/b/c
UNSUBSCRIBE x
UNSUBSCRIBE x
RENAME a z
LIST "" *
RENAME z INBOX
RENAME z z/under
RENAME nope other
RENAME z x
RENAME z/b r/s
LIST "" *
DELETE INBOX
DELETE inbox
DELETE nope
STATUS nope (MESSAGES)
STATUS INBOX ()
STATUS INBOX (FOO)
STATUS inbox (MESSAGES UNSEEN RECENT UIDNEXT UIDVALIDITY)
STATUS INBOX (SIZE)
""",
        )

    @acceptance("S106", "S107", "S108", "S109", "S112")
    def test_fetch(self) -> None:
        both = self.log_in("fetch")
        self.fill(both, "box", len(MESSAGES))
        self.ask(both, "EXAMINE box")
        self.ask_all(both, "FETCH 1 BODY[]\nFETCH 1 FLAGS\nCLOSE\nSELECT box\nSTORE 1:* +FLAGS.SILENT (\\Seen)")
        items = """
FLAGS
(UID FLAGS)
INTERNALDATE
RFC822.SIZE
ENVELOPE
BODY
BODYSTRUCTURE
ALL
FAST
FULL
RFC822
RFC822.HEADER
RFC822.TEXT
BODY[]
BODY.PEEK[HEADER]
BODY[TEXT]
BODY[1]
BODY[1.MIME]
BODY[2.MIME]
BODY[2.1]
BODY[2.2]
BODY[2.2.MIME]
BODY[3.HEADER]
BODY[3.TEXT]
BODY[3.MIME]
BODY[3.1]
BODY[3.2]
BODY[3.2.MIME]
BODY[1.HEADER]
BODY[1.TEXT]
BODY[3.HEADER.FIELDS (Subject)]
BODY[9]
BODY[HEADER.FIELDS (Subject From)]
BODY[HEADER.FIELDS (x-TEST X-Long)]
BODY[HEADER.FIELDS.NOT (Subject)]
BODY[]<0.10>
BODY[]<5.10>
BODY[]<100000.10>
BODY[TEXT]<3.4>
BODY[HEADER.FIELDS (Subject)]<0.5>
BINARY[1]
BINARY.SIZE[1]
BINARY.PEEK[1]<0.3>
"""
        for item in items.strip().splitlines():
            self.ask(both, f"FETCH 1:* {item}")
        for numbers in ("*", "3:1", "*:6", "7:*", "1,1,2:3,2", "99", "0", "1:99", "1:", "4294967296"):
            self.ask(both, f"FETCH {numbers} (UID FLAGS)")
            self.ask(both, f"UID FETCH {numbers} FLAGS")
        self.ask(both, "UID FETCH 999:* BODY[1]")

    @acceptance("S129")
    def test_search(self) -> None:
        both = self.log_in("search")
        self.fill(both, "box", 30)
        self.ask_all(both, "SELECT box\nSTORE 3,9,20 +FLAGS.SILENT (\\Deleted)\nUID EXPUNGE 3,9,20")
        programs = Programs(random.Random(9), 27)
        for _ in range(300):
            self.ask(both, *programs.command())

    @acceptance("S113", "S116", "S117", "S118")
    def test_changes(self) -> None:
        both = self.log_in("changes")
        self.fill(both, "box", 12)
        self.ask_all(
            both,
            r"""
CREATE other
SELECT box
STORE 1 FLAGS (\Flagged foo)
STORE 1 +FLAGS \Answered
STORE 1 +FLAGS (\Draft bar)
STORE 1 -FLAGS.SILENT (\Flagged)
STORE 1 FLAGS ()
STORE 1 +FLAGS (\Recent)
STORE 1 +FLAGS (\Foo)
STORE 1 FOO (\Seen)
STORE 99 +FLAGS (\Seen)
UID STORE 99 +FLAGS (\Seen)
UID STORE 1 +FLAGS (\Seen)
STORE 2,1 FLAGS (\Seen kw1)
COPY 1 other
COPY 1:2,4 other
COPY 1 nope
COPY 99 other
UID COPY 99 other
COPY 1 box
MOVE 99 other
UID MOVE 99 other
MOVE 1 nope
MOVE 2 other
STATUS other (MESSAGES UNSEEN UIDNEXT)
STORE 1:3 FLAGS.SILENT ()
STORE 1,3 +FLAGS.SILENT (\Deleted)
UID EXPUNGE 999
UID EXPUNGE 1
FETCH 1:* (UID FLAGS)
EXPUNGE
UID EXPUNGE
UNSELECT
SELECT box
CLOSE
SELECT box
CHECK
EXAMINE other
SELECT nope
FETCH 1 FLAGS
""",
        )

    def test_refusals(self) -> None:
        both = self.log_in("errors")
        self.ask(both, "APPEND INBOX ", MESSAGES[0])
        self.ask_all(
            both,
            """
FETCH 1 FLAGS
CHECK
CLOSE
EXPUNGE
SEARCH ALL
COPY 1 a
FOO
UID
UID FOO
SELECT
CREATE
LIST
LIST ""
STARTTLS
LOGIN a b
AUTHENTICATE PLAIN
SELECT INBOX
FETCH
FETCH 1
FETCH 1 (FLAGS
FETCH 1 FLAGS)
FETCH 1 FOO
FETCH 1 ()
FETCH 1 BODY[FOO]
FETCH 1 BODY[MIME]
FETCH 1 BODY[HEADER.FIELDS ()]
STORE 1
SEARCH
SEARCH FOO
SEARCH ON 32-Foo-2000
SEARCH (ALL
SEARCH NOT
SEARCH OR ALL
SEARCH CHARSET X-NONE TEXT a
SEARCH RETURN (FOO) ALL
COPY 1
""",
        )

    @acceptance("S113")
    def test_modseqs_and_extended_searches(self) -> None:
        both = self.log_in("modseq")
        self.fill(both, "box", 8)
        self.ask_all(
            both,
            r"""
STATUS box (HIGHESTMODSEQ)
ENABLE CONDSTORE
SELECT box (CONDSTORE)
FETCH 1 (FLAGS MODSEQ)
FETCH 1:* (FLAGS UID) (CHANGEDSINCE 1)
FETCH 1:* (FLAGS UID) (CHANGEDSINCE 99999999)
UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)
STORE 1:8 FLAGS.SILENT (fresh)
STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\Flagged)
STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Flagged)
STORE 1 (UNCHANGEDSINCE 99999999) +FLAGS (\Flagged)
STORE 2:3 (UNCHANGEDSINCE 99999999) +FLAGS.SILENT (\Answered)
UID STORE 2 (UNCHANGEDSINCE 99999999) -FLAGS (\Answered)
STORE 4 +FLAGS.SILENT (\Draft)
SEARCH MODSEQ 1
SEARCH MODSEQ 99999999
UID SEARCH MODSEQ 1 FLAGGED
SEARCH RETURN (MIN MAX COUNT ALL) ALL
SEARCH RETURN () FLAGGED
SEARCH RETURN (MIN MAX) KEYWORD nope
SEARCH RETURN (COUNT) KEYWORD nope
SEARCH RETURN (ALL) KEYWORD nope
UID SEARCH RETURN (MAX) ALL
UID SEARCH RETURN (ALL COUNT) ALL
SEARCH RETURN (MIN) MODSEQ 1
""",
        )

    @acceptance("S116", "S131")
    def test_two_sessions_hear_of_each_other(self) -> None:
        one, two = self.log_in("pair"), self.log_in("pair")
        self.fill(one, "box", 6)
        self.ask(one, "SELECT box")
        self.ask(two, "EXAMINE box")
        steps = (
            (one, "STORE 1:6 FLAGS.SILENT ()"),
            (two, "NOOP"),
            (one, "STORE 2 +FLAGS (\\Flagged)"),
            (two, "NOOP"),
            (one, "STORE 1,4 +FLAGS (\\Deleted)"),
            (two, "NOOP"),
            (one, "EXPUNGE"),
            (two, "SEARCH UNFLAGGED"),
            (two, "NOOP"),
            (two, "FETCH 1:* (UID FLAGS)"),
            (one, "COPY 1 box"),
            (two, "NOOP"),
            (one, "CLOSE"),
            (two, "CLOSE"),
            (one, "STATUS box (MESSAGES UNSEEN UIDNEXT)"),
        )
        for session, command in steps:
            if command == "NOOP":
                # A server may hear of the other's change a moment later.
                session[0].say("NOOP")
                session[1].say("NOOP")
            else:
                self.ask(session, command)


class Programs:
    """Random SEARCH commands, of keys about which the RFC leaves no doubt."""

    _WORDS = ("a", "hello", "Grüße", "grüße", "needle", "NEEDLE", "nee", "joe, lunch", "xxx", "Köln weiter", "nothing")
    _FIELDS = ("SUBJECT", "FROM", "TO", "CC", "BCC", "HEADER subject", "HEADER X-Test", 'HEADER "Message-ID"')
    _FLAG_KEYS = (
        *("ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "NEW", "OLD", "RECENT", "SEEN"),
        *("UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN"),
    )
    _DATES = ("1-Feb-2020", "14-Feb-2020", "14-Feb-2021", "28-Feb-2021", "2-Jan-1998", "1-Jan-2000", "8-Feb-2022")

    def __init__(self, chance: random.Random, messages: int) -> None:
        self._chance = chance
        self._messages = messages
        self._is_sized = False

    def command(self) -> list[str | bytes]:
        """Pieces for :meth:`Dialogue.say`."""
        self._is_sized = False
        pieces = [self._chance.choice(("SEARCH CHARSET UTF-8 ", "UID SEARCH CHARSET UTF-8 ")), *self._key(0)]
        for _ in range(self._chance.randint(0, 2)):
            pieces += [" ", *self._key(0)]
        joined: list[str | bytes] = []
        for piece in pieces:
            if isinstance(piece, str) and joined and isinstance(joined[-1], str):
                joined[-1] += piece
            else:
                joined.append(piece)
        return joined

    def _key(self, depth: int) -> list[str | bytes]:
        pick = self._chance.choice
        kind = self._chance.random()
        if depth < 3 and kind < 0.12:
            return ["NOT ", *self._key(depth + 1)]
        if depth < 3 and kind < 0.24:
            return ["OR ", *self._key(depth + 1), " ", *self._key(depth + 1)]
        if depth < 3 and kind < 0.32:
            return ["(", *self._key(depth + 1), " ", *self._key(depth + 1), ")"]
        return pick((self._flag, self._flag, self._date, self._size, self._set, self._field, self._text))()

    def _flag(self) -> list[str | bytes]:
        pick = self._chance.choice
        if self._chance.random() < 0.7:
            return [pick(self._FLAG_KEYS)]
        return [pick(("KEYWORD ", "UNKEYWORD ")) + pick(("$Kw", "other", "OTHER", "nope"))]

    def _date(self) -> list[str | bytes]:
        pick = self._chance.choice
        return [f"{pick(('', 'SENT'))}{pick(('BEFORE', 'ON', 'SINCE'))} {pick(self._DATES)}"]

    def _size(self) -> list[str | bytes]:
        if self._is_sized:
            # Dovecot makes NOT LARGER 5 NOT LARGER 9 the second of them.
            return self._flag()
        self._is_sized = True
        sizes = [0, 100, 5000, *map(len, MESSAGES)]
        return [f"{self._chance.choice(('LARGER', 'SMALLER'))} {self._chance.choice(sizes)}"]

    def _set(self) -> list[str | bytes]:
        ends = [*map(str, range(1, self._messages + 1)), "*"]
        pick = self._chance.choice
        ranges = [f"{pick(ends)}:{pick(ends)}" if pick((True, False)) else pick(ends) for _ in range(pick((1, 2, 3)))]
        return [pick(("", "UID ")) + ",".join(ranges)]

    def _field(self) -> list[str | bytes]:
        return [self._chance.choice(self._FIELDS) + " ", *self._word()]

    def _text(self) -> list[str | bytes]:
        return [self._chance.choice(("BODY ", "TEXT ")), *self._word()]

    def _word(self) -> list[str | bytes]:
        word = self._chance.choice(self._WORDS)
        return [f'"{word}"'] if word.isascii() and self._chance.random() < 0.5 else [word.encode()]
