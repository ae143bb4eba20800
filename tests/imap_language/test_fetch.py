"""FETCH responses, octet for octet, of messages as the scan stores them."""

from __future__ import annotations

from collections.abc import Awaitable, Container
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap import values as v
from pymailsuite.imap.fetch import OctetsGone, Slice, write_pieces
from pymailsuite.interfaces import Column
from pymailsuite.values import MAX_CHUNK, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.imap_language.rows import PREFIX, StoredMessage
from tests.support.imap import compile_fetch, parse


def crlf(text: str) -> bytes:
    return text.encode().replace(b"\n", b"\r\n")


# The message of the acceptance list: text/plain in 8bit, no Sender, no Reply-To.
PLAIN = crlf(
    """\
Received: from localhost by mail.example; Thu, 28 Oct 2004 16:54:08 +0200
Message-ID: <4181111E.50801@mail.example>
Date: Thu, 28 Oct 2004 16:54:06 +0200
From: Anna Adler <anna@mail.example>
User-Agent: Mozilla Thunderbird 0.8
MIME-Version: 1.0
To: bob@mail.example
Subject: Test für IMAP
Content-Type: text/plain; charset=ISO-8859-1; format=flowed
Content-Transfer-Encoding: 8bit

Hello Bob,
this is a test.
"""
)

MIXED = crlf(
    """\
From: anna@mail.example
Subject: parts
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1

preamble
--b1
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Type: text/plain

one
--b2
Content-Type: text/html
Content-Transfer-Encoding: quoted-printable

<p>gr=C3=BC=
n</p>
--b2--
--b1
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

AAECAwQF
Bgc=
--b1
Content-Type: message/rfc822

Subject: inner
From: carol@mail.example
X-Inner: yes

inner text
--b1
Content-Transfer-Encoding: x-none
Content-Type: application/x-odd

???
--b1--
epilogue
"""
)


def items_of(text: str) -> tuple[v.FetchItem, ...]:
    command = parse([b"a FETCH 1 " + text.encode()])
    assert isinstance(command, v.Fetch)
    return command.items


def number(uid: int) -> int:
    return uid - 100


def fetched(
    text: str,
    *messages: StoredMessage,
    uid: bool = False,
    condstore: bool = False,
    recent: Container[int] = UidSet(),
) -> bytes:
    plan = compile_fetch(items_of(text), uid=uid, condstore=condstore)
    assert plan.columns[0] is Column.UID
    rows = [message.row(plan.columns) for message in messages]
    whole = plan.render(rows, number, recent)
    # The same by pieces, whether they could have been read at once or not.
    for row, message in zip(rows, messages, strict=True):
        octets = [piece for piece in plan.pieces(row, number(message.uid), recent) if isinstance(piece, bytes)]
        assert b"".join(octets) in whole
    return whole


def value_of(item: str, content: bytes, prefix: bytes = PREFIX, name: str = "") -> bytes:
    """What FETCH says for one item of a message: read at once, and streamed."""
    message = StoredMessage(101, content, prefix=prefix)
    whole = fetched(item, message)
    head = f"* 1 FETCH ({name or item} ".encode()
    assert whole.startswith(head) and whole.endswith(b")\r\n"), whole
    streamed = stream(item, message)
    assert streamed == whole
    return whole[len(head) : -3]


def stream(item: str, message: StoredMessage) -> bytes:
    """The response as it is put together for a message too long to be read at once."""
    plan = compile_fetch(items_of(item), uid=False, condstore=False)
    row = evolve(message, is_long=True).row(plan.columns)
    found: list[bytes] = []
    pieces = plan.pieces(row, number(message.uid), UidSet())

    def read(uid: int, start: int, stop: int) -> Deferred[bytes]:
        assert uid == message.uid and 0 <= start <= stop and stop - start <= MAX_CHUNK
        return succeed(message.octets[start:stop])

    run(write_pieces(pieces, read, found.append))
    return b"".join(found)


