"""Commands, table by table: what each line means, and which lines mean nothing."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pymailsuite.errors import PeerError
from pymailsuite.imap import values as v
from pymailsuite.imap.extensions.acl import AclCommand, IdentifierCommand, SetAcl
from pymailsuite.imap.extensions.compress import Compress
from pymailsuite.imap.extensions.condstore import ByModSeq
from pymailsuite.imap.extensions.enable import Enable
from pymailsuite.imap.extensions.id import Id
from pymailsuite.imap.extensions.language import ChooseLanguage
from pymailsuite.imap.extensions.qresync import Known
from pymailsuite.imap.extensions.uidplus import UidExpunge
from pymailsuite.imap.extensions.within import ByAge
from pymailsuite.imap.grammar import parse_tag
from pymailsuite.imap.grammar.append import (
    Awaited,
    MessageBegins,
    MessageEnds,
    Messages,
    OctetsOf,
    Place,
    Step,
    read_messages,
)
from pymailsuite.imap.grammar.metadata import GetMetadata, SetMetadata
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.grammar.urls import MessageUrl, parse_url
from pymailsuite.imap.patterns import Patterns
from pymailsuite.interfaces.rights import Rights
from pymailsuite.interfaces.sharing import Identifier, IdentifierKind, RightsChange
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, SeqSet, SpecialUse, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.support.imap import VOCABULARY, first_message, parse, parse_named, parse_offered

BOB = Identifier(IdentifierKind.USER, "bob")
SEEN, DELETED = SystemFlag.SEEN, SystemFlag.DELETED


def numbers(*ranges: tuple[int, int], uid: bool = False) -> v.SequenceSet:
    return v.SequenceSet(ranges, uid)


Line = bytes | list[bytes]


def pieces(line: Line) -> list[bytes]:
    return [line] if isinstance(line, bytes) else line


COMMANDS: list[tuple[Line, v.Command]] = [
    (b"a CAPABILITY", v.Command("a")),
    (b"a noop", v.Command("a")),
    (b"a Logout", v.Command("a")),
    (b"a STARTTLS", v.Command("a")),
    (b"a CHECK", v.Command("a")),
    (b"a CLOSE", v.Command("a")),
    (b"a UNSELECT", v.Command("a")),
    (b"a UNAUTHENTICATE", v.Command("a")),
    (b"a EXPUNGE", v.Command("a")),
    (b"a IDLE", v.Command("a")),
    (b"a GETMETADATA INBOX /Private/Comment", GetMetadata("a", "INBOX", ("/private/comment",))),
    (
        b'a GETMETADATA (DEPTH infinity MAXSIZE 9) "" (/shared /private/a/b)',
        GetMetadata("a", "", ("/shared", "/private/a/b"), 9, None),
    ),
    (b"a GETMETADATA INBOX (depth 1) /shared/x", GetMetadata("a", "INBOX", ("/shared/x",), None, 1)),
    (
        [b'a SETMETADATA INBOX (/private/a "x" /shared/b NIL /private/c ~', b"\0", b")"],
        SetMetadata("a", "INBOX", {"/private/a": b"x", "/shared/b": None, "/private/c": b"\0"}),
    ),
    (b"a LANGUAGE", ChooseLanguage("a")),
    (b'a language de-AT "en" default', ChooseLanguage("a", ("de-AT", "en", "default"))),
    (b"a compress deflate", Compress("a", "DEFLATE")),
    (b"a NAMESPACE", v.Command("a")),
    # ACL: RFC 4314 §7
    (b"a GETACL work", AclCommand("a", "work")),
    (b"a myrights work", AclCommand("a", "work")),
    (b"a DELETEACL work Bob", IdentifierCommand("a", "work", "Bob", BOB, False)),
    (b"a LISTRIGHTS work -bob", IdentifierCommand("a", "work", "-bob", BOB, True)),
    (b"a SETACL work bob lr", SetAcl("a", "work", "bob", BOB, False, RightsChange.REPLACE, Rights.parse("lr"))),
    (b'a SETACL work "-bob" +cd', SetAcl("a", "work", "-bob", BOB, True, RightsChange.ADD, Rights.parse("kxte"))),
    (b"a SETACL work bob -l", SetAcl("a", "work", "bob", BOB, False, RightsChange.REMOVE, Rights.parse("l"))),
    (b'a SETACL work bob ""', SetAcl("a", "work", "bob", BOB, False, RightsChange.REPLACE, Rights())),
    # AUTHENTICATE: RFC 3501 §6.2.2, RFC 4959
    (b"a AUTHENTICATE plain", v.Authenticate("a", "PLAIN")),
    (b"a AUTHENTICATE PLAIN =", v.Authenticate("a", "PLAIN", b"")),
    (b"a AUTHENTICATE PLAIN AGEAYg==", v.Authenticate("a", "PLAIN", b"\0a\0b")),
    (b"a AUTHENTICATE SCRAM-SHA-256", v.Authenticate("a", "SCRAM-SHA-256")),
    # LOGIN
    (b"a LOGIN anna@mail.example secret", v.Login("a", "anna@mail.example", b"secret")),
    (b'a LOGIN "an\\"na" "se\\\\cret"', v.Login("a", 'an"na', b"se\\cret")),
    ([b"a LOGIN ", b"anna", b" ", b"p\r\n\xff", b""], v.Login("a", "anna", b"p\r\n\xff")),
    ([b"a LOGIN ", b"", b" pass]word"], v.Login("a", "", b"pass]word")),
    ('a LOGIN "ännä" "pässwörd"'.encode(), v.Login("a", "ännä", "pässwörd".encode())),
    # SELECT, EXAMINE
    (b"a SELECT INBOX", v.Select("a", "INBOX")),
    (b"a select inbox", v.Select("a", "inbox")),
    (b'a SELECT "inBox/x"', v.Select("a", "inBox/x")),
    (b"a SELECT Inboxes", v.Select("a", "Inboxes")),
    (b"a SELECT x/inbox", v.Select("a", "x/inbox")),
    ('a SELECT "ınbox"'.encode(), v.Select("a", "ınbox")),
    (b"a SELECT Entw&APw-rfe", v.Select("a", "Entwürfe")),
    ('a SELECT "Entwürfe"'.encode(), v.Select("a", "Entwürfe")),
    ([b"a SELECT ", "Entwürfe".encode(), b""], v.Select("a", "Entwürfe")),
    (b"a SELECT [Gmail]/x", v.Select("a", "[Gmail]/x")),
    (b"a SELECT INBOX (CONDSTORE)", v.Select("a", "INBOX", {"CONDSTORE": None})),
    (b"a SELECT INBOX (QRESYNC (1 2))", v.Select("a", "INBOX", {"QRESYNC": Known(1, 2)})),
    (
        b"a SELECT INBOX (QRESYNC (1 2 9,3:5) CONDSTORE)",
        v.Select("a", "INBOX", {"QRESYNC": Known(1, 2, UidSet([(3, 5), (9, 9)])), "CONDSTORE": None}),
    ),
    (
        b"a EXAMINE INBOX (QRESYNC (1 2 (1:2 7,9)))",
        v.Examine("a", "INBOX", {"QRESYNC": Known(1, 2, ALL_UIDS, SeqSet([(1, 2)]), UidSet([(7, 7), (9, 9)]))}),
    ),
    (
        b"a EXAMINE INBOX (QRESYNC (1 2 1:9 (1 7)))",
        v.Examine("a", "INBOX", {"QRESYNC": Known(1, 2, UidSet([(1, 9)]), SeqSet([(1, 1)]), UidSet([(7, 7)]))}),
    ),
    (b"a EXAMINE INBOX (condstore)", v.Examine("a", "INBOX", {"CONDSTORE": None})),
    (b"a EXAMINE x", v.Examine("a", "x")),
    # CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
    (b"a CREATE x/y", v.Create("a", "x/y")),
    (b"a CREATE x/y/", v.Create("a", "x/y/")),
    (b"a CREATE x (USE (\\Sent))", v.Create("a", "x", (SpecialUse.SENT,))),
    (b"a CREATE x (use (\\archive))", v.Create("a", "x", (SpecialUse.ARCHIVE,))),
    (b"a CREATE x (USE ())", v.Create("a", "x")),
    (
        b"a CREATE x (USE (\\Important \\Sent \\important))",
        v.Create("a", "x", (SpecialUse.IMPORTANT, SpecialUse.SENT)),
    ),
    (b"a DELETE x", v.Delete("a", "x")),
    (b'a RENAME "x y" z', v.Rename("a", "x y", "z")),
    ([b"a RENAME ", b"x", b" ", b"y", b""], v.Rename("a", "x", "y")),
    (b"a SUBSCRIBE x", v.Subscribe("a", "x")),
    (b"a UNSUBSCRIBE x", v.Unsubscribe("a", "x")),
    # LIST, LSUB
    (b'a LIST "" *', v.List("a", frozenset(), "", ("*",))),
    (b'a LIST "" ""', v.List("a", frozenset(), "", ("",))),
    (b'a LIST x/ "%/%"', v.List("a", frozenset(), "x/", ("%/%",))),
    (b'a LIST "" inbox', v.List("a", frozenset(), "", ("inbox",))),
    (b'a LIST "" (INBOX "%")', v.List("a", frozenset(), "", ("INBOX", "%"))),
    (
        b'a LIST (subscribed RECURSIVEMATCH) "" % RETURN (CHILDREN SPECIAL-USE)',
        v.List("a", frozenset({"SUBSCRIBED", "RECURSIVEMATCH"}), "", ("%",), {"CHILDREN": None, "SPECIAL-USE": None}),
    ),
    (
        b'a LIST () "" % RETURN (STATUS (MESSAGES unseen) CHILDREN)',
        v.List("a", frozenset(), "", ("%",), {"STATUS": ("MESSAGES", "UNSEEN"), "CHILDREN": None}),
    ),
    (b'a LIST "" % RETURN ()', v.List("a", frozenset(), "", ("%",))),
    (b'a LSUB "" *', v.Lsub("a", "", "*")),
    (b'a LSUB "x" "y%"', v.Lsub("a", "x", "y%")),
    # STATUS
    (b"a STATUS x (MESSAGES)", v.Status("a", "x", ("MESSAGES",))),
    (
        b"a STATUS x (uidnext SIZE HIGHESTMODSEQ uidnext)",
        v.Status("a", "x", ("UIDNEXT", "SIZE", "HIGHESTMODSEQ")),
    ),
    # STORE
    (b"a STORE 1 FLAGS (\\Seen)", v.Store("a", numbers((1, 1)), FlagChange.REPLACE, Flags(SEEN))),
    (b"a STORE 1 FLAGS ()", v.Store("a", numbers((1, 1)), FlagChange.REPLACE, Flags())),
    (
        b"a STORE 2:* +flags.silent (\\seen $Label1 $label1)",
        v.Store("a", numbers((2, 0)), FlagChange.ADD, Flags(SEEN, frozenset({"$Label1"})), True),
    ),
    (
        b"a STORE 1 -FLAGS \\Seen \\DELETED x",
        v.Store("a", numbers((1, 1)), FlagChange.REMOVE, Flags(SEEN | DELETED, frozenset({"x"}))),
    ),
    (
        b"a UID STORE 7 (UNCHANGEDSINCE 0) FLAGS.SILENT (x)",
        v.Store("a", numbers((7, 7), uid=True), FlagChange.REPLACE, Flags(keywords=frozenset("x")), True, 0, True),
    ),
    (
        b"a STORE 1 (UNCHANGEDSINCE 9223372036854775807) +FLAGS ()",
        v.Store("a", numbers((1, 1)), FlagChange.ADD, Flags(), False, 2**63 - 1),
    ),
    # COPY, MOVE, UID EXPUNGE
    (b"a COPY 1,3:5 x", v.Copy("a", numbers((1, 1), (3, 5)), "x")),
    (b"a UID COPY * inbox", v.Copy("a", numbers((0, 0), uid=True), "inbox", True)),
    (b"a MOVE 5:2 x", v.Copy("a", numbers((5, 2)), "x")),
    (b"a UID MOVE *:4 x", v.Copy("a", numbers((0, 4), uid=True), "x", True)),
    (b"a UID EXPUNGE 4294967295", UidExpunge("a", numbers((2**32 - 1, 2**32 - 1), uid=True))),
    # ID, ENABLE
    (b"a ID NIL", Id("a")),
    (b"a ID ()", Id("a", {})),
    (b'a ID ("name" "x" "os" NIL)', Id("a", {"name": "x", "os": None})),
    ([b"a ID (", b"name", b" ", b"x y", b")"], Id("a", {"name": "x y"})),
    (b"a ENABLE CONDSTORE x-y", Enable("a", ("CONDSTORE", "x-y"))),
]


def line_only(value: object) -> str | None:
    """A test's id is made of what it reads; sets in what comes out have another order in each process."""
    return repr(value)[:60] if isinstance(value, bytes | list) else None


