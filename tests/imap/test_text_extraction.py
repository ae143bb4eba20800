"""Searches look into attachments of which plugins make text: the same with the index and without."""

from __future__ import annotations

import base64
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.text_index import IndexBounds
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.server.text_extraction import text_extraction
from pymailsuite.values import MAX_CHUNK
from tests.imap.conversation import Server
from tests.support.stores import append, fired


class _Reversed:
    """A kind of document that has its text the other way round."""

    name = "reversed"
    content_types = ("application/x-reversed", "Application/X-Other")

    def __init__(self, form: str = "1") -> None:
        self.form = form

    def text(self, octets: bytes) -> str:
        if octets.startswith(b"broken"):
            raise ValueError("not such a document")
        return octets.decode("utf-8")[::-1]


def _attached(text: str, content_type: str = "application/x-reversed", coded: bool = True) -> bytes:
    octets = text.encode()[::-1] if text.isascii() else text[::-1].encode()
    if coded:
        octets = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(octets)
    else:
        octets = b"\r\n" + octets
    return (
        b"Subject: document\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\n"
        b"Content-Type: " + content_type.encode() + b"\r\n" + octets + b"\r\n--b--\r\n"
    )


EXTRACTION = TextExtraction([_Reversed()], octets_max=2 * MAX_CHUNK, characters_max=MAX_CHUNK)


class TextExtractionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.server.factory.shared.extraction = EXTRACTION
        append(
            self.server.store,
            self.server.account,
            "INBOX",
            _attached("a zebra in the document"),
            _attached("a zebra in plain sight", coded=False),
            _attached("отчёт", content_type="application/x-other"),
            _attached("a zebra that nobody can read", content_type="application/pdf"),
            _attached("word " * (MAX_CHUNK // 6) + "zebra", content_type="application/x-reversed"),
            _attached("zebra nekorb"[:6] + "nekorb"),
            _attached("zebra" + " " * 3 * MAX_CHUNK),
            b"Subject: other\r\n\r\nno zebras here\r\n",
        )
        self.client = self.server.connect().login()
        self.addCleanup(self.client.close)
        self.client.command("SELECT INBOX")

    def index_all(self, extraction: Any = EXTRACTION) -> None:
        while fired(self.server.store.text_index.index_some(IndexBounds(2**30, 2**20, 8, extraction))) is not None:
            pass

    def found(self, program: str) -> str:
        answer = self.client.send(f"x SEARCH CHARSET UTF-8 {program}\r\n".encode())
        for _ in range(100):
            if b"x OK" in answer:
                break
            self.server.clock.advance(0)
            answer += self.client.output()
        return answer.decode().partition("\r\n")[0].removeprefix("* SEARCH").strip()

    def test_attachments_are_searched_with_the_index_and_without(self) -> None:
        for indexed in (False, True):
            if indexed:
                self.index_all()
                self.assertGreater(fired(self.server.store.text_index.status()).indexed, 5)  # type: ignore[attr-defined]
            with self.subTest(indexed=indexed):
                self.assertEqual(self.found("BODY zebra"), "1 2 5 8")
                self.assertEqual(self.found("TEXT DOCUMENT BODY zebra"), "1 2 5")
                self.assertEqual(self.found('BODY "отчёт"'), "3")
                self.assertEqual(self.found("NOT BODY zebra"), "3 4 6 7")
                self.assertEqual(self.found('FUZZY BODY "documents"'), "1")
        self.flushLoggedErrors(ValueError)

    def test_an_index_made_with_other_extractors_is_not_believed(self) -> None:
        self.index_all(NO_EXTRACTION)
        self.assertEqual(self.found("BODY zebra"), "1 2 5 8")
        self.index_all(TextExtraction([_Reversed("2")], 2 * MAX_CHUNK, MAX_CHUNK))
        self.assertEqual(self.found("BODY zebra"), "1 2 5 8")
        self.server.factory.shared.extraction = NO_EXTRACTION
        self.assertEqual(self.found("BODY zebra"), "8")
        self.flushLoggedErrors(ValueError)

    def test_extractors_are_named_in_the_settings(self) -> None:
        self.assertEqual(text_extraction(SearchSettings()).form, "")
        with self.assertRaisesRegex(ConfigError, "search.extractors: no plugin has the name 'nobody'"):
            text_extraction(SearchSettings(extractors=("nobody",)))
