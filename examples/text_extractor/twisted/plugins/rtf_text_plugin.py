"""Declares the extractor."""

from rtf_text import RtfText

rtf = RtfText()
