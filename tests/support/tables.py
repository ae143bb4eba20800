"""Lookup tables that answer what a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.tables import LookupTable, LookupTables
from pymailsuite.interfaces.lookup import ILookupTable


@implementer(ILookupTable)
class FakeTable(LookupTable):
    """Answers from ``values``; calls what can be called. ``asked`` are the keys."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.asked: list[str] = []

    def lookup(self, key: str) -> Any:
        self.asked.append(key)
        value = self.values.get(key)
        return value() if callable(value) else value


def lookup_tables(clock: Clock, settings: DirectorySettings, **tables: ILookupTable) -> LookupTables:
    """By name, in this order."""
    return LookupTables(settings, tables, clock)
