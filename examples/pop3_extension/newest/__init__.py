"""XNEWEST: the message that came last, for devices that show one and keep none."""

from pymailsuite.errors import NoSuchEntry
from pymailsuite.pop3.extension import Command, Pop3Extension
from pymailsuite.pop3.grammar import no_argument
from pymailsuite.pop3.states import State


def newest(session, argument):
    no_argument(argument)
    if not session.listing.uids:
        raise NoSuchEntry("maildrop is empty")
    return session.read_message(session.index_of(len(session.listing.uids)), None)


extension = Pop3Extension("newest", "XNEWEST", (Command(b"XNEWEST", newest, State.TRANSACTION),))
