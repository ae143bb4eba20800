"""The words of a message for the text index: it never excludes what a search finds."""

from __future__ import annotations

import random
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.search.batch import SearchBatch, SearchContext
from pymailsuite.imap.search.compiling import condition_of
from pymailsuite.imap.search.narrowing import narrowing
from pymailsuite.imap.values import AllOf, AnyOf, BodyHas, HeaderHas, Not, SearchProgram, TextHas
from pymailsuite.interfaces import Column, drained
from pymailsuite.interfaces.text_index import HoldsWords, TextField
from pymailsuite.message.base_subject import folded_subject
from pymailsuite.message.fields import first_fields
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import decode_parts
from pymailsuite.message.word_pieces import MESSAGES_MAX, PieceMaker, WordPiece, pack_uids, those_of, unpack_uids
from pymailsuite.message.words import (
    body_ranges,
    body_words,
    header_words,
    subject_words,
    words_of,
    words_of_needle,
)

PHRASES = (
    *("Straße und Fluß", "STRASSE", "ﬁne ﬂuff", "Ἀθῆναι", "отчёт за неделю", "ОТЧЁТ", "会議の議事録", "e\u0301tude"),
    *("no\u00a0break", "wide\u3000space", "a\u2028b", "tab\tand  spaces", "x" * 150 + "yz", "dGhpcyBpcyBi" * 12),
    *("<td style='a-b_c'>", "o'brien@example.org", "100%", "\u0130stanbul", "ab\0cd", "½ kilo", "ǅungla", "\u0345ypo"),
)
WORDS = ("tea", "coffee", "invoice", "zebra", "of", "a", "Re:", "--", "10.000,00")


def _encoded(text: str, rng: random.Random) -> bytes:
    charset, way = rng.choice((("utf-8", "B"), ("koi8-r", "Q"), ("utf-8", "Q")))
    octets = text.encode(charset, "replace")
    if way == "B":
        import base64

        return b"=?utf-8?B?" + base64.b64encode(octets) + b"?="
    return b"=?%b?Q?%b?=" % (charset.encode(), b"".join(b"=%02X" % octet for octet in octets))


def _text(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(PHRASES if rng.random() < 0.4 else WORDS) for _ in range(count))


def _field(rng: random.Random) -> bytes:
    name = rng.choice((b"Subject", b"From", b"TO", b"cc", b"X-Odd", b"Received", b"su bject", b"Subject ", b"X\rY"))
    text = _text(rng, rng.randint(0, 4)).replace("\n", " ")
    body = rng.choice(
        (
            text.encode("utf-8"),
            text.encode("latin-1", "replace"),
            _encoded(text, rng),
            _encoded(text, rng) + b"\r\n " + _encoded("tea", rng),
            b" folded\r\n\there" + text.encode(),
            b"=?broken?Q?=E",
        )
    )
    return name + b":" + rng.choice((b" ", b"")) + body + rng.choice((b"\r\n", b"\r\n", b"\n"))


def _message(rng: random.Random) -> bytes:
    header = b"".join(_field(rng) for _ in range(rng.randint(0, 6)))
    if rng.random() < 0.2:
        header += b"no field at all\r\n"
    text = "\r\n".join(_text(rng, 6) for _ in range(3))
    kind = rng.randrange(5)
    if kind == 0:
        return header + b"\r\n" + text.encode("utf-8", "replace")
    if kind == 1:
        return header + b"Content-Type: text/html; charset=koi8-r\r\n\r\n" + text.encode("koi8-r", "replace")
    inner = b"Content-Type: text/plain; charset=utf-8; name*=utf-8''%e2%82%ac.txt\r\n\r\n" + text.encode()
    if kind == 2:
        inner = b"Content-Type: message/rfc822\r\n\r\n" + header + b"\r\n" + text.encode("cp1251", "replace")
    if kind == 3:
        inner = b"Content-Type: image/png; name=" + _encoded("zebra", rng) + b"\r\n\r\nnot text\r\n"
    return (
        header + b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n" + inner + b"\r\n--b\r\n\r\n"
        b"plain zebra\r\n--b--\r\n"
    )


def _needles(rng: random.Random) -> Iterator[str]:
    for phrase in (*PHRASES, *WORDS):
        yield phrase
        start = rng.randrange(len(phrase))
        yield phrase[start : start + rng.randint(1, 40)].swapcase()
    for _ in range(10):
        yield _text(rng, 2)


