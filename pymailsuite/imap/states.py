"""Where a session stands. Each command is declared with the states in which it is legal."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """Where a session stands. Source: RFC 3501 §3. Numbers, which are found in a set without a call of Python."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()
    LOGOUT = enum.auto()


ANY: Final = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
BEFORE_LOGIN: Final = frozenset({State.NOT_AUTHENTICATED})
AFTER_LOGIN: Final = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECTED: Final = frozenset({State.SELECTED})
