"""Settings as they take effect, option by option, each with whether it was set or is the default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from attrs import frozen
from pydantic import SecretStr

from pymailsuite.config.base import Section
from pymailsuite.config.settings import Settings


@frozen
class EffectiveOption:
    """One option: ``key`` is its path in the file, ``value`` as JSON has it without what is secret in it,
    ``is_default`` that nobody set it, ``is_secret`` that it holds a password."""

    key: str
    value: Any
    is_default: bool
    is_secret: bool = False


def effective_options(settings: Settings) -> Iterator[EffectiveOption]:
    """All options in the order of their declaration."""
    yield from _options_of(settings, settings.model_dump(mode="json"), "")


def _options_of(section: Section, values: dict[str, Any], prefix: str) -> Iterator[EffectiveOption]:
    for name in type(section).model_fields:
        inner = getattr(section, name)
        if isinstance(inner, Section):
            yield from _options_of(inner, values[name], f"{prefix}{name}.")
        else:
            value = without_password(values[name]) if isinstance(inner, str) else values[name]
            is_secret = value != values[name] or (isinstance(inner, SecretStr) and bool(inner.get_secret_value()))
            yield EffectiveOption(prefix + name, value, name not in section.model_fields_set, is_secret)


_PASSWORD_IN_URL: Final = re.compile(r"(?<=:)[^/@:]+(?=@)|(?<=\bpassword=)[^&\s]+")


def without_password(text: str) -> str:
    """A URL with stars in place of the password in it, before the host or among the parameters."""
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{_PASSWORD_IN_URL.sub('**********', rest)}" if mark else text
