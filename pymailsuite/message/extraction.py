"""The text of parts that are no text: made by plugins (:mod:`pymailsuite.interfaces.text_extraction`), within bounds.

Searches and the text index use the same object, so that what is found does not depend on the index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from twisted.logger import Logger

from pymailsuite.interfaces.text_extraction import ITextExtractor
from pymailsuite.message.parts import Part, PartKind
from pymailsuite.message.transfer import IDENTITY, decode_transfer

log = Logger()


class TextExtraction:
    """Of several extractors for a content type the first counts. Parts of more than ``octets_max`` octets, in their
    transfer encoding, have no text, and a text ends after ``characters_max`` characters."""

    def __init__(self, extractors: Sequence[ITextExtractor] = (), octets_max: int = 0, characters_max: int = 0) -> None:
        self._octets_max = octets_max
        self._characters_max = characters_max
        self._by_type: dict[str, ITextExtractor] = {}
        for extractor in extractors:
            for content_type in extractor.content_types:
                self._by_type.setdefault(content_type.lower(), extractor)
        told = [f"{one.name} {one.form}" for one in extractors]
        self.form = " ".join(["", *told, str(octets_max), str(characters_max)]) if told else ""
        """Differs from that of another extraction which makes other text; empty: it makes none."""
        types = "|".join(map(re.escape, sorted(self._by_type)))
        self._may_apply = re.compile(rf" (?:{types}) ".encode("latin-1")).search if types else None

    def may_apply(self, parts: bytes) -> bool:
        """Whether it may make text of a part in a stored table of parts."""
        return self._may_apply is not None and self._may_apply(parts) is not None

    def applies(self, part: Part) -> bool:
        """Whether it makes text of a part. It is not asked about parts that are text already."""
        return part.content_type in self._by_type and part.kind is PartKind.LEAF and part.size <= self._octets_max

    def text(self, part: Part, body: bytes) -> str:
        """The text of a part with that body, in its transfer encoding."""
        octets = body if part.encoding in IDENTITY else decode_transfer(body, part.encoding)
        if octets is None:
            return ""
        extractor = self._by_type[part.content_type]
        try:
            return extractor.text(octets)[: self._characters_max]
        except Exception:
            log.failure("{event} {plugin}", event="search.extractor_failed", plugin=extractor.name)
            return ""


NO_EXTRACTION: Final = TextExtraction()
"""Only parts that are text have text."""
