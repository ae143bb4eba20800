"""From a TOML file to :class:`Settings`, or to an error that says which key of which file is wrong and why."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pymailsuite.config.former_names import former_sections, renamed
from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError


def load_settings(path: Path) -> Settings:
    """The settings a file holds. ConfigError with a line for each fault: ``mail.toml: smtp.size: Input should be ...``.

    Unknown keys, wrong types, missing settings, a missing or unreadable file and bad TOML are faults.
    """
    return settings_from(_read(path), path)


def former_names_in(path: Path) -> list[str]:
    """A line for each section of a file that goes by a name of an earlier release. ConfigError as above."""
    return list(former_sections(_read(path)))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (octet {error.start})") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def settings_from(tables: Mapping[str, Any], path: Path) -> Settings:
    """The settings that tables as TOML gives them hold; ``path`` is the file they come from. ConfigError as above."""
    try:
        tables = renamed(tables)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    # Strict, so that "25" is no number and 1 is not true; as JSON, in which strict still lets a list be a tuple.
    octets = json.dumps(tables, default=str)
    try:
        return Settings.model_validate_json(octets, strict=True, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigError("\n".join(_fault_lines(error, tables, path))) from None


def _fault_lines(error: ValidationError, tables: Mapping[str, Any], path: Path) -> list[str]:
    faults: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False):
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "unknown setting" if len(fault["loc"]) > 1 else "unknown section"
        elif fault["type"] == "missing":
            text = "must be set"
        # A setting of several possible types has a fault for each of them.
        texts = faults.setdefault(_key_path(fault["loc"], tables), [])
        if text not in texts:
            texts.append(text)
    return [f"{path}: {key}: {'; '.join(texts)}" if key else f"{path}: {texts[0]}" for key, texts in faults.items()]


def _key_path(location: tuple[int | str, ...], tables: Mapping[str, Any]) -> str:
    """The part of a fault's location that is in the file; pydantic adds the steps of checking one value."""
    parts: list[str] = []
    value: Any = tables
    for part in location:
        if isinstance(value, Mapping) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            break
        parts.append(str(part))
    return ".".join(parts)
