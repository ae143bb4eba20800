"""UIDL: names of messages that outlive the session. Source: RFC 1939 §7."""

from __future__ import annotations

from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.grammar import parse_numbers
from pymailsuite.pop3.replies import ok
from pymailsuite.pop3.session import Pop3Session
from pymailsuite.pop3.states import State


def _uidl(session: Pop3Session, argument: bytes) -> None:
    numbers = parse_numbers(argument, 0, 1)
    if numbers:
        listing = session.listing
        uid = listing.uids[session.index_of(numbers[0])]
        session.good(ok(f"{numbers[0]} {listing.uid_validity}.{uid}"))
    else:
        session.good(session.listing_of(b"UIDL"))


uidl = Pop3Extension("uidl", "UIDL", (Command(b"UIDL", _uidl, State.TRANSACTION),), position=20)