@pytest.mark.parametrize(("line", "command"), COMMANDS, ids=line_only)
def test_a_line_is_its_command(line: Line, command: v.Command) -> None:
    name, read = parse_named(pieces(line))
    assert read == command
    assert name == " ".join(pieces(line)[0].decode().upper().split()[1 : 1 + len(name.split())])


BAD: list[Line] = [
    b"",
    b" ",
    b"a",
    b"a ",
    b" NOOP",
    b"a NOOP x",
    b"a XYZZY",
    b"a UID",
    b"a UID NOOP",
    b"a UID LOGIN x y",
    b"+ NOOP",
    b'"a" NOOP',
    b"a\x00 NOOP",
    [b"a ", b"NOOP", b""],
    b"a LOGIN",
    b"a LOGIN x",
    b"a LOGIN x y z",
    b"a LOGIN (x) y",
    b'a LOGIN "x y',
    b'a LOGIN "x\\y" z',
    b'a LOGIN "\xff" z',
    b"a LOGIN x y\x00",
    b"a AUTHENTICATE",
    b"a AUTHENTICATE PLAIN A",
    b"a AUTHENTICATE PLAIN A===",
    b"a AUTHENTICATE PLAIN !",
    b"a SELECT",
    b"a SELECT ",
    b"a SELECT %",
    b"a SELECT a*b",
    b"a SELECT a&b",
    b'a SELECT "a\tb"',
    b"a SELECT &AAo-",
    b'a SELECT "\xff\xfe"',
    b"a SELECT INBOX ()",
    b"a SELECT INBOX (QRESYNC)",
    b"a SELECT INBOX (QRESYNC (1))",
    b"a SELECT INBOX (QRESYNC (0 2))",
    b"a SELECT INBOX (QRESYNC (1 2 3:*))",
    b"a SELECT INBOX (QRESYNC (1 2 $))",
    b"a SELECT INBOX (QRESYNC (1 2 (1)))",
    b"a SELECT INBOX (QRESYNC (1 2 (1 *)))",
    b"a SELECT INBOX (QRESYNC (1 2 3 (1 2) 4))",
    b"a SELECT INBOX (QRESYNC (1 2 3 4))",
    b"a SELECT INBOX CONDSTORE",
    b"a SELECT " + b"x" * 1001,
    b"a CREATE x (USE \\Sent)",
    b"a CREATE x (USEE (\\Sent))",
    b"a CREATE x (USE (Sent))",
    b"a RENAME x",
    b'a LIST ""',
    b"a LIST x",
    b'a LIST (RECURSIVEMATCH) "" *',
    b'a LIST (REMOTE RECURSIVEMATCH) "" *',
    b'a LIST (XYZZY) "" *',
    b'a LIST "" ()',
    b'a LIST "" * RETURN',
    b'a LIST "" * RETURN CHILDREN',
    b'a LIST "" * RETURN (XYZZY)',
    b'a LIST "" * RETURN (STATUS)',
    b'a LIST "" * RETURN (STATUS ())',
    b"a LSUB x",
    b"a STATUS x",
    b"a STATUS x ()",
    b"a STATUS x MESSAGES",
    b"a STATUS x (XYZZY)",
    b"a STORE 0 FLAGS ()",
    b"a STORE 1 FLAGS",
    b"a STORE 1 FLAGS ",
    b"a STORE 1 XFLAGS ()",
    b"a STORE 1 +FLAGS (\\Recent)",
    b"a STORE 1 +FLAGS (\\Xyzzy)",
    b"a STORE 1 +FLAGS (\\*)",
    b"a STORE 1 +FLAGS (a b",
    b"a STORE 1 +FLAGS (" + b"k" * 101 + b")",
    b"a STORE 1 +FLAGS (" + b" ".join(b"k%d" % n for n in range(101)) + b")",
    b"a STORE 1 (UNCHANGEDSINCE) FLAGS ()",
    b"a STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()",
    b"a STORE 1 (XYZZY 1) FLAGS ()",
    b"a COPY x y",
    b"a COPY 1: y",
    b"a COPY 1,,2 y",
    b"a COPY 1,2, y",
    b"a COPY ,1 y",
    b"a COPY 1:2:3 y",
    b"a COPY 01 y",
    b"a COPY -1 y",
    b"a COPY 4294967296 y",
    b"a COPY 99999999999 y",
    b"a COPY 1" + b",1" * 20_000 + b" y",
    b"a MOVE 1",
    b"a UID EXPUNGE",
    b"a EXPUNGE 1",
    b"a ID",
    b"a ID x",
    b'a ID ("x")',
    b"a ID (" + b" ".join(b'"k%d" NIL' % n for n in range(31)) + b")",
    b"a ENABLE",
    b"a ENABLE ",
    b"a APPEND x",
    b"a APPEND x (\\Seen)",
    b"a FETCH",
    b"a FETCH 1",
    b"a FETCH 1 ",
    b"a FETCH 1 ()",
    b"a FETCH 1 XYZZY",
    b"a FETCH 1 (FLAGS",
    b"a FETCH 1 (FLAGS)x",
    b"a FETCH 1 (FAST)",
    b"a FETCH 1 FLAGS UID",
    b"a FETCH 1 (FLAGS UID) ()",
    b"a FETCH 1 (FLAGS) (CHANGEDSINCE)",
    b"a FETCH 1 (FLAGS) (XYZZY 1)",
    b"a FETCH 1 (FLAGS) (CHANGEDSINCE 1 GONE)",
    b"a FETCH 1 BODY[",
    b"a FETCH 1 BODY[X]",
    b"a FETCH 1 BODY[0]",
    b"a FETCH 1 BODY[1.]",
    b"a FETCH 1 BODY[1.0]",
    b"a FETCH 1 BODY[1]<0>",
    b"a FETCH 1 BODY[1]<0.0>",
    b"a FETCH 1 BODY[1]<0.1",
    b"a FETCH 1 BODY[MIME]",
    b"a FETCH 1 BODY[HEADER.FIELDS]",
    b"a FETCH 1 BODY[HEADER.FIELDS ()]",
    b"a FETCH 1 BODY[HEADERS]",
    b"a FETCH 1 BODY[HEADER TEXT]",
    b"a FETCH 1 BODY.PEEK",
    b"a FETCH 1 BINARY",
    b"a FETCH 1 BINARY[TEXT]",
    b"a FETCH 1 BINARY.SIZE[1]<0.1>",
    b"a FETCH 1 RFC822[]",
    b"a FETCH 1 BODY[" + b".".join([b"1"] * 101) + b"]",
    b"a FETCH 1 (" + b" ".join(b"BODY[%d]" % n for n in range(1, 102)) + b")",
    b"a FETCH 1 BODY[HEADER.FIELDS (" + b" ".join([b"x"] * 201) + b")]",
    b"a GETACL",
    b"a GETACL work x",
    b"a SETACL work bob",
    b"a SETACL work bob L",
    b"a SETACL work bob lz",
    b"a SETACL work bob +-l",
    b'a SETACL work "" l',
    b"a SETACL work - l",
    b"a SETACL work group= l",
    b'a SETACL work "\xff" l',
    b"a SETACL work bob l x",
    b"a DELETEACL work",
    b"a LISTRIGHTS work",
    b"a MYRIGHTS",
    b"a SEARCH",
    b"a SEARCH ",
    b"a SEARCH XYZZY",
    b"a SEARCH ()",
    b"a SEARCH (ALL",
    b"a SEARCH ALL)",
    b"a SEARCH NOT",
    b"a SEARCH OR SEEN",
    b"a SEARCH FROM",
    b"a SEARCH FROM (x)",
    b"a SEARCH HEADER x",
    b"a SEARCH BEFORE x",
    b"a SEARCH BEFORE 30-Feb-2020",
    b"a SEARCH BEFORE 1-Xxx-2020",
    b"a SEARCH BEFORE 1-Jan-0000",
    b"a SEARCH BEFORE 1-Jan-20",
    b"a SEARCH LARGER x",
    b"a SEARCH LARGER 99999999999999999999",
    b"a SEARCH LARGER " + b"9" * 5000,
    b"a SEARCH YOUNGER 0",
    b"a SEARCH KEYWORD \\Seen",
    b"a SEARCH UID x",
    b"a SEARCH RETURN ALL",
    b"a SEARCH RETURN (XYZZY) ALL",
    b"a SEARCH RETURN (MIN)",
    b"a SEARCH RETURN (PARTIAL) ALL",
    b"a SEARCH RETURN (PARTIAL 0:3) ALL",
    b"a SEARCH RETURN (PARTIAL 1:-3) ALL",
    b"a SEARCH RETURN (PARTIAL -1:3) ALL",
    b"a SEARCH RETURN (PARTIAL 1:*) ALL",
    b"a SEARCH RETURN (PARTIAL 1:4294967296) ALL",
    b"a SEARCH RETURN (PARTIAL 1:3 ALL) ALL",
    b"a UID FETCH 1:* FLAGS (PARTIAL)",
    b"a SEARCH CHARSET UTF-8",
    b'a SEARCH FROM "\xff"',
    b'a SEARCH CHARSET US-ASCII FROM "\xc3\xa9"',
    b"a SEARCH " + b"NOT " * 40 + b"SEEN",
    b"a SEARCH " + b"(" * 40 + b"SEEN" + b")" * 40,
    b"a SEARCH " + b" ".join([b"SEEN"] * 1001),
]


