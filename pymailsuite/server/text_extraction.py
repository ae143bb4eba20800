"""What makes text of attachments for searches, as the settings have it."""

from __future__ import annotations

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.text_extraction import ITextExtractor
from pymailsuite.message.extraction import TextExtraction
from pymailsuite.plugins import plugins_by_name


def text_extraction(settings: SearchSettings) -> TextExtraction:
    """ConfigError if there is no plugin of a name."""
    found = plugins_by_name(ITextExtractor) if settings.extractors else {}
    for name in settings.extractors:
        if name not in found:
            raise ConfigError(f"search.extractors: no plugin has the name {name!r}")
    extractors = [found[name] for name in settings.extractors]
    return TextExtraction(extractors, settings.extractor_octets, settings.extractor_characters)
