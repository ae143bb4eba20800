"""The text of RTF documents: enough of the format to search in them."""

from __future__ import annotations

import re

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from pymailsuite.interfaces.text_extraction import ITextExtractor

# A group that is not shown, a character by its code, a control word, or a mark of the syntax.
_SYNTAX = re.compile(r"\{\\\*[^{}]*\}|\\'([0-9a-fA-F]{2})|\\(par|line|tab)\b ?|\\[a-zA-Z]+-?\d* ?|[{}\r\n]")


def _shown(match: re.Match[str]) -> str:
    if match[1]:
        return bytes((int(match[1], 16),)).decode("cp1252", "replace")
    return "\n" if match[2] else ""


@implementer(IPlugin, ITextExtractor)
@frozen
class RtfText:
    """Makes text of RTF."""

    name: str = "rtf"
    content_types: tuple[str, ...] = ("application/rtf", "application/x-rtf")
    form: str = "1"

    def text(self, octets: bytes) -> str:
        """Without fonts, pictures and layout."""
        return _SYNTAX.sub(_shown, octets.decode("cp1252", "replace"))