@pytest.mark.parametrize("line", BAD, ids=lambda value: repr(value)[:60])
def test_a_line_that_is_no_command_is_the_peers_error(line: Line) -> None:
    with pytest.raises(PeerError):
        parse(pieces(line))


# What real clients send and RFC 3501 does not have, beside what it means.
LENIENT: list[tuple[Line, Line]] = [
    (b"a  NOOP", b"a NOOP"),
    (b"a NOOP   ", b"a NOOP"),
    ([b"a LOGIN x ", b"y", b" "], [b"a LOGIN x ", b"y", b""]),
    (b"a  login  x  y ", b"a LOGIN x y"),
    (b"a AUTHENTICATE PLAIN ", b"a AUTHENTICATE PLAIN"),
    (b"a AUTHENTICATE PLAIN  = ", b"a AUTHENTICATE PLAIN ="),
    (b"a select  INBOX ", b"a SELECT INBOX"),
    (b'a SELECT "inBox"', b"a SELECT inBox"),
    (b"a SELECT x ( CONDSTORE ) ", b"a SELECT x (CONDSTORE)"),
    (b"a CREATE x  (USE ( \\Sent ) ) ", b"a CREATE x (USE (\\Sent))"),
    (b"a RENAME  x  y ", b"a RENAME x y"),
    (b"a DELETE x ", b"a DELETE x"),
    (b'a LIST  ""  "*" ', b'a LIST "" *'),
    (b'a LIST ( SUBSCRIBED )  "" ( x  y ) RETURN ( CHILDREN ) ', b'a LIST (SUBSCRIBED) "" (x y) RETURN (CHILDREN)'),
    (b'a lsub "" "*" ', b'a LSUB "" *'),
    (b"a STATUS x (MESSAGES ) ", b"a STATUS x (MESSAGES)"),
    (b"a STATUS x  ( messages  unseen )", b"a STATUS x (MESSAGES UNSEEN)"),
    (b"a FETCH 1 (UID FLAGS) ", b"a FETCH 1 (UID FLAGS)"),
    (b"a uid fetch 1  ( UID  FLAGS )", b"a UID FETCH 1 (UID FLAGS)"),
    (b"a FETCH 1 FAST ", b"a FETCH 1 FAST"),
    (b"a FETCH 1 body.peek[header.fields ( x  y )]", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS (x y)]"),
    (b"a FETCH 1 FLAGS  ( CHANGEDSINCE  5 ) ", b"a FETCH 1 FLAGS (CHANGEDSINCE 5)"),
    (b"a STORE 1  FLAGS ( \\seen ) ", b"a STORE 1 FLAGS (\\Seen)"),
    (b"a STORE 1 +flags.silent  \\SEEN  a ", b"a STORE 1 +FLAGS.SILENT (\\Seen a)"),
    (b"a STORE 1 +FLAGS (a  b)", b"a STORE 1 +FLAGS (a b)"),
    (b"a COPY  1  x ", b"a COPY 1 x"),
    (b"a UID EXPUNGE 1 ", b"a UID EXPUNGE 1"),
    (b"a SEARCH ALL ", b"a SEARCH ALL"),
    (b"a search  charset  utf-8  unseen  ( from  x  not  seen ) ", b"a SEARCH CHARSET utf-8 UNSEEN (FROM x NOT SEEN)"),
    (b"a SEARCH RETURN  ( MIN )  OR  SEEN  UNSEEN", b"a SEARCH RETURN (MIN) OR SEEN UNSEEN"),
    (b"a ENABLE  CONDSTORE ", b"a ENABLE CONDSTORE"),
    (b'a ID ( "name" "x" ) ', b'a ID ("name" "x")'),
    (b"a ID (name x)", b'a ID ("name" "x")'),
    (b'a ID ("name" "x" "version" 102.7.1)', b'a ID ("name" "x" "version" "102.7.1")'),
    (b'a ID ("name" nil)', b'a ID ("name" NIL)'),
    (b"a id nil ", b"a ID NIL"),
]


