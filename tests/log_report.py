"""The page "Events of the log", from the vocabulary and what the code logs."""

from __future__ import annotations

from itertools import groupby

from pymailsuite.server.log_vocabulary import EVENTS, KEYS
from tests.support.log_calls import LoggedEvent, logged_events

_HEAD = """\
Events of the log
=================

.. contents::
   :local:
   :depth: 1

A line of the log is one event: its name, and what it is about. With ``[log] format = "json"`` every key is a member of
an object. This page is made from the code: it has every event and every key that there is. "failure" is a defect or
something unexpected, with a traceback.
"""
_TABLE = """
.. list-table::
   :header-rows: 1
   :widths: {widths}

"""


def _row(*cells: str) -> str:
    first, *rest = cells
    return f"   * - {first}\n" + "".join(f"     - {cell}\n" for cell in rest)


def _title(text: str) -> str:
    return f"\n{text}\n{'-' * len(text)}\n"


def _event(name: str, logged: LoggedEvent) -> str:
    keys = ", ".join(f"``{key}``" for key in sorted(logged.keys))
    return _row(f"``{name}``", ", ".join(sorted(logged.levels)), EVENTS[name], keys or "none")


def report() -> str:
    """The page's text."""
    logged = logged_events()
    parts = [_HEAD]
    for room, names in groupby(EVENTS, lambda name: name.partition(".")[0]):
        parts += [_title(room), _TABLE.format(widths="28 12 40 20"), _row("Event", "Level", "Meaning", "Keys")]
        parts += [_event(name, logged[name]) for name in names]
    parts += [_title("Keys"), _TABLE.format(widths="20 80"), _row("Key", "Meaning")]
    parts += [_row(f"``{key}``", text) for key, text in KEYS.items()]
    return "".join(parts)