def run(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


def piece(octets: bytes) -> bytes:
    """What a partial FETCH answers."""
    return literal(octets) if octets else b'""'


def octets_of(response: bytes) -> bytes:
    """Of a response with one partial item."""
    return response.split(b"}\r\n", 1)[1][:-3] if b"}\r\n" in response else b""


# --- metadata


def test_metadata_of_several_messages_in_one_go() -> None:
    messages = (
        StoredMessage(101, PLAIN, flags=SystemFlag.SEEN, modseq=7),
        StoredMessage(105, MIXED, flags=SystemFlag.ANSWERED | SystemFlag.SEEN, keywords="$Label1 NonJunk", modseq=8),
        StoredMessage(106, PLAIN, prefix=b"", internal_date=0.0),
    )
    sizes = [len(message.octets) for message in messages]
    assert fetched("(UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE)", *messages, recent=UidSet(((106, 2**32 - 1),))) == (
        b'* 1 FETCH (UID 101 FLAGS (\\Seen) MODSEQ (7) INTERNALDATE "17-Jul-1996 09:44:25 +0000" RFC822.SIZE %d)\r\n'
        b"* 5 FETCH (UID 105 FLAGS (\\Answered \\Seen $Label1 NonJunk) MODSEQ (8)"
        b' INTERNALDATE "17-Jul-1996 09:44:25 +0000" RFC822.SIZE %d)\r\n'
        b"* 6 FETCH (UID 106 FLAGS (\\Recent) MODSEQ (1)"
        b' INTERNALDATE " 1-Jan-1970 00:00:00 +0000" RFC822.SIZE %d)\r\n' % (*sizes,)
    )


def test_flags_alone_in_every_combination() -> None:
    assert fetched("FLAGS", StoredMessage(101, b"", flags=0)) == b"* 1 FETCH (FLAGS ())\r\n"
    assert fetched("FLAGS", StoredMessage(101, b""), recent={101}) == b"* 1 FETCH (FLAGS (\\Recent))\r\n"
    for bits in range(32):
        response = fetched("FLAGS", StoredMessage(101, b"", flags=bits))
        assert [flag for flag in SystemFlag if f"\\{str(flag.name).title()}".encode() in response] == list(
            SystemFlag(bits)
        )


@acceptance("S106")
def test_uid_fetch_gives_the_uid_and_changedsince_the_modseq() -> None:
    message = StoredMessage(101, PLAIN, modseq=9)
    assert fetched("FLAGS", message, uid=True) == b"* 1 FETCH (UID 101 FLAGS ())\r\n"
    assert fetched("(FLAGS UID)", message, uid=True) == b"* 1 FETCH (FLAGS () UID 101)\r\n"
    assert fetched("FLAGS", message, condstore=True) == b"* 1 FETCH (FLAGS () MODSEQ (9))\r\n"
    assert fetched("(MODSEQ FLAGS)", message, condstore=True) == b"* 1 FETCH (MODSEQ (9) FLAGS ())\r\n"


def test_a_plan_is_made_once_for_the_items_of_a_fetch() -> None:
    def plan(text: str, *, uid: bool = False) -> Any:
        return compile_fetch(items_of(text), uid=uid, condstore=False)

    assert plan("(FLAGS BODY.PEEK[])") is plan("(FLAGS BODY.PEEK[])")
    assert plan("(FLAGS BODY.PEEK[])") is not plan("(FLAGS BODY.PEEK[])", uid=True)
    assert plan("BODY[1]") is not plan("BODY.PEEK[1]")
    # What may be of any length is not held.
    fields = "BODY.PEEK[HEADER.FIELDS (FROM TO)]"
    assert plan(fields) is not plan(fields)


def test_no_rows_are_no_responses() -> None:
    assert fetched("FLAGS") == b""


@acceptance("S107")
def test_macros_are_answered_item_by_item() -> None:
    message = StoredMessage(101, PLAIN)
    fast = b'* 1 FETCH (FLAGS () INTERNALDATE "17-Jul-1996 09:44:25 +0000" RFC822.SIZE %d' % len(message.octets)
    envelope, body = message.value(Column.ENVELOPE), message.value(Column.BODY)
    assert fetched("FAST", message) == fast + b")\r\n"
    assert fetched("ALL", message) == fast + b" ENVELOPE " + envelope + b")\r\n"
    assert fetched("FULL", message) == fast + b" ENVELOPE " + envelope + b" BODY " + body + b")\r\n"


@acceptance("S108")
def test_the_values_of_a_plain_message() -> None:
    message = StoredMessage(101, PLAIN)
    anna = b'(("Anna Adler" NIL "anna" "mail.example"))'
    subject = "Test für IMAP".encode()
    assert fetched("(INTERNALDATE RFC822.SIZE ENVELOPE BODY)", message) == (
        b'* 1 FETCH (INTERNALDATE "17-Jul-1996 09:44:25 +0000" RFC822.SIZE %d' % (len(PREFIX) + len(PLAIN))
        + b' ENVELOPE ("Thu, 28 Oct 2004 16:54:06 +0200" '
        + literal(subject)
        + b" %b %b %b " % (anna, anna, anna)
        + b'((NIL NIL "bob" "mail.example")) NIL NIL NIL "<4181111E.50801@mail.example>")'
        + b' BODY ("text" "plain" ("charset" "ISO-8859-1" "format" "flowed") NIL NIL "8bit" 29 2))\r\n'
    )


def test_save_date() -> None:
    assert value_of("SAVEDATE", PLAIN) == b'"17-Jul-1996 09:44:25 +0000"'
    plan = compile_fetch((v.FetchItem("SAVEDATE"),), uid=False, condstore=False)
    assert plan.render([(101, None)], number, UidSet()) == b"* 1 FETCH (SAVEDATE NIL)\r\n"


# --- octets

HEADER, _, TEXT = PLAIN.partition(b"\r\n\r\n")
HEADER = PREFIX + HEADER + b"\r\n\r\n"


@acceptance("S109")
def test_the_header_is_a_literal_of_its_octets_prefix_included() -> None:
    for item in ("RFC822.HEADER", "BODY[HEADER]"):
        assert value_of(item, PLAIN) == literal(HEADER)
    assert value_of("BODY.PEEK[HEADER]", PLAIN, name="BODY[HEADER]") == literal(HEADER)


@acceptance("S109", "S111")
@pytest.mark.parametrize(
    ("item", "sets_seen"),
    [
        ("RFC822.HEADER", False),
        ("BODY.PEEK[]", False),
        ("BINARY.PEEK[1]", False),
        ("BINARY.SIZE[1]", False),
        ("(FLAGS ENVELOPE BODY BODYSTRUCTURE)", False),
        ("RFC822", True),
        ("RFC822.TEXT", True),
        ("BODY[]", True),
        ("BODY[HEADER]", True),
        ("(FLAGS BODY[1])", True),
        ("BINARY[1]", True),
    ],
)
def test_what_sets_seen(item: str, sets_seen: bool) -> None:
    assert compile_fetch(items_of(item), uid=False, condstore=False).sets_seen is sets_seen


@acceptance("S110")
def test_chosen_header_fields_in_message_order_with_the_empty_line() -> None:
    chosen = (
        b"Date: Thu, 28 Oct 2004 16:54:06 +0200\r\nFrom: Anna Adler <anna@mail.example>\r\n"
        b"To: bob@mail.example\r\n" + "Subject: Test für IMAP\r\n\r\n".encode()
    )
    item = "BODY[HEADER.FIELDS (from to subject date)]"
    assert value_of(item, PLAIN) == literal(chosen)
    assert value_of("BODY.PEEK[HEADER.FIELDS (from to subject date)]", PLAIN, name=item) == literal(chosen)
    assert value_of("BODY[HEADER.FIELDS (from to subject date)]<0.100>", PLAIN, name=item + "<0>") == literal(
        chosen[:100]
    )
    assert value_of("BODY[HEADER.FIELDS (from to subject date)]<90.1000>", PLAIN, name=item + "<90>") == literal(
        chosen[90:]
    )
    others = b"".join(
        line + b"\r\n"
        for line in HEADER.split(b"\r\n")[:-1]
        if not line.lower().startswith((b"from:", b"to:", b"subject:", b"date:"))
    )
    assert value_of("BODY[HEADER.FIELDS.NOT (FROM TO SUBJECT DATE)]", PLAIN) == literal(others)
    assert value_of("BODY[HEADER.FIELDS (X-None)]", PLAIN) == literal(b"\r\n")
    assert value_of("BODY[HEADER.FIELDS (Return-Path)]", PLAIN) == literal(b"Return-Path: <anna@mail.example>\r\n\r\n")


def test_field_names_are_repeated_as_strings() -> None:
    assert value_of('BODY[HEADER.FIELDS ("A B" "5%")]', PLAIN, name='BODY[HEADER.FIELDS ("A B" "5%")]') == literal(
        b"\r\n"
    )


def test_header_fields_need_no_octets() -> None:
    plan = compile_fetch(items_of("(BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[HEADER])"), uid=True, condstore=False)
    assert plan.columns == (Column.UID, Column.HEADER)
    assert not plan.reads_octets


@acceptance("S111")
def test_the_text_and_the_whole() -> None:
    assert value_of("RFC822.TEXT", PLAIN) == literal(TEXT)
    assert value_of("BODY[TEXT]", PLAIN) == literal(TEXT)
    assert value_of("BODY[TEXT]<6.3>", PLAIN, name="BODY[TEXT]<6>") == literal(TEXT[6:9])
    assert value_of("BODY[]", PLAIN) == literal(PREFIX + PLAIN)
    assert value_of("RFC822", PLAIN) == literal(PREFIX + PLAIN)
    assert value_of("BODY[]<60.20>", PLAIN, name="BODY[]<60>") == literal((PREFIX + PLAIN)[60:80])
    assert value_of("BODY[]<100000.5>", PLAIN, name="BODY[]<100000>") == piece(b"")


SECTIONS = [
    ("BODY[1.1]", b"one"),
    ("BODY[1.1.MIME]", b"Content-Type: text/plain\r\n\r\n"),
    ("BODY[1.2.MIME]", b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"),
    ("BODY[1.2]", b"<p>gr=C3=BC=\r\nn</p>"),
    ("BODY[2]", b"AAECAwQF\r\nBgc="),
    ("BODY[3]", b"Subject: inner\r\nFrom: carol@mail.example\r\nX-Inner: yes\r\n\r\ninner text"),
    ("BODY[3.HEADER]", b"Subject: inner\r\nFrom: carol@mail.example\r\nX-Inner: yes\r\n\r\n"),
    ("BODY[3.HEADER.FIELDS (X-Inner)]", b"X-Inner: yes\r\n\r\n"),
    ("BODY[3.HEADER.FIELDS.NOT (X-Inner from)]", b"Subject: inner\r\n\r\n"),
    ("BODY[3.TEXT]", b"inner text"),
    ("BODY[3.1]", b"inner text"),
    ("BINARY[1.1]", b"one"),
    ("BINARY[1.2]", "<p>grün</p>".encode()),
    ("BINARY[3]", b"Subject: inner\r\nFrom: carol@mail.example\r\nX-Inner: yes\r\n\r\ninner text"),
]


@pytest.mark.parametrize(("item", "octets"), SECTIONS)
@acceptance("S111")
def test_sections_by_number(item: str, octets: bytes) -> None:
    assert value_of(item, MIXED) == literal(octets)
    assert value_of(item, MIXED, prefix=b"") == literal(octets)
    assert value_of(item + "<2.5>", MIXED, name=item + "<2>") == literal(octets[2:7])


@acceptance("S111")
def test_binary_undoes_the_transfer_encoding() -> None:
    data = bytes(range(8))
    assert fetched("BINARY[2]", StoredMessage(101, MIXED)) == b"* 1 FETCH (BINARY[2] ~{8}\r\n" + data + b")\r\n"
    assert fetched("BINARY[2]<1.3>", StoredMessage(101, MIXED)) == b"* 1 FETCH (BINARY[2]<1> {3}\r\n\1\2\3)\r\n"
    assert value_of("BINARY[2]<1.3>", MIXED, name="BINARY[2]<1>") == literal(data[1:4])
    assert value_of("BINARY.SIZE[2]", MIXED) == b"8"
    assert value_of("BINARY.SIZE[1.2]", MIXED) == b"12"
    assert value_of("BINARY.SIZE[9]", MIXED) == b"0"
    assert value_of("BINARY[]", MIXED) == literal(PREFIX + MIXED)
    with pytest.raises(v.UnknownEncoding) as caught:
        fetched("BINARY[4]", StoredMessage(101, MIXED))
    assert caught.value.imap_code == "UNKNOWN-CTE"


@pytest.mark.parametrize(
    "item", ["BODY[5]", "BODY[1.3]", "BODY[1.1.1.1]", "BODY[2.HEADER]", "BODY[1.HEADER]", "BINARY[9]"]
)
def test_a_section_that_is_not_there_is_nil(item: str) -> None:
    assert value_of(item, MIXED) == b"NIL"


def test_part_one_of_a_message_without_parts_is_its_body() -> None:
    assert value_of("BODY[1]", PLAIN) == literal(TEXT)
    assert value_of("BODY[1.MIME]", PLAIN) == literal(HEADER)


def test_an_empty_message() -> None:
    assert value_of("BODY[]", b"", prefix=b"") == literal(b"")
    assert value_of("BODY[TEXT]", b"", prefix=b"") == literal(b"")
    assert value_of("BODY[1]", b"") == literal(b"")


def test_several_sections_of_several_messages() -> None:
    messages = (StoredMessage(101, PLAIN), StoredMessage(102, MIXED, prefix=b""))
    assert fetched("(UID BODY[1.MIME] FLAGS BODY[1.1])", *messages) == (
        b"* 1 FETCH (UID 101 BODY[1.MIME] %b FLAGS () BODY[1.1] NIL)\r\n"
        b"* 2 FETCH (UID 102 BODY[1.MIME] %b FLAGS () BODY[1.1] %b)\r\n"
        % (literal(HEADER), literal(b"Content-Type: multipart/alternative; boundary=b2\r\n\r\n"), literal(b"one"))
    )


CODED = [
    (b"quoted-printable", b"one  \r\nsoft= \r\nbreak=00", b"one\r\nsoftbreak\0"),
    (b"base64", b"SGVsbG8=\r\n\r\n_____\r\nlist footer text", b"Hello"),
    (b"base64", b"SGUAbG8=", b"He\0lo"),
    (b"x-uuencode", b"begin 644 f\r\n#86)C\r\n`\r\nend", b"abc"),
    (b"8bit", b"\xff\0\xff", b"\xff\0\xff"),
]


@pytest.mark.parametrize(("encoding", "coded", "decoded"), CODED)
@acceptance("S111")
def test_binary_is_the_same_for_short_and_long_parts(encoding: bytes, coded: bytes, decoded: bytes) -> None:
    message = b"Content-Transfer-Encoding: %b\r\n\r\n%b" % (encoding, coded)
    tilde = b"~" if b"\0" in decoded else b""
    # Each is played to a plan as a short message and as a long one.
    assert value_of("BINARY[1]", message) == tilde + literal(decoded)
    assert value_of("BINARY.SIZE[1]", message) == b"%d" % len(decoded)
    for first in range(len(decoded) + 1):
        part = decoded[first : first + 2]
        tilde = b"~" if b"\0" in part else b""
        assert value_of(f"BINARY[1]<{first}.2>", message, name=f"BINARY[1]<{first}>") == tilde + piece(part)


def test_fields_of_a_long_header_within_a_message_are_found_to_its_end() -> None:
    inner = b"Subject: first\r\n" + b"X-Filling: y\r\n" * 120_000 + b"X-Folded: a\0\r\n\tb\r\nTO: c@d\r\n\r\nbody"
    message = b"Content-Type: message/rfc822\r\n\r\n" + inner
    assert value_of("BODY[1.HEADER.FIELDS (To Subject X-Folded)]", message) == literal(
        b"Subject: first\r\nX-Folded: a?\r\n\tb\r\nTO: c@d\r\n\r\n"
    )
    rest = "BODY[1.HEADER.FIELDS.NOT (X-Filling)]<9"
    assert value_of(f"{rest}.5>", message, name=f"{rest}>") == literal(b"first")
    assert b'"c" "d"' in value_of("BODYSTRUCTURE", message)


@pytest.mark.parametrize("items", ["(UID BINARY.PEEK[4])", "(BODY[2] BINARY[4])", "(BINARY[1.1] BINARY.SIZE[4] FLAGS)"])
def test_nothing_is_said_of_a_long_message_before_all_decoders_are_known(items: str) -> None:
    """RFC 3516 §4.3: the refusal stands on a line of its own, not in the middle of a response."""
    plan = compile_fetch(items_of(items), uid=False, condstore=False)
    row = StoredMessage(101, MIXED, is_long=True).row(plan.columns)
    with pytest.raises(v.UnknownEncoding):
        plan.pieces(row, 1, UidSet())


def test_a_multipart_has_no_encoding_of_its_own() -> None:
    message = crlf(
        """\
Content-Type: multipart/mixed; boundary=b
Content-Transfer-Encoding: quoted-printable

--b
Content-Type: multipart/mixed; boundary=c
Content-Transfer-Encoding: x-none

--c

a=41
--c--
--b--
"""
    )
    assert value_of("BINARY[1]", message) == literal(b"--c\r\n\r\na=41\r\n--c--")


# --- parts of octets


@given(st.sampled_from([item for item, _ in SECTIONS] + ["BODY[]", "BODY[TEXT]", "BODY[HEADER]"]), st.integers(1, 300))
@settings(max_examples=150, deadline=None)
@acceptance("S112")
def test_partial_fetches_joined_are_the_section(item: str, count: int) -> None:
    message = StoredMessage(101, MIXED)

    def section(text: str) -> bytes:
        return octets_of(fetched(text, message))

    whole = section(item)
    joined, first = b"", 0
    while part := section(f"{item}<{first}.{count}>"):
        joined += part
        first += count
    assert joined == whole


@acceptance("S112")
def test_a_long_message_is_streamed_and_its_parts_join() -> None:
    coded = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\r\n" * 20_000
    content = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + coded + b"\r\n--b--\r\n"
    )
    message = StoredMessage(101, content)
    joined = b""
    for first in range(0, len(coded) + 65536, 65536):
        response = stream(f"BODY.PEEK[2]<{first}.65536>", message)
        joined += octets_of(response)
    assert joined == coded
    assert stream("BODY.PEEK[]", message) == b"* 1 FETCH (BODY[] " + literal(message.octets) + b")\r\n"
    decoded = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv" * 20_000
    assert stream("BINARY.PEEK[2]", message) == b"* 1 FETCH (BINARY[2] " + literal(decoded) + b")\r\n"
    assert stream("BINARY.PEEK[2]<300001.400000>", message) == (
        b"* 1 FETCH (BINARY[2]<300001> " + literal(decoded[300001:700001]) + b")\r\n"
    )
    assert stream("BINARY.SIZE[2]", message) == b"* 1 FETCH (BINARY.SIZE[2] %d)\r\n" % len(decoded)


def test_a_batch_with_long_messages_keeps_its_order() -> None:
    plan = compile_fetch(items_of("BODY.PEEK[1]"), uid=True, condstore=False)
    messages = [StoredMessage(101 + n, PLAIN, is_long=n in {1, 2, 5}) for n in range(6)]
    rows = [message.row(plan.columns) for message in messages]
    assert [plan.is_long(row) for row in rows] == [False, True, True, False, False, True]
    batch = plan.render_batch(rows, number, UidSet())
    assert [isinstance(piece, bytes) for piece in batch] == [True, False, False, True, False]
    found: list[bytes] = []

    async def send() -> None:
        for piece in batch:
            if isinstance(piece, bytes):
                found.append(piece)
            else:
                await write_pieces(piece, lambda uid, start, stop: succeed((PREFIX + PLAIN)[start:stop]), found.append)

    run(send())
    assert b"".join(found) == b"".join(
        b"* %d FETCH (UID %d BODY[1] %b)\r\n" % (n, 100 + n, literal(TEXT)) for n in range(1, 7)
    )


class WritingPieces(SynchronousTestCase):
    def setUp(self) -> None:
        self.message = StoredMessage(101, b"\r\n" + b"x" * (3 * MAX_CHUNK), prefix=b"", is_long=True)
        plan = compile_fetch(items_of("BODY.PEEK[]"), uid=False, condstore=False)
        self.pieces = plan.pieces(self.message.row(plan.columns), 1, UidSet())

    def test_nothing_is_read_while_the_client_is_slow(self) -> None:
        reads: list[tuple[int, int]] = []
        pauses: list[Deferred[None]] = []

        def read(uid: int, start: int, stop: int) -> Awaitable[bytes]:
            reads.append((start, stop))
            return succeed(self.message.octets[start:stop])

        def write(octets: bytes) -> Awaitable[None]:
            pauses.append(Deferred())
            return pauses[-1]

        done = Deferred.fromCoroutine(write_pieces(self.pieces, read, write))
        self.assertEqual(reads, [])
        pauses[0].callback(None)
        pauses[1].callback(None)
        self.assertEqual(reads, [(0, MAX_CHUNK)])
        for at in range(2, 7):
            self.assertNoResult(done)
            pauses[at].callback(None)
        self.successResultOf(done)
        self.assertEqual(len(reads), 4)

    def test_octets_that_are_gone_end_it(self) -> None:
        done = Deferred.fromCoroutine(write_pieces(self.pieces, lambda *_: succeed(b"short"), lambda _: None))
        self.failureResultOf(done, OctetsGone)


def test_slices_are_no_longer_than_a_chunk() -> None:
    message = StoredMessage(101, b"\r\n" + b"x" * (3 * MAX_CHUNK), is_long=True)
    plan = compile_fetch(items_of("BODY.PEEK[]<5.600000>"), uid=False, condstore=False)
    slices = [piece for piece in plan.pieces(message.row(plan.columns), 1, UidSet()) if isinstance(piece, Slice)]
    assert [(piece.start, piece.stop) for piece in slices] == [
        (5, 5 + MAX_CHUNK),
        (5 + MAX_CHUNK, 5 + 2 * MAX_CHUNK),
        (5 + 2 * MAX_CHUNK, 600005),
    ]


# --- messages of any octets

LINES = st.sampled_from(
    [
        b"",
        b"Subject: x",
        b" folded",
        b"From: a@b.example",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/digest; boundary=c",
        b"Content-Type: message/rfc822",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"--b",
        b"--b--",
        b"--c",
        b"QUJD",
        b"=41=",
        b"\xff\x00",
    ]
)
ITEMS = [
    *[
        "BODY[]",
        "BODY[HEADER]",
        "BODY[TEXT]",
        "BODY[1]",
        "BODY[1.MIME]",
        "BODY[1.HEADER]",
        "BODY[1.TEXT]",
        "BODY[2]",
        "BODY[1.1]",
        "BODY[1.2]",
    ],
    *[
        "BODY[2.1.MIME]",
        "RFC822",
        "RFC822.HEADER",
        "RFC822.TEXT",
        "BINARY[1]",
        "BINARY[1.1]",
        "BINARY.SIZE[1]",
        "BINARY.SIZE[2]",
    ],
    "BODY[HEADER.FIELDS (Subject)]",
    "BODY[1.HEADER.FIELDS.NOT (Subject)]",
]


@given(st.lists(LINES).map(b"\r\n".join) | st.lists(LINES).map(b"\n".join), st.sampled_from([PREFIX, b""]))
@settings(max_examples=150, deadline=None)
def test_any_message_is_answered_the_same_at_once_and_streamed(content: bytes, prefix: bytes) -> None:
    size = len(prefix + content)
    for item in ITEMS:
        value = value_of(item, content, prefix=prefix)
        if value.startswith((b"{", b"~{")):
            head, _, octets = value.partition(b"}\r\n")
            assert int(head.strip(b"~{")) == len(octets) <= size + 4
    assert value_of("BODY[]", content, prefix=prefix) == literal((prefix + content).replace(b"\0", b"?"))
    header = value_of("BODY[HEADER]", content, prefix=prefix).partition(b"}\r\n")[2]
    text = value_of("BODY[TEXT]", content, prefix=prefix).partition(b"}\r\n")[2]
    assert header + text == (prefix + content).replace(b"\0", b"?")