@pytest.mark.parametrize(("line", "meant"), LENIENT, ids=lambda value: repr(value)[:60])
def test_what_real_clients_send_is_read_as_it_is_meant(line: Line, meant: Line) -> None:
    assert parse(pieces(line)) == parse(pieces(meant))


@pytest.mark.parametrize(
    "line",
    [b"a APPEND  x ", b"a  APPEND x  (\\Seen)  ", b'a APPEND x ( ) "3-Feb-2025 18:28:47 +0000"  '],
)
def test_the_message_of_an_append_is_found_behind_several_spaces(line: bytes) -> None:
    assert VOCABULARY.has_messages(line)
    assert first_message([line])[1] == "x"


def test_old_names_of_items_peek_and_are_answered_under_theirs() -> None:
    command = parse([b"a FETCH 1 (rfc822.peek RFC822.TEXT.PEEK)"])
    assert isinstance(command, v.Fetch)
    parts: list[Any] = [VOCABULARY.fetch_attributes[item.name].part(item.argument) for item in command.items]
    assert [(part.label, part.sets_seen) for part in parts] == [(b"RFC822", False), (b"RFC822.TEXT", False)]


@pytest.mark.parametrize("name", [b"a&b", b"&", b"&AA", b"&AGE-", b"&2AA-", b"a&-&b", b'"\xff\xfe"'])
def test_a_name_that_cannot_be_decoded_is_nobodys_and_a_pattern_matches_nothing(name: bytes) -> None:
    for command in (b"SELECT %b", b"CREATE %b", b"STATUS %b (MESSAGES)", b"RENAME x %b", b"COPY 1 %b"):
        with pytest.raises(v.BadMailboxName):
            parse([b"a " + command % name])
    for command in (b'LIST "" %b', b'LIST "" (%b)', b'LSUB "" %b', b"LIST %b *", b"LSUB %b *"):
        listed = parse([b"a " + command % name])
        assert isinstance(listed, v.List | v.Lsub)
        patterns = listed.patterns if isinstance(listed, v.List) else (listed.pattern,)
        matches = Patterns(listed.reference, patterns)
        assert not any(map(matches, ("INBOX", "a", "a&b", "")))


