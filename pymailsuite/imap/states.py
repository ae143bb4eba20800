"""The states of a session. Each command is declared with the states in which it is legal."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """The state of a session. Source: RFC 3501 §3. Numbers, so that set look-ups need no Python call."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()
    LOGOUT = enum.auto()


ANY: Final = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
BEFORE_LOGIN: Final = frozenset({State.NOT_AUTHENTICATED})
AFTER_LOGIN: Final = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECTED: Final = frozenset({State.SELECTED})
