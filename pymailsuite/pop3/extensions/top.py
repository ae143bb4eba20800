"""TOP: the header of a message and the first lines of its body. Source: RFC 1939 §7."""

from __future__ import annotations

from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.grammar import parse_numbers
from pymailsuite.pop3.requests import ReadMessage
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State


def _top(session: Pop3Session, argument: bytes) -> ReadMessage:
    number, lines = parse_numbers(argument, 2, 2)
    return session.read_message(session.index_of(number), lines)


top = Pop3Extension("top", "TOP", (Command(b"TOP", _top, State.TRANSACTION),), position=10)