@pytest.mark.parametrize("line", [[b"a SELECT ", b"a\0b", b""], [b"a LOGIN ", b"x", b" ", b"\0", b""]])
def test_a_nul_is_in_no_literal(line: Line) -> None:
    with pytest.raises(PeerError, match="NUL"):
        parse(pieces(line))


@pytest.mark.parametrize("uses", [b"\\Xyzzy", b"\\Sent \\Xyzzy"])
def test_a_special_use_that_we_do_not_have_is_refused_not_bad(uses: bytes) -> None:
    with pytest.raises(v.UnsupportedUse) as caught:
        parse([b"a CREATE x (USE (" + uses + b"))"])
    assert caught.value.imap_code == "USEATTR"


# --- tags


@pytest.mark.parametrize("tag", [".", "1", "a", "A001", "a.b", "]", "~!@#$^&-_=|;:'<>,?/"])
@acceptance("S089")
def test_a_tag_of_any_kind_is_read(tag: str) -> None:
    line = f"{tag} NOOP".encode()
    assert parse_named([line]) == ("NOOP", v.Command(tag))
    assert parse_tag(line) == tag
    assert parse_tag(f"{tag} XYZZY {{{{".encode()) == tag
    assert parse_tag(tag.encode()) == tag


@pytest.mark.parametrize("line", [b"", b" NOOP", b"+ NOOP", b"a+ NOOP", b"(a NOOP", b"\xff NOOP", b"a\tNOOP", b"a{5}"])
@acceptance("S089")
def test_a_line_without_a_tag_has_none(line: bytes) -> None:
    assert parse_tag(line) is None
    with pytest.raises(PeerError):
        parse([line])


# --- APPEND


APPENDS: list[tuple[list[bytes], tuple[str, str, Flags, float | None]]] = [
    ([b"a APPEND INBOX "], ("a", "INBOX", Flags(), None)),
    ([b"a append ", b"x", b" "], ("a", "x", Flags(), None)),
    ([b"a APPEND x (\\Seen $x) "], ("a", "x", Flags(SEEN, frozenset({"$x"})), None)),
    ([b"a APPEND x () "], ("a", "x", Flags(), None)),
    ([b'a APPEND x " 1-Jan-1970 00:00:10 +0000" '], ("a", "x", Flags(), 10.0)),
    ([b'a APPEND x (\\Seen) "17-Jul-1996 02:44:25 -0700" '], ("a", "x", Flags(SEEN), 837596665.0)),
    ([b'a APPEND x "01-Jan-1970 01:30:00 +0130" '], ("a", "x", Flags(), 0.0)),
    ([b'a APPEND x "31-Dec-1969 23:59:59 +0000" '], ("a", "x", Flags(), -1.0)),
    ([b'a APPEND x "31-Dec-2016 23:59:60 +0000" '], ("a", "x", Flags(), 1483228800.0)),
    ([b"a APPEND x ~"], ("a", "x", Flags(), None)),
]


@pytest.mark.parametrize(("line", "meant"), APPENDS, ids=line_only)
def test_what_stands_before_the_message_of_an_append(
    line: list[bytes], meant: tuple[str, str, Flags, float | None]
) -> None:
    assert first_message(line) == meant
    assert VOCABULARY.has_messages(line[0])


def _steps(line: bytes, place: Place = Place.FIRST, *, literal: bool = True, utf8: bool = True) -> Messages:
    return read_messages(Cursor([line], v.DEFAULT_LIMITS, VOCABULARY, utf8=utf8), place, literal=literal)


ONE, NEXT = MessageBegins(Flags(), None), MessageBegins(Flags(SEEN), None)
URL = OctetsOf(b"/x/;UID=1")
CATENATED: list[tuple[bytes, Place, bool, tuple[Step, ...], Awaited]] = [
    (b' CATENATE (URL "/x/;UID=1")', Place.FIRST, False, (ONE, URL, MessageEnds()), Awaited.NOTHING),
    (b' catenate ( url "/x/;UID=1" text ', Place.FIRST, True, (ONE, URL), Awaited.TEXT),
    (b' CATENATE (URL "/x/;UID=1" TEXT ~', Place.FIRST, True, (ONE, URL), Awaited.TEXT),
    (b" CATENATE (URL ", Place.FIRST, True, (ONE,), Awaited.STRING),
    (b" UTF8 (~", Place.FIRST, True, (ONE,), Awaited.TEXT),
    (b")", Place.LIST, False, (MessageEnds(),), Awaited.NOTHING),
    (b" URL /x/;UID=1)", Place.LIST, False, (URL, MessageEnds()), Awaited.NOTHING),
    (b" URL ", Place.LIST, True, (), Awaited.STRING),
    (b") (\\Seen) ", Place.LIST, True, (MessageEnds(), NEXT), Awaited.MESSAGE),
    (b" (\\Seen) CATENATE (TEXT ", Place.NEXT, True, (NEXT,), Awaited.TEXT),
    (b"", Place.NEXT, False, (), Awaited.NOTHING),
    (b" ", Place.NEXT, True, (ONE,), Awaited.MESSAGE),
]


