"""SEARCH against a model that is too simple to be wrong, and the keys one by one."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailsuite.imap import values as v
from pymailsuite.imap.batch import Slice
from pymailsuite.imap.extensions.condstore import ByModSeq
from pymailsuite.imap.extensions.within import ByAge
from pymailsuite.imap.search import (
    VIEW_COLUMNS,
    SearchContext,
    SearchPlan,
    asks_modseq,
    compile_search,
    next_slice,
    render_esearch,
    render_search,
)
from pymailsuite.interfaces import Column, Steps, drained
from pymailsuite.values import MAX_CHUNK, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.imap_language.rows import PREFIX, StoredMessage
from tests.support.imap import parse

DAY = 86400.0
FEB_1 = 1580515200.0  # 1-Feb-2020 00:00 UTC
NOW = FEB_1 + 10 * DAY


@frozen
class Known:
    """A message with what it says in plain words: the model looks at these, never at the octets."""

    stored: StoredMessage
    headers: dict[str, str]
    body: str
    sent: datetime.date | None = None


def known(uid: int, content: str, headers: dict[str, str], body: str, sent: Any = None, **fields: Any) -> Known:
    return Known(
        StoredMessage(uid, content.encode().replace(b"\n", b"\r\n"), prefix=b"", **fields), headers, body, sent
    )


MESSAGES = [
    known(
        3,
        "From: Anna Adler <anna@mail.example>\nTo: bob@mail.example\nSubject: Tea at five\n"
        "Date: Sat, 1 Feb 2020 23:30:00 -0800\n\nHello Bob,\nlet us have tea.\n",
        {"from": "anna adler <anna@mail.example>", "to": "bob@mail.example", "subject": "tea at five"},
        "hello bob,\r\nlet us have tea.\r\n",
        datetime.date(2020, 2, 1),
        flags=SystemFlag.SEEN,
        keywords="$Label1 NonJunk",
        modseq=5,
        internal_date=FEB_1 - 1,
        save_date=FEB_1,
    ),
    known(
        4,
        "From: =?utf-8?q?J=C3=BCrgen?= <j@mail.example>\nCc: anna@mail.example\n"
        "Subject: =?utf-8?b?R3LDvMOfZQ==?=\n =?utf-8?q?_aus_K=C3=B6ln?=\nDate: 31 Jan 20 10:00:00 +0000\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nVGVlIG1pdCBHcsO8w59lbg==\n",
        {"from": "jürgen <j@mail.example>", "cc": "anna@mail.example", "subject": "grüße aus köln"},
        "tee mit grüßen",
        datetime.date(2020, 1, 31),
        flags=SystemFlag.FLAGGED | SystemFlag.ANSWERED,
        modseq=9,
        internal_date=FEB_1,
        save_date=FEB_1 + 2 * DAY,
    ),
    known(
        8,
        "From: carol@mail.example\nBcc: anna@mail.example\nX-Empty:\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\nContent-Type: text/plain; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\n\nCaf=E9 =\nau lait\n--b\nContent-Type: application/pdf\n\ntea\n"
        "--b\nContent-Type: message/rfc822\n\nSubject: a folded\n inner subject\n\ninner words\n--b--\n",
        {"from": "carol@mail.example", "bcc": "anna@mail.example", "x-empty": "", "mime-version": "1.0"},
        "café au lait\r\nsubject: a folded inner subject\r\ninner words",
        None,
        flags=SystemFlag.DRAFT,
        keywords="$Junk",
        modseq=7,
        internal_date=FEB_1 + DAY - 1,
    ),
    known(
        9,
        "Subject: nothing\nDate: garbage\n\n" + "x" * 3000,
        {"subject": "nothing", "date": "garbage"},
        "x" * 3000,
        None,
        flags=SystemFlag.DELETED | SystemFlag.SEEN,
        modseq=12,
        internal_date=FEB_1 + DAY,
        save_date=FEB_1 + 9 * DAY,
    ),
    known(15, "", {}, "", None, keywords="nonjunk", modseq=1, internal_date=NOW - 60),
]
RECENT = UidSet(((9, 2**32 - 1),))
NUMBERS = {message.stored.uid: number for number, message in enumerate(MESSAGES, 1)}
CONTEXT = SearchContext(NUMBERS.__getitem__, len(MESSAGES), 15, RECENT, NOW)


def fulfils(message: Known, key: v.SearchProgram) -> bool:
    """The model."""
    stored = message.stored
    match key:
        case v.AllOf(keys):
            return all(fulfils(message, inner) for inner in keys)
        case v.AnyOf(keys):
            return any(fulfils(message, inner) for inner in keys)
        case v.Not(inner):
            return not fulfils(message, inner)
        case v.InNumbers(numbers):
            number, largest = (stored.uid, 15) if numbers.uid else (NUMBERS[stored.uid], len(MESSAGES))
            return number in set(numbers.resolve(largest))
        case v.HasFlag(flag):
            return flag in SystemFlag(stored.flags)
        case v.HasKeyword(keyword):
            return keyword.lower() in stored.keywords.lower().split()
        case v.IsRecent():
            return stored.uid >= 9
        case v.HasDate(kind, relation, date):
            moment = {v.DateKind.INTERNAL: stored.internal_date, v.DateKind.SAVED: stored.save_date}.get(kind)
            ours = message.sent
            if moment is not None:
                ours = datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
            if ours is None:
                return False
            return {
                v.DateRelation.BEFORE: ours < date,
                v.DateRelation.ON: ours == date,
                v.DateRelation.SINCE: ours >= date,
            }[relation]
        case ByAge(seconds):
            return NOW - stored.internal_date <= seconds
        case v.IsLarger(octets):
            return len(stored.octets) > octets
        case v.IsSmaller(octets):
            return len(stored.octets) < octets
        case v.HeaderHas(name, text):
            return name in message.headers and text.lower() in message.headers[name]
        case v.BodyHas(text):
            return text.casefold() in message.body.casefold()
        case v.TextHas(text):
            return text.casefold() in message.body.casefold() or any(
                text.casefold() in f"{name}: {value}".casefold() for name, value in message.headers.items()
            )
        case ByModSeq(modseq):
            return stored.modseq >= modseq
        case _:
            return True


def said(pieces: Steps[list[bytes]]) -> bytes:
    return b"".join(drained(pieces))


def matches(plan: SearchPlan, messages: Sequence[StoredMessage]) -> list[int]:
    rows = [message.row(plan.columns) for message in messages]
    found = plan.match(rows, CONTEXT)
    assert drained(plan.match_in_steps(rows, CONTEXT)) == found
    octets = {message.uid: message.octets for message in messages}
    for row in plan.long_rows(rows):
        match = plan.match_long(row, CONTEXT)
        piece = drained(next_slice(match))
        while isinstance(piece, Slice):
            assert 0 < piece.stop - piece.start <= MAX_CHUNK
            piece = drained(next_slice(match, octets[piece.uid][piece.start : piece.stop]))
        if piece:
            found.append(row[0])
    return sorted(found)


def searched(program: v.SearchProgram, is_long: bool = False) -> list[int]:
    """What a search finds: by the whole plan, and by its stages in turn, which must be the same."""
    plan = compile_search(program)
    messages = [evolve(message.stored, is_long=is_long) for message in MESSAGES]
    found = matches(plan, messages)
    left = messages
    for stage in plan.stages:
        by_uid = {message.uid: message for message in left}
        left = [by_uid[uid] for uid in matches(stage, left)]
    assert [message.uid for message in left] == found
    return found


def program(line: str) -> v.SearchProgram:
    command = parse([f"a SEARCH {line}".encode()])
    assert isinstance(command, v.Search)
    return command.program


TABLE = [
    ("ALL", [3, 4, 8, 9, 15]),
    ("SEEN", [3, 9]),
    ("UNSEEN", [4, 8, 15]),
    ("ANSWERED", [4]),
    ("UNANSWERED", [3, 8, 9, 15]),
    ("FLAGGED", [4]),
    ("UNFLAGGED", [3, 8, 9, 15]),
    ("DRAFT", [8]),
    ("UNDRAFT", [3, 4, 9, 15]),
    ("DELETED", [9]),
    ("UNDELETED", [3, 4, 8, 15]),
    ("RECENT", [9, 15]),
    ("OLD", [3, 4, 8]),
    ("NEW", [15]),
    ("KEYWORD nonjunk", [3, 15]),
    ("KEYWORD junk", []),
    ("UNKEYWORD $JUNK", [3, 4, 9, 15]),
    ("1", [3]),
    ("2:3", [4, 8]),
    ("*", [15]),
    ("4:*", [9, 15]),
    ("9:*", [15]),
    ("7:9", []),
    ("UID 4:8", [4, 8]),
    ("UID *", [15]),
    ("UID 20:*", [15]),
    ("UID 20:30", []),
    ("BEFORE 1-Feb-2020", [3]),
    ("ON 1-Feb-2020", [4, 8]),
    ("SINCE 1-Feb-2020", [4, 8, 9, 15]),
    ("SENTBEFORE 1-Feb-2020", [4]),
    ("SENTON 1-Feb-2020", [3]),
    ("SENTSINCE 1-Feb-2020", [3]),
    ("SENTSINCE 31-Jan-2020", [3, 4]),
    ("SAVEDON 1-Feb-2020", [3]),
    ("SAVEDSINCE 3-Feb-2020", [4, 9]),
    ("SAVEDATESUPPORTED", [3, 4, 8, 9, 15]),
    ("YOUNGER 60", [15]),
    ("OLDER 864000", [3]),
    ("LARGER 3000", [9]),
    ("SMALLER 1", [15]),
    ("MODSEQ 9", [4, 9]),
    ("FROM anna", [3]),
    ("FROM ANNA", [3]),
    ('FROM "JÜRGEN"', [4]),
    ('FROM "Anna Adler"', [3]),
    ("TO bob", [3]),
    ("CC anna", [4]),
    ("BCC anna", [8]),
    ("SUBJECT tea", [3]),
    ('SUBJECT "grüße aus KÖLN"', [4]),
    ('SUBJECT "grüsse"', [4]),
    ('HEADER X-Empty ""', [8]),
    ('HEADER Subject ""', [3, 4, 9]),
    ("HEADER X-Empty x", []),
    ("HEADER Mime-Version 1.0", [8]),
    ("BODY tea", [3]),
    ('BODY "mit grüßen"', [4]),
    ('BODY "café au"', [8]),
    ('BODY "inner words"', [8]),
    ('BODY "FOLDED INNER"', [8]),
    ("BODY Subject:", [8]),
    ('BODY ""', [3, 4, 8, 9, 15]),
    ("TEXT anna", [3, 4, 8]),
    ("TEXT tea", [3]),
    ("TEXT application/pdf", [8]),
    ("TEXT CHARSET=ISO-8859-1", [8]),
    ("BODY application/pdf", []),
    ("NOT SEEN", [4, 8, 15]),
    ("OR SEEN DRAFT", [3, 8, 9]),
    ("SEEN DELETED", [9]),
    ("NOT (SEEN DELETED)", [3, 4, 8, 15]),
    ("OR (SEEN FROM anna) NOT OR UID 4 LARGER 10", [3, 15]),
    ("UNSEEN TEXT anna SMALLER 1000 HEADER Cc anna", [4]),
    ("NOT BODY x", [3, 4, 8, 15]),
]


@pytest.mark.parametrize(("line", "uids"), TABLE, ids=lambda value: str(value))
@pytest.mark.parametrize("is_long", [False, True])
@acceptance("S129")
def test_each_key_finds_what_it_names(line: str, uids: list[int], is_long: bool) -> None:
    assert searched(program(line), is_long) == uids


DATES = st.dates(datetime.date(2020, 1, 30), datetime.date(2020, 2, 12))
NUMBER_SETS = st.builds(
    v.SequenceSet,
    st.lists(st.tuples(st.integers(0, 17), st.integers(0, 17)), min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
LEAVES: st.SearchStrategy[v.SearchProgram] = st.one_of(
    st.builds(v.InNumbers, NUMBER_SETS),
    st.builds(v.HasFlag, st.sampled_from(list(SystemFlag))),
    st.builds(v.HasKeyword, st.sampled_from(["$junk", "nonjunk", "x", "$LABEL1"])),
    st.just(v.IsRecent()),
    st.just(v.AllOf()),
    st.builds(v.HasDate, st.sampled_from(v.DateKind), st.sampled_from(v.DateRelation), DATES),
    st.builds(ByAge, st.integers(1, 12 * 86400)),
    st.builds(v.IsLarger, st.integers(0, 4000)),
    st.builds(v.IsSmaller, st.integers(0, 4000)),
    st.builds(ByModSeq, st.integers(0, 13)),
    st.builds(
        v.HeaderHas, st.sampled_from(["from", "cc", "subject", "x-empty"]), st.sampled_from(["", "a", "anna", "ü"])
    ),
    st.builds(v.BodyHas, st.sampled_from(["tea", "é", "inner", "xx", "GRÜ"])),
    st.builds(v.TextHas, st.sampled_from(["tea", "anna", "köln", "inner"])),
)
PROGRAMS: st.SearchStrategy[v.SearchProgram] = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(v.Not, keys),
        st.builds(v.AnyOf, st.tuples(keys, keys)),
        st.builds(v.AllOf, st.lists(keys, min_size=1, max_size=4).map(tuple)),
    ),
    max_leaves=8,
)


@given(PROGRAMS, st.booleans())
@settings(max_examples=400, deadline=None)
@acceptance("S129")
def test_any_program_finds_what_the_model_finds(key: v.SearchProgram, is_long: bool) -> None:
    assert searched(key, is_long) == [message.stored.uid for message in MESSAGES if fulfils(message, key)]


# --- what is read


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("ALL", VIEW_COLUMNS),
        ("OR UID 1:* NOT KEYWORD x NEW MODSEQ 5", VIEW_COLUMNS),
        ("SINCE 1-Feb-2020", (Column.UID, Column.INTERNAL_DATE)),
        ("FROM a", (Column.UID, Column.HEADER)),
        ("SUBJECT b SENTON 1-Feb-2020", (Column.UID, Column.SUBJECT, Column.SENT_DAY)),
        ('SUBJECT ""', (Column.UID, Column.HEADER)),
        ("SUBJECT =?utf-8?", (Column.UID, Column.HEADER)),
        ("LARGER 5", (Column.UID, Column.SIZE)),
        ("BODY a", (Column.UID, Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE)),
    ],
)
def test_only_what_is_needed_is_read(line: str, columns: tuple[Column, ...]) -> None:
    plan = compile_search(program(line))
    assert plan.columns == columns
    assert plan.view_only is (columns == VIEW_COLUMNS)
    assert plan.stages == (plan,)


def test_what_costs_much_is_read_last() -> None:
    stages = compile_search(program("BODY tea FROM anna UNSEEN LARGER 5 NOT DELETED")).stages
    assert [stage.columns for stage in stages] == [
        VIEW_COLUMNS,
        (Column.UID, Column.SIZE),
        (Column.UID, Column.HEADER),
        (Column.UID, Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE),
    ]
    assert [stage.view_only for stage in stages] == [True, False, False, False]


def test_a_prefix_does_not_move_the_parts() -> None:
    message = evolve(MESSAGES[2].stored, prefix=PREFIX)
    for line, found in (('BODY "café"', [8]), ("HEADER Delivered-To bob", [8]), ("BODY Delivered-To", [])):
        for is_long in (False, True):
            assert matches(compile_search(program(line)), [evolve(message, is_long=is_long)]) == found


def test_text_is_found_across_the_cuts_of_a_long_message() -> None:
    def long_message(text: str, encoding: str) -> StoredMessage:
        head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        body = text.encode()
        if encoding == "base64":
            body = base64.encodebytes(body)
        return StoredMessage(3, head + body, is_long=True)

    filling = "grün und blau\r\n" * 40_000
    for encoding in ("8bit", "base64"):
        for place in (0, MAX_CHUNK - 100, MAX_CHUNK - 5, MAX_CHUNK + 3, len(filling)):
            text = filling[:place] + "the Needle wè seek" + filling[place:]
            message = long_message(text, encoding)
            assert matches(compile_search(program('BODY "needle WÈ seek"')), [message]) == [3]
            assert matches(compile_search(program('BODY "needle we seek"')), [message]) == []
    no_lines = StoredMessage(3, b"\r\n" + b"x" * (3 * MAX_CHUNK) + b"needle" + b"y" * MAX_CHUNK, is_long=True)
    assert matches(compile_search(program("BODY xxneedleyy")), [no_lines]) == [3]


def found_by(line: str, content: bytes) -> bool:
    """If the message matches, which must be the same for it as a short one and as a long one."""
    plan = compile_search(program(line))
    short, long = (
        bool(matches(plan, [StoredMessage(3, content, prefix=b"", is_long=is_long)])) for is_long in (False, True)
    )
    assert short is long, (line, short, long)
    return short


FOLDED = (
    b"Subject: Close message\r\n\theaders  twice\r\nReferences: <a@b>\r\n\t<c@d>\r\n"
    b"From: Anna\r\n \t Adler\r\n <anna@mail.example>\r\n"
    b"X-Words: =?utf-8?q?gr=C3=BCn?=\r\n\tund blau\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain;\r\n\tname=x\r\n\r\n"
    b"a fold\r\n in text, a line\r\nin text\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\tfold\r\n\r\n.\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('SUBJECT "message headers"', True),
        ('SUBJECT "HEADERS twice"', True),
        ('SUBJECT "message  headers"', True),
        ('SUBJECT "messageheaders"', False),
        ('HEADER References "<a@b> <c@d>"', True),
        ('HEADER Subject "message headers"', True),
        ('FROM "anna adler <anna"', True),
        ('HEADER X-Words "grün und"', True),
        ('TEXT "message headers"', True),
        ('TEXT "twice references"', False),
        ('TEXT "plain; name"', True),
        ('BODY "a fold in text"', True),
        ('BODY "a line in text"', False),
        ('BODY "inner fold"', True),
        ('BODY " in text,"', True),
        ('BODY "fold "', True),
        ('BODY "line "', False),
    ],
)
def test_a_fold_is_white_space(line: str, expected: bool) -> None:
    """RFC 5322 §2.2.3: the line end of a fold is no part of the text; a tab is as white as a space."""
    assert found_by(line, FOLDED) is expected


READABLE = ["text/plain", "text/rfc822-headers", "text/x-odd", "message/delivery-status", "message/feedback-report"]
READABLE += ["message/disposition-notification", "message/global", "application/xml", "application/a+json"]


@pytest.mark.parametrize("content_type", [*READABLE, "application/pdf", "image/svg+xml"])
def test_each_part_that_is_text_is_searched(content_type: str) -> None:
    report = (
        b"Content-Type: multipart/report; boundary=r\r\n\r\n--r\r\n\r\nnotice\r\n--r\r\nContent-Type: %b\r\n\r\n"
        b"Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; gone@mail.example\r\n"
        b"Diagnostic-Code: smtp;\r\n\t550 Unknown user\r\n--r--\r\n" % content_type.encode()
    )
    expected = content_type in READABLE
    assert found_by('BODY "550 Unknown user"', report) is expected
    assert found_by('TEXT "smtp; 550 unknown"', report) is expected
    assert found_by("BODY notice", report)


@pytest.mark.parametrize(
    ("charset", "codec", "mark"),
    [
        ("utf-16", "utf-16-le", b"\xff\xfe"),
        ("utf-16", "utf-16-be", b"\xfe\xff"),
        ("UTF-16", "utf-16-be", b""),
        ("utf-16", "utf-16-le", b""),
        ("utf-16le", "utf-16-le", b""),
        ("utf-16be", "utf-16-be", b""),
        ("utf-32", "utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32", "utf-32-be", b"\0\0\xfe\xff"),
        ("utf-7", "utf-7", b""),
        ("iso-2022-jp", "iso2022_jp_2", b""),
        ("gb18030", "gb18030", b""),
        ("", "utf-8", b""),
        ("", "cp1252", b""),
        ("x-unknown-to-all", "cp1252", b""),
    ],
)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_text_of_any_charset_and_length_is_found(charset: str, codec: str, mark: bytes, encoding: str) -> None:
    text = "Lüne" if codec in ("cp1252", "iso2022_jp_2") else "\U0001f600Lüne"
    parameter = f"; charset={charset}" if charset else ""
    head = f"Content-Type: text/plain{parameter}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    for filling in (0, 50_001, 131_071, 200_003):
        body = mark + ("a" * filling + text + "\r\n" + "b" * (filling // 2)).encode(codec)
        coded = base64.encodebytes(body) if encoding == "base64" else quoted(body)
        assert found_by(f'BODY "{text}"', head + coded), filling
        assert not found_by(f'BODY "{text}?"', head + coded)


def quoted(body: bytes) -> bytes:
    return b"=\r\n".join(
        re.sub(rb"[^a-z]", lambda octet: b"=%02X" % octet[0][0], body[start : start + 25])
        for start in range(0, len(body), 25)
    )


def test_a_charset_that_is_written_oddly_is_one_all_the_same() -> None:
    body = "the needle".encode("utf-16-be")
    for parameter in (b'charset="utf-16 "', b"charset*=us-ascii'en'utf-16", b"charset*0=utf-; charset*1=16"):
        assert found_by("BODY needle", b"Content-Type: text/plain; " + parameter + b"\r\n\r\n" + body), parameter


def test_a_part_whose_encoding_is_unknown_is_searched_as_it_stands() -> None:
    message = b"Content-Transfer-Encoding: x-none\r\n\r\nas=41 it\r\n stands"
    assert found_by('BODY "as=41 it stands"', message)
    assert not found_by("BODY asA", message)


def test_any_header_of_a_long_message_is_searched_to_its_end() -> None:
    """However long it is, and across its folds."""
    inner = b"X-Filling: y\r\n" * 120_000 + b"X-Long: " + b"a\r\n " * 300_000 + b"end\r\nX-Last: the\r\n\tlast\r\n\r\n"
    message = StoredMessage(3, b"Content-Type: message/rfc822\r\n\r\n" + inner + b"body", is_long=True)
    assert matches(compile_search(program('BODY "X-Last: the last"')), [message]) == [3]
    assert matches(compile_search(program('BODY "a a end"')), [message]) == [3]
    assert matches(compile_search(program('BODY "y the last"')), [message]) == []


def test_a_long_message_is_not_read_when_other_keys_decide() -> None:
    message = evolve(MESSAGES[0].stored, is_long=True)
    for line, found in (("OR SEEN BODY x", True), ("UNSEEN BODY x", False), ("TEXT anna", True)):
        plan = compile_search(program(line))
        row = message.row(plan.columns)
        assert drained(next_slice(plan.match_long(row, CONTEXT))) is found


# --- replies


@acceptance("S129")
def test_replies() -> None:
    assert said(render_search([])) == b"* SEARCH\r\n"
    assert said(render_search([2, 84, 882])) == b"* SEARCH 2 84 882\r\n"
    assert said(render_search([2, 5], 917162500)) == b"* SEARCH 2 5 (MODSEQ 917162500)\r\n"
    assert said(render_search([], 9)) == b"* SEARCH\r\n"
    everything = dict.fromkeys(("MIN", "MAX", "ALL", "COUNT"))
    assert (
        said(render_esearch("A285", False, everything, [2, 3, 4, 8, 10, 11], 7))
        == b'* ESEARCH (TAG "A285") MIN 2 MAX 11 COUNT 6 ALL 2:4,8,10:11 MODSEQ 7\r\n'
    )
    assert said(render_esearch("A283", True, {"COUNT": None}, [1])) == b'* ESEARCH (TAG "A283") UID COUNT 1\r\n'
    assert said(render_esearch("A286", True, everything, [])) == b'* ESEARCH (TAG "A286") UID COUNT 0\r\n'
    assert said(render_esearch("A287", False, {"ALL": None}, [])) == b'* ESEARCH (TAG "A287")\r\n'


def test_modseq_is_told_only_if_it_was_asked_for() -> None:
    assert asks_modseq(program("OR SEEN NOT (DELETED MODSEQ 5)"))
    assert not asks_modseq(program("OR SEEN NOT (DELETED 5)"))