def _piece(messages: list[bytes]) -> tuple[WordPiece, SearchBatch]:
    maker = PieceMaker()
    rows = []
    for uid, octets in enumerate(messages, 1):
        structure = scan(octets)
        prefix = b"Return-Path: <anna@example.net>\r\nX-Ours: \xc3\xa9tude\r\n" if uid % 2 else b""
        header = prefix + octets[: structure.header_size]
        raw = first_fields(octets[: structure.header_size]).get(b"subject", b"")
        subject = folded_subject(raw) if raw else ""
        table = decode_parts(structure.parts)
        pieces = {(start, stop): octets[start:stop] for start, stop in body_ranges(table)}
        maker.add(
            uid,
            header_words(header),
            subject_words(subject),
            body_words(table, lambda start, stop, pieces=pieces: pieces[start, stop]),  # type: ignore[misc]
        )
        rows.append((uid, structure.parts, len(prefix), header, subject, prefix + octets))
    fields = dict(drained(maker.fields()))
    columns = (Column.UID, Column.PARTS, Column.PREFIX_SIZE, Column.HEADER, Column.SUBJECT, Column.OCTETS)
    context = SearchContext(lambda uid: uid, len(rows), len(rows), (), 0.0)
    return WordPiece(fields, len(rows)), SearchBatch(columns, rows, context)


def _programs(text: str, rng: random.Random) -> Iterator[SearchProgram]:
    names = ("subject", "from", "to", "cc", "received", "x-odd", "su bject", "x\ry", "subject ")
    keys: list[SearchProgram] = [BodyHas(text), TextHas(text), *(HeaderHas(name, text) for name in names)]
    yield from keys
    yield AnyOf((rng.choice(keys), rng.choice(keys)))
    yield AllOf((rng.choice(keys), Not(rng.choice(keys))))
    yield Not(AllOf((Not(rng.choice(keys)), rng.choice(keys))))


class WordsTests(SynchronousTestCase):
    def test_no_message_that_matches_is_excluded(self) -> None:
        rng = random.Random(129)
        excluded = matched = 0
        for _ in range(4):
            messages = [_message(rng) for _ in range(MESSAGES_MAX)]
            piece, batch = _piece(messages)
            uids = list(batch.uids)
            for needle in _needles(rng):
                for program in _programs(needle, rng):
                    query = narrowing(program)
                    if query is None:
                        continue
                    found = [uids[place] for place in condition_of(program).pick(batch, range(len(uids)))]
                    left = set(those_of(uids, piece.holding(query)))
                    self.assertEqual(set(found) - left, set(), (program, query))
                    matched += len(found)
                    excluded += len(uids) - len(left)
        # A test in which nothing is found, or nothing left out, would show nothing.
        self.assertGreater(matched, 1000)
        self.assertGreater(excluded, 10_000)

    def test_a_word_within_another_is_found_and_others_are_not(self) -> None:
        piece, _ = _piece([b"\r\nthe zebrafish swims", b"\r\nthe zebra stands", b"\r\nnothing"])
        for text, bits in (("zebra", 0b011), ("rafi", 0b001), ("ZEBRA STANDS", 0b010), ("gnu", 0), ("the", 0b011)):
            with self.subTest(text=text):
                self.assertEqual(piece.holding(HoldsWords((TextField.BODY,), words_of_needle(text))), bits)
        self.assertEqual(piece.holding(HoldsWords((TextField.SUBJECT,), (b"zebra",))), 0)

    def test_short_strings_ask_nothing(self) -> None:
        for text in ("", "a", "of", "a-b c", " \t "):
            with self.subTest(text=text):
                self.assertEqual(words_of_needle(text), ())
                self.assertIsNone(narrowing(BodyHas(text)))
        # A character of three octets is worth looking for.
        self.assertEqual(words_of_needle("会"), ("会".encode(),))

    def test_a_negation_asks_nothing_and_a_disjunction_asks_all_or_nothing(self) -> None:
        tea, coffee, short = BodyHas("tea"), TextHas("coffee"), BodyHas("a")
        self.assertIsNone(narrowing(Not(tea)))
        self.assertIsNone(narrowing(AnyOf((tea, Not(coffee)))))
        self.assertIsNone(narrowing(AnyOf((tea, short))))
        self.assertEqual(narrowing(AllOf((tea, Not(coffee), short))), narrowing(AllOf((tea,))))

    def test_long_words_are_found_by_any_part_of_them(self) -> None:
        rng = random.Random(1)
        for length in (64, 65, 96, 97, 127, 128, 129, 500):
            word = "".join(rng.choices("abcdefgh", k=length))
            lines = b"\n".join(words_of(word))
            for _ in range(50):
                start = rng.randrange(length - 3)
                (looked_for,) = words_of_needle(word[start : start + rng.randint(3, 90)])
                self.assertIn(looked_for, lines)

    def test_uids_are_stored_as_they_are(self) -> None:
        uids = [1, 2, 70_000, 2**32 - 1]
        self.assertEqual(list(unpack_uids(pack_uids(uids))), uids)
        self.assertEqual(list(those_of(uids, 0b1010)), [2, 2**32 - 1])