@pytest.mark.parametrize(("text", "place", "literal", "steps", "awaited"), CATENATED, ids=range(len(CATENATED)))
def test_messages_are_put_together_of_literals_and_urls(
    text: bytes, place: Place, literal: bool, steps: tuple[Step, ...], awaited: Awaited
) -> None:
    assert _steps(text, place, literal=literal) == Messages(steps, awaited)


@pytest.mark.parametrize(
    ("text", "place", "literal"),
    [
        (b" CATENATE ()", Place.FIRST, False),
        (b" CATENATE (TEXT x)", Place.FIRST, False),
        (b" CATENATE (FILE x)", Place.FIRST, False),
        (b" UTF8 (", Place.FIRST, True),
        (b" UTF8 (~x", Place.FIRST, False),
        (b" CATENATE (URL x", Place.FIRST, False),
        (b" CATENATE (" + b" ".join([b"URL x"] * 200) + b")", Place.FIRST, False),
        (b"x)", Place.LIST, False),
        (b"", Place.LIST, False),
        (b"x", Place.NEXT, False),
        (b"", Place.NEXT, True),
        (b"", Place.FIRST, False),
        (b" ", Place.FIRST, False),
    ],
)
def test_what_is_put_together_wrongly_is_the_peers_error(text: bytes, place: Place, literal: bool) -> None:
    with pytest.raises(PeerError):
        _steps(text, place, literal=literal)


def test_a_message_in_utf8_is_for_clients_that_have_enabled_it() -> None:
    with pytest.raises(PeerError, match="not enabled"):
        _steps(b" UTF8 (~", utf8=False)


WHOLE = v.Section((), v.SectionText.ALL, ())
URLS: list[tuple[bytes, MessageUrl]] = [
    (b"/INBOX;UIDVALIDITY=385759045/;UID=20", MessageUrl(20, "INBOX", 385759045)),
    (b"/INBOX/;UID=20", MessageUrl(20, "INBOX")),
    (b"/a/b%20c/;uid=20/;section=1.2", MessageUrl(20, "a/b c", None, v.Section((1, 2), v.SectionText.ALL, ()))),
    (b"/%C3%A4;UIDVALIDITY=1/;UID=20/;SECTION=TEXT", MessageUrl(20, "\xe4", 1, v.Section((), v.SectionText.TEXT, ()))),
    (
        b"/x/;UID=20/;SECTION=HEADER.FIELDS%20(To%20Cc)/;PARTIAL=1.5",
        MessageUrl(20, "x", None, v.Section((), v.SectionText.FIELDS, (b"To", b"Cc")), 1, 5),
    ),
    (b";UID=20/;PARTIAL=7", MessageUrl(20, first=7)),
    (b"/;UID=20", MessageUrl(20)),
    (b"imap://joe@example.com:143/x/;UID=20", MessageUrl(20, "x", user="joe", host="example.com")),
    (b"imap://joe;AUTH=*@example.com/x/;UID=20", MessageUrl(20, "x", user="joe", host="example.com")),
]


@pytest.mark.parametrize(("url", "meant"), URLS, ids=line_only)
def test_the_url_of_a_message(url: bytes, meant: MessageUrl) -> None:
    assert parse_url(url, VOCABULARY) == meant


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"/x",
        b"/x/;UID=0",
        b"/x/;UID=20/;SECTION=NONSENSE",
        b"/x/;UID=20/;SECTION=1]x",
        b"/x/;UID=20;URLAUTH=anonymous",
        b"/%FF/;UID=1",
        b"http://example.com/x/;UID=1",
        b"/x/;UID=20/;PARTIAL=1.0",
        b"/" + b"x" * 4000 + b"/;UID=1",
    ],
)
def test_what_names_no_message_is_no_url(url: bytes) -> None:
    with pytest.raises(PeerError):
        parse_url(url, VOCABULARY)


@pytest.mark.parametrize(
    "line",
    [
        b"a APPEND x",
        b"a APPEND x (\\Seen)",
        b"a APPEND x \\Seen ",
        b"a APPEND x (\\Recent) ",
        b'a APPEND x "-Jan-1970 00:00:00 +0000" ',
        b'a APPEND x "001-Jan-1970 00:00:00 +0000" ',
        b'a APPEND x "31-Dec-9999 23:59:59 -1200" ',
        b'a APPEND x "01-Jan-0001 00:00:00 +1200" ',
        b'a APPEND x "32-Jan-1970 00:00:00 +0000" ',
        b'a APPEND x "30-Feb-1970 00:00:00 +0000" ',
        b'a APPEND x "01-Jan-0000 00:00:00 +0000" ',
        b'a APPEND x "01-Jan-1970 24:00:00 +0000" ',
        b'a APPEND x "01-Jan-1970 00:60:00 +0000" ',
        b'a APPEND x "01-Jan-1970 00:00:00 +9900" ',
        b'a APPEND x "01-Jan-1970 00:00:00 GMT" ',
        b'a APPEND x "01-Jan-1970 00:00:00 +0000" (\\Seen) ',
    ],
)
def test_an_append_that_is_none_is_the_peers_error(line: bytes) -> None:
    with pytest.raises(PeerError):
        parse_offered([line])


@pytest.mark.parametrize("line", [b"a LOGIN ", b"APPEND x ", b"a APPENDIX x ", b"a UID APPEND x ", b""])
def test_other_commands_have_no_messages(line: bytes) -> None:
    assert not VOCABULARY.has_messages(line)


def test_the_first_literal_of_an_append_may_be_its_mailbox() -> None:
    assert parse_offered([b"a APPEND "]).messages is None


# --- FETCH

FAST = (v.FetchItem("FLAGS"), v.FetchItem("INTERNALDATE"), v.FetchItem("RFC822.SIZE"))
HEADER = v.Section(text=v.SectionText.HEADER)

