"""The words of the log are declared, every one, and none that nobody logs."""

from __future__ import annotations

import re

from pymailsuite.server.log_vocabulary import EVENTS, KEYS
from tests.support.log_calls import logged_events

LOGGED = logged_events()
NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


def test_every_event_is_declared_and_logged() -> None:
    assert sorted(LOGGED) == sorted(EVENTS)


def test_every_key_is_declared_and_used() -> None:
    used = {key for event in LOGGED.values() for key in event.keys}
    assert sorted(used - set(KEYS)) == []
    assert sorted(set(KEYS) - used) == []


def test_names_are_of_one_form_and_texts_are_sentences() -> None:
    assert [name for name in EVENTS if not NAME.fullmatch(name)] == []
    assert [
        name
        for name, text in {**EVENTS, **KEYS}.items()
        if not (text[0].isupper() or text.startswith(("smtp", "``"))) or text[-1] != "."
    ] == []


def test_they_are_kept_in_order() -> None:
    assert list(EVENTS) == sorted(EVENTS)
    assert list(KEYS) == sorted(KEYS)
