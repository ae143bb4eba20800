"""The states of a POP3 session."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Source: RFC 1939 §3; RFC 5034 §4 for LOGIN."""

    AUTHORIZATION = "not logged in"
    LOGIN = "within AUTH"
    TRANSACTION = "maildrop open"
    UPDATE = "after QUIT"
