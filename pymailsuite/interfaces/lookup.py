"""Tables that say where mail for an address goes, beside the aliases of the store; found as plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from zope.interface import Attribute, Interface


class ILookupTable(Interface):
    """Values by key. It is asked in the reactor's thread, and must not wait for anything in it."""

    services = Attribute("IServices of its own, which start and stop with the server.")

    def lookup(key: str) -> Sequence[str] | Awaitable[Sequence[str] | None] | None:
        """The values of a key; None or no values: it is not there. A Deferred or a coroutine may answer later.

        Keys are ``local@domain``, and then ``@domain``: in lower case (NFC), the domain in A-labels where it has any,
        the local part in quotes if it must be (RFC 5321 §4.1.2). Values are addresses. Raise whatever keeps the table
        from answering: the sender is then told to try again.
        """


class ILookupTableFactory(Interface):
    """A plugin that declares a kind of table."""

    name = Attribute("The name by which ``[directory] tables`` has it.")

    def make(context: Any) -> ILookupTable:
        """The table, of a :class:`pymailsuite.directory.tables.TableContext`. ConfigError if its argument is wrong."""
