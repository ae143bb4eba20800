"""The states of an SMTP session."""

from __future__ import annotations

import enum


class State(enum.IntEnum):
    """Source: RFC 5321 §4.1.4."""

    START = 0  # before HELO
    READY = 1  # no transaction
    MAIL = 2  # sender known
    RCPT = 3  # recipients known
    TEXT = 4  # reading message text
    LOGIN = 5  # within AUTH
    REFUSING = 6  # greeted with 554
