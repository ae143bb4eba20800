"""Settings of the text index."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size
from pymailsuite.interfaces.text_index import IndexBounds


class SearchSettings(Section):
    """``[search]``: the text index, which lets searches read few messages. What they find does not depend on it."""

    index: bool = True
    """Make the index, in the background. An account can be left out: ``pymailsuite search drop --account``."""

    index_interval: Duration = Field(default=30.0, ge=0.1)
    """How often new messages are looked for. Those that are not indexed yet are read by each search."""

    index_share: float = Field(default=0.15, gt=0, le=1)
    """The share of its time that a process spends on the index at most, while there is something to be indexed."""

    index_load: float = Field(default=2.0, ge=0)
    """While the load average of the machine is above this for each of its processors, nothing is indexed. 0: the load
    is not looked at."""

    index_size: Size = Field(default=20 * 2**30, ge=0)
    """The size of the index, in octets: once it has been reached, nothing more is indexed."""

    index_text: Size = Field(default=2**20, ge=1024)
    """Octets of text of a message that is indexed: header, text parts, and headers of other parts. A message with more
    is read by each search."""

    index_messages: int = Field(default=64, ge=1, le=64)
    """Messages of a mailbox that are indexed together. The last ones are read by each search until there are enough."""

    extractors: tuple[str, ...] = ()
    """Plugins that make text of attachments, which BODY and TEXT then look into. When this is changed the index is made
    anew."""

    extractor_octets: Size = Field(default=4 * 2**20, ge=1)
    """Octets of an attachment, in its transfer encoding, that a text is made of; a larger one has none."""

    extractor_characters: int = Field(default=1_000_000, ge=1)
    """Characters of the text of an attachment; the rest is left out."""

    def bounds(self, extraction: Any) -> IndexBounds:
        """What the index is told, with the ``message.extraction.TextExtraction`` there is."""
        return IndexBounds(self.index_size, self.index_text, self.index_messages, extraction)