FETCHES: list[tuple[Line, tuple[v.FetchItem, ...]]] = [
    (b"FLAGS", (v.FetchItem("FLAGS"),)),
    (b"(uid flags)", (v.FetchItem("UID"), v.FetchItem("FLAGS"))),
    (b"(FLAGS FLAGS)", (v.FetchItem("FLAGS"),)),
    (b"RFC822.SIZE", (v.FetchItem("RFC822.SIZE"),)),
    (b"(ENVELOPE BODY BODYSTRUCTURE)", (v.FetchItem("ENVELOPE"), v.FetchItem("BODY"), v.FetchItem("BODYSTRUCTURE"))),
    (b"(MODSEQ SAVEDATE INTERNALDATE)", (v.FetchItem("MODSEQ"), v.FetchItem("SAVEDATE"), v.FetchItem("INTERNALDATE"))),
    (b"RFC822", (v.FetchItem("RFC822"),)),
    (b"RFC822.HEADER", (v.FetchItem("RFC822.HEADER"),)),
    (b"RFC822.TEXT", (v.FetchItem("RFC822.TEXT"),)),
    (b"BODY[]", (v.FetchItem("BODY", v.BodySection()),)),
    (b"body.peek[]", (v.FetchItem("BODY.PEEK", v.BodySection(peek=True)),)),
    (b"BODY[HEADER]", (v.FetchItem("BODY", v.BodySection(HEADER)),)),
    (b"BODY[TEXT]<10.20>", (v.FetchItem("BODY", v.BodySection(v.Section(text=v.SectionText.TEXT), partial=(10, 20))),)),
    (b"BODY[1.2]", (v.FetchItem("BODY", v.BodySection(v.Section((1, 2)))),)),
    (b"BODY[1.2.mime]", (v.FetchItem("BODY", v.BodySection(v.Section((1, 2), v.SectionText.MIME))),)),
    (b"BODY[3.HEADER]", (v.FetchItem("BODY", v.BodySection(v.Section((3,), v.SectionText.HEADER))),)),
    (
        b'BODY.PEEK[HEADER.FIELDS (From "To")]<0.5>',
        (v.FetchItem("BODY.PEEK", v.BodySection(v.Section((), v.SectionText.FIELDS, (b"From", b"To")), True, (0, 5))),),
    ),
    (
        [b"(BODY[2.HEADER.FIELDS.NOT (", b"a b", b")] UID)"],
        (v.FetchItem("BODY", v.BodySection(v.Section((2,), v.SectionText.FIELDS_NOT, (b"a b",)))), v.FetchItem("UID")),
    ),
    (b"BINARY[1]", (v.FetchItem("BINARY", v.BinarySection((1,))),)),
    (b"BINARY.PEEK[1.2]<5.6>", (v.FetchItem("BINARY.PEEK", v.BinarySection((1, 2), True, (5, 6))),)),
    (b"BINARY.SIZE[1]", (v.FetchItem("BINARY.SIZE", v.BinarySize((1,))),)),
    (b"(BINARY[])", (v.FetchItem("BINARY", v.BinarySection()),)),
]


@pytest.mark.parametrize(("line", "items"), FETCHES, ids=line_only)
def test_data_items_of_fetch(line: Line, items: tuple[v.FetchItem, ...]) -> None:
    first, *rest = pieces(line)
    assert parse([b"a FETCH 1 " + first, *rest]) == v.Fetch("a", numbers((1, 1)), items)
    assert parse([b"a UID fetch 1 " + first, *rest]) == v.Fetch("a", numbers((1, 1), uid=True), items, uid=True)


@pytest.mark.parametrize(
    ("macro", "items"),
    [
        (b"FAST", FAST),
        (b"all", (*FAST, v.FetchItem("ENVELOPE"))),
        (b"Full", (*FAST, v.FetchItem("ENVELOPE"), v.FetchItem("BODY"))),
    ],
)
@acceptance("S107")
def test_a_macro_is_exactly_its_items(macro: bytes, items: tuple[v.FetchItem, ...]) -> None:
    assert parse([b"a FETCH 1 " + macro]) == v.Fetch("a", numbers((1, 1)), items)


def test_the_modifier_of_fetch() -> None:
    command = parse([b"a FETCH 1:* (FLAGS) (changedsince 12345)"])
    assert isinstance(command, v.Fetch) and command.modifiers == {"CHANGEDSINCE": 12345}
    assert command.items == (v.FetchItem("FLAGS"), v.FetchItem("MODSEQ"))


# --- number sets


@pytest.mark.parametrize(
    ("text", "largest", "meant"),
    [
        (b"1:2", 9, ((1, 2),)),
        (b"1", 9, ((1, 1),)),
        (b"1:*", 9, ((1, 9),)),
        (b"*", 9, ((9, 9),)),
        (b"*:3", 9, ((3, 9),)),
        (b"12:*", 9, ((9, 12),)),
        (b"5:2", 9, ((2, 5),)),
        (b"7,1:3,2:4,*", 9, ((1, 4), (7, 7), (9, 9))),
        (b"*:*", 9, ((9, 9),)),
        (b"1:*", 0, ()),
        (b"*", 0, ()),
        (b"1:3", 0, ((1, 3),)),
    ],
)
@acceptance("S106")
def test_every_form_of_a_sequence_set_means_its_numbers(
    text: bytes, largest: int, meant: tuple[tuple[int, int], ...]
) -> None:
    for line in (b"a FETCH %b FLAGS", b"a UID FETCH %b FLAGS"):
        command = parse([line % text])
        assert isinstance(command, v.Fetch)
        assert command.numbers.resolve(largest).ranges == meant


# --- SEARCH


def date(kind: v.DateKind, relation: v.DateRelation) -> v.HasDate:
    return v.HasDate(kind, relation, datetime.date(2020, 2, 1))


UNSEEN = v.Not(v.HasFlag(SEEN))

