"""An outside text extractor: words of RTF documents."""

from __future__ import annotations

import unittest

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.message.parts import decode_parts
from pymailsuite.message.scan import scan
from pymailsuite.message.search import body_texts
from pymailsuite.server.text_extraction import text_extraction
from tests.support.wheels import installed

RTF = rb"{\rtf1{\*\generator x;}\b Gr\'fc\'dfe\b0\par aus {\i M\'fcnchen}}"
MESSAGE = b"Content-Type: Application/RTF\r\n\r\n" + RTF


class TextExtractorTests(unittest.TestCase):
    def test_words_of_a_document_are_its_text(self) -> None:
        with installed("text_extractor"):
            extraction = text_extraction(SearchSettings(extractors=("rtf",)))
            table = decode_parts(scan(MESSAGE).parts)
            self.assertEqual(list(body_texts(MESSAGE, table, extraction)), ["Grüße\naus München"])
            self.assertEqual(list(body_texts(MESSAGE, table)), [])
