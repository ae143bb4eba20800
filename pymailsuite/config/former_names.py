"""Names that sections and policies had in earlier releases: still read, and an operator is told the ones of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pymailsuite.interfaces.overrides import FORMER_POLICIES

FORMER_SECTIONS: Final = {"call_forward": "sender_callout", "own_dns": "dns_setup", "upkeep": "maintenance"}
"""The names of today by those of earlier releases."""


def renamed(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a file under the names of today. ValueError if a section is there under both of its names."""
    result: dict[str, Any] = {}
    for name, table in tables.items():
        new = FORMER_SECTIONS.get(name, name)
        if new != name and new in tables:
            raise ValueError(f"{name}: is called {new} now, which is there too")
        result[new] = _with_policies_renamed(table) if new == "policy" and isinstance(table, Mapping) else table
    return result


def former_sections(tables: Mapping[str, Any]) -> Iterator[str]:
    """A line for each section that goes by a former name."""
    for name in tables:
        if name in FORMER_SECTIONS:
            yield f"[{name}] is called [{FORMER_SECTIONS[name]}] now"


def _with_policies_renamed(table: Mapping[str, Any]) -> dict[str, Any]:
    """``[policy]``, its lists of policies under the names of today."""
    lists = {key: table[key] for key in ("order", "accept_except") if isinstance(table.get(key), list)}
    return {**table, **{key: [FORMER_POLICIES.get(name, name) for name in names] for key, names in lists.items()}}