SEARCHES: list[tuple[Line, v.SearchProgram]] = [
    (b"ALL", v.AllOf()),
    (b"SEEN", v.HasFlag(SEEN)),
    (b"unseen", UNSEEN),
    (b"ANSWERED", v.HasFlag(SystemFlag.ANSWERED)),
    (b"UNANSWERED", v.Not(v.HasFlag(SystemFlag.ANSWERED))),
    (b"FLAGGED", v.HasFlag(SystemFlag.FLAGGED)),
    (b"UNFLAGGED", v.Not(v.HasFlag(SystemFlag.FLAGGED))),
    (b"DRAFT", v.HasFlag(SystemFlag.DRAFT)),
    (b"UNDRAFT", v.Not(v.HasFlag(SystemFlag.DRAFT))),
    (b"DELETED", v.HasFlag(DELETED)),
    (b"UNDELETED", v.Not(v.HasFlag(DELETED))),
    (b"RECENT", v.IsRecent()),
    (b"OLD", v.Not(v.IsRecent())),
    (b"NEW", v.AllOf((v.IsRecent(), UNSEEN))),
    (b"KEYWORD $Junk", v.HasKeyword("$Junk")),
    (b"UNKEYWORD x", v.Not(v.HasKeyword("x"))),
    (b"1:3,*", v.InNumbers(numbers((1, 3), (0, 0)))),
    (b"*", v.InNumbers(numbers((0, 0)))),
    (b"UID 5:*", v.InNumbers(numbers((5, 0), uid=True))),
    (b"LARGER 100", v.IsLarger(100)),
    (b"SMALLER 5000000000", v.IsSmaller(5_000_000_000)),
    (b"BEFORE 1-Feb-2020", date(v.DateKind.INTERNAL, v.DateRelation.BEFORE)),
    (b'ON "01-feb-2020"', date(v.DateKind.INTERNAL, v.DateRelation.ON)),
    (b"SINCE 1-FEB-2020", date(v.DateKind.INTERNAL, v.DateRelation.SINCE)),
    (b"SENTBEFORE 1-Feb-2020", date(v.DateKind.SENT, v.DateRelation.BEFORE)),
    (b"SENTON 1-Feb-2020", date(v.DateKind.SENT, v.DateRelation.ON)),
    (b"SENTSINCE 1-Feb-2020", date(v.DateKind.SENT, v.DateRelation.SINCE)),
    (b"SAVEDBEFORE 1-Feb-2020", date(v.DateKind.SAVED, v.DateRelation.BEFORE)),
    (b"SAVEDON 1-Feb-2020", date(v.DateKind.SAVED, v.DateRelation.ON)),
    (b"SAVEDSINCE 1-Feb-2020", date(v.DateKind.SAVED, v.DateRelation.SINCE)),
    (b"SAVEDATESUPPORTED", v.AllOf()),
    (b"YOUNGER 60", ByAge(60)),
    (b"OLDER 60", v.Not(ByAge(60))),
    (b"MODSEQ 620162338", ByModSeq(620162338)),
    (b'MODSEQ "/flags/\\\\draft" all 620162338', ByModSeq(620162338)),
    (b'MODSEQ "/flags/$x" priv 1', ByModSeq(1)),
    (b"FROM anna", v.HeaderHas("from", "anna")),
    (b'TO ""', v.HeaderHas("to", "")),
    (b'CC "a b"', v.HeaderHas("cc", "a b")),
    (b"BCC x", v.HeaderHas("bcc", "x")),
    ([b"SUBJECT ", "Grüße".encode(), b""], v.HeaderHas("subject", "Grüße")),
    (b"HEADER Message-ID <x@y>", v.HeaderHas("message-id", "<x@y>")),
    (b'HEADER "X-Spam:" ""', v.HeaderHas("x-spam", "")),
    (b"BODY tea", v.BodyHas("tea")),
    (b"TEXT tea", v.TextHas("tea")),
    (b"NOT SEEN", UNSEEN),
    (b"OR SEEN DELETED", v.AnyOf((v.HasFlag(SEEN), v.HasFlag(DELETED)))),
    (b"(SEEN)", v.HasFlag(SEEN)),
    (b"SEEN DELETED", v.AllOf((v.HasFlag(SEEN), v.HasFlag(DELETED)))),
    (b"NOT (SEEN DELETED)", v.Not(v.AllOf((v.HasFlag(SEEN), v.HasFlag(DELETED))))),
    (
        b"OR (1:2 SEEN) NOT OR DRAFT 3",
        v.AnyOf(
            (
                v.AllOf((v.InNumbers(numbers((1, 2))), v.HasFlag(SEEN))),
                v.Not(v.AnyOf((v.HasFlag(SystemFlag.DRAFT), v.InNumbers(numbers((3, 3)))))),
            )
        ),
    ),
]


@pytest.mark.parametrize(("line", "program"), SEARCHES, ids=line_only)
@acceptance("S129")
def test_search_keys(line: Line, program: v.SearchProgram) -> None:
    first, *rest = pieces(line)
    assert parse([b"a SEARCH " + first, *rest]) == v.Search("a", program)
    assert parse([b"a UID SEARCH " + first, *rest]) == v.Search("a", program, uid=True)


@pytest.mark.parametrize(
    ("line", "returns"),
    [
        (b"RETURN () ALL", {"ALL"}),
        (b"RETURN (min MAX) ALL", {"MIN", "MAX"}),
        (b"RETURN (COUNT ALL) ALL", {"COUNT", "ALL"}),
    ],
)
def test_the_return_options_of_search(line: bytes, returns: set[str]) -> None:
    assert parse([b"a SEARCH " + line]) == v.Search("a", v.AllOf(), dict.fromkeys(returns))


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("UTF-8", "Grüße"),
        ("utf-8", "日本"),
        ("ISO-8859-1", "Grüße"),
        ("KOI8-R", "привет"),
        ("koi8-u", "привіт"),
        ("ISO-2022-JP", "日本"),
        ("US-ASCII", "tea"),
        ("Windows-1251", "привет"),
        ("Big5", "日本"),
    ],
)
@acceptance("S129")
def test_strings_are_decoded_by_the_charset(charset: str, text: str) -> None:
    line = [f"a SEARCH CHARSET {charset} TEXT ".encode(), text.encode(charset), b""]
    assert parse(line) == v.Search("a", v.TextHas(text), None, charset)
    assert parse([b"a SEARCH RETURN (MIN) " + line[0][9:], *line[1:]]) == v.Search(
        "a", v.TextHas(text), {"MIN": None}, charset
    )


@pytest.mark.parametrize(
    "charset",
    [b"x-unknown", b"base64", b"rot13", b"idna", b"punycode", b"unicode_escape", b"aliases", b'"a\x01b"', b"os"],
)
@acceptance("S129")
def test_a_charset_nobody_knows_is_refused_with_those_we_know(charset: bytes) -> None:
    with pytest.raises(v.UnknownCharset) as caught:
        parse([b"a SEARCH CHARSET " + charset + b" TEXT x"])
    assert caught.value.imap_code == "BADCHARSET (UTF-8)"


# --- size and time


def test_limits_are_settings() -> None:
    limits = v.GrammarLimits(set_ranges=2, search_keys=2, fetch_items=1)
    assert parse([b"a COPY 1,2 x"], limits) == v.Copy("a", numbers((1, 1), (2, 2)), "x")
    for line in (b"a COPY 1,2,3 x", b"a SEARCH 1 2 3", b"a FETCH 1 (UID FLAGS)"):
        with pytest.raises(PeerError):
            parse([line], limits)


@pytest.mark.parametrize(
    "line",
    [
        b"a LOGIN x " + b'"' + b"\\\\" * 200_000,
        b"a LOGIN x " + b'"' + b"a" * 400_000,
        b"a LOGIN x " + b"a" * 400_000 + b"(",
        b"a FETCH " + b"1," * 200_000,
        b"a FETCH " + b"1:" * 200_000,
        b"a SEARCH " + b"(" * 400_000,
        b"a SEARCH " + b"NOT " * 100_000,
        b"a LIST " + b'"" ' * 100_000,
        b"a ENABLE " + b"x " * 100_000,
        b"a FETCH 1 (" + b"FLAGS " * 100_000,
    ],
    ids=lambda line: repr(line[:20]),
)
def test_a_huge_line_is_refused_in_linear_time(line: bytes) -> None:
    with pytest.raises(PeerError):
        parse([line])
