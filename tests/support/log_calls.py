"""What the code logs: each event with its levels and keys, read from the calls of loggers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import define, field

import pymailsuite

PACKAGE: Final = Path(pymailsuite.__file__).parent
_LEVELS: Final = {"debug", "info", "warn", "error", "critical", "failure"}
_LOGGERS: Final = {"log", "_log", "logger"}
_NAMED_ELSEWHERE: Final = {"failed_event", "delayed_event"}
"""Attributes of classes whose event a class above logs."""
_COMPOSED: Final = {"'relay.' + verdict.state.value": ("delivered", "delayed", "failed")}
"""Events that are put together of two words, and the second ones."""
_NOT_KEYS: Final = {"event", "failure", "log_failure"}
_NOTING: Final = {"Note", "_note", "_end_transaction"}
_FROM_NOTES: Final = {"note.event", "event"}
"""What stands in a call whose event is said where the note is made."""


@define
class LoggedEvent:
    """One event."""

    levels: set[str] = field(factory=set)
    keys: set[str] = field(factory=set)


def logged_events() -> dict[str, LoggedEvent]:
    """All of them, by name. AssertionError for a call whose event cannot be told."""
    events: dict[str, LoggedEvent] = {}
    noted: dict[Path, set[str]] = {}
    shared: dict[Path, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        notes = list(_notes(tree))
        noted.setdefault(path.parent, set()).update(*(names for names, _, _ in notes))
        shared.setdefault(path.parent, set()).update(
            _shared_fields(tree), *(keys for names, _, keys in notes if not names)
        )
        for names, level, keys in (*_calls(tree, path), *notes, *_told(tree), *_attributes(tree)):
            for name in names:
                event = events.setdefault(name, LoggedEvent())
                event.levels.add(level)
                event.keys |= keys - _NOT_KEYS
    for room, names in noted.items():
        for name in names:
            events[name].keys |= shared[room] - _NOT_KEYS
    return events


def _calls(tree: ast.AST, path: Path) -> Iterator[tuple[list[str], str, set[str]]]:
    """Calls of loggers: ``log.info("{event} {count}", event="lists.loaded", count=count)``."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS):
            continue
        if ast.unparse(node.func.value).rpartition(".")[2] not in _LOGGERS:
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if not given and any(keyword.arg is None for keyword in node.keywords):
            continue  # log.warn(text, **told): see _told
        assert "event" in given, f"{path}:{node.lineno} logs without an event"
        yield _names(given["event"], tree), node.func.attr, set(given)


def _names(event: ast.expr, tree: ast.AST) -> list[str]:
    """The events an expression may be."""
    text = ast.unparse(event)
    if text in _COMPOSED:
        return [f"relay.{word}" for word in _COMPOSED[text]]
    if text in _FROM_NOTES or text.rpartition(".")[2] in _NAMED_ELSEWHERE:
        return []
    if isinstance(event, ast.Name):
        # A constant of the module.
        values = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and _target(node) == event.id
        ]
        assert len(values) == 1 and values[0] is not None, f"what is the event {text}?"
        return _names(values[0], tree)
    names = [node.value for node in ast.walk(event) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert names, f"what is the event {text}?"
    return names


def _target(node: ast.AnnAssign) -> str:
    return ast.unparse(node.target)


def _notes(tree: ast.AST) -> Iterator[tuple[list[str], str, set[str]]]:
    """Notes of a session that has no logger: ``Note("pop3.signed_off", {...})``. Without a name: keys that all have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in _NOTING:
            keys = {keyword.arg for keyword in node.keywords if keyword.arg}
            for part in node.args[1:]:
                if isinstance(part, ast.Dict):
                    keys |= {ast.literal_eval(key) for key in part.keys if key is not None}
            event = node.args[0]
            if isinstance(event, ast.Constant) and "." in str(event.value):
                yield [event.value], "failure" if "failure" in keys else "info", keys
            elif isinstance(event, ast.Name):
                yield [], "info", keys


def _dicts(tree: ast.AST) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Dicts that are given a name: that, and what they hold under words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            pairs = zip(node.value.keys, node.value.values, strict=True)
            yield ast.unparse(target), {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}


def _told(tree: ast.AST) -> Iterator[tuple[list[str], str, set[str]]]:
    """``told = {"event": "delivery.step_failed", ...}`` for ``log.warn(text, **told)``."""
    for _, pairs in _dicts(tree):
        event = pairs.get("event")
        if isinstance(event, ast.Constant):
            yield [event.value], "warn", set(pairs)


def _shared_fields(tree: ast.AST) -> set[str]:
    """``fields = {...}``: what all notes of a session have."""
    return {key for name, pairs in _dicts(tree) if name == "fields" for key in pairs}


def _attributes(tree: ast.AST) -> Iterator[tuple[list[str], str, set[str]]]:
    """``failed_event = "store.sweep_failed"`` in a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) in _NAMED_ELSEWHERE:
                yield [node.value.value], "failure", {"reason"}
