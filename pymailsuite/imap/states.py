"""Where a session stands, and which command is legal there."""

from __future__ import annotations

import enum
from typing import Final

from pymailsuite.imap import values


class State(enum.IntEnum):
    """Where a session stands. Source: RFC 3501 §3. Numbers, which are found in a set without a call of Python."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()
    LOGOUT = enum.auto()


_ANY: Final = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
_BEFORE_LOGIN: Final = frozenset({State.NOT_AUTHENTICATED})
AFTER_LOGIN: Final = frozenset({State.AUTHENTICATED, State.SELECTED})
_SELECTED: Final = frozenset({State.SELECTED})

STATES: Final[dict[type[values.Command], frozenset[State]]] = {
    values.Capability: _ANY,
    values.Noop: _ANY,
    values.Logout: _ANY,
    values.Id: _ANY,
    values.StartTls: _BEFORE_LOGIN,
    values.Authenticate: _BEFORE_LOGIN,
    values.Login: _BEFORE_LOGIN,
    values.Enable: AFTER_LOGIN,
    values.Select: AFTER_LOGIN,
    values.Examine: AFTER_LOGIN,
    values.Create: AFTER_LOGIN,
    values.Delete: AFTER_LOGIN,
    values.Rename: AFTER_LOGIN,
    values.Subscribe: AFTER_LOGIN,
    values.Unsubscribe: AFTER_LOGIN,
    values.List: AFTER_LOGIN,
    values.Lsub: AFTER_LOGIN,
    values.Namespace: AFTER_LOGIN,
    values.Status: AFTER_LOGIN,
    values.Append: AFTER_LOGIN,
    values.Idle: AFTER_LOGIN,
    values.Check: _SELECTED,
    values.Close: _SELECTED,
    values.Unselect: _SELECTED,
    values.Expunge: _SELECTED,
    values.UidExpunge: _SELECTED,
    values.Search: _SELECTED,
    values.Fetch: _SELECTED,
    values.Store: _SELECTED,
    values.Copy: _SELECTED,
    values.Move: _SELECTED,
}
"""Which command is legal in which state. Source: RFC 3501 §6, and for the extensions the RFC of each."""
