"""Settings as they take effect, option by option, each with whether it was set or is the default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from pymailsuite.config.base import Section
from pymailsuite.config.settings import Settings


@frozen
class EffectiveOption:
    """One option: ``key`` is its path in the file, ``value`` as JSON has it, ``is_default`` that nobody set it."""

    key: str
    value: Any
    is_default: bool


def effective_options(settings: Settings) -> Iterator[EffectiveOption]:
    """All options in the order of their declaration."""
    yield from _options_of(settings, settings.model_dump(mode="json"), "")


def _options_of(section: Section, values: dict[str, Any], prefix: str) -> Iterator[EffectiveOption]:
    for name in type(section).model_fields:
        inner = getattr(section, name)
        if isinstance(inner, Section):
            yield from _options_of(inner, values[name], f"{prefix}{name}.")
        else:
            yield EffectiveOption(prefix + name, values[name], name not in section.model_fields_set)
