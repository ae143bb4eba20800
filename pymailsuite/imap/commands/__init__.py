"""What each command does: a module for each family, one function for each command.

A function is given the session and the command, in a state in which the command is legal. It puts untagged replies into
``context.out`` and answers with what follows the tag of the completion (``OK ...``), or with None if the command goes
on; or it raises a :class:`~pymailsuite.errors.MailError`, which becomes NO or BAD.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pymailsuite.imap import values
from pymailsuite.imap.commands import (
    changing,
    connection,
    copying,
    fetching,
    listing,
    mailboxes,
    searching,
    selecting,
)

Run = Callable[[Any, Any], Awaitable[bytes | None]]

RUN: Final[dict[type[values.Command], Run]] = {
    values.Capability: connection.capability,
    values.Noop: selecting.noop,
    values.Logout: connection.logout,
    values.Id: connection.identify,
    values.StartTls: connection.start_tls,
    values.Authenticate: connection.authenticate,
    values.Login: connection.login,
    values.Enable: connection.enable,
    values.Select: selecting.select,
    values.Examine: selecting.examine,
    values.Check: selecting.check,
    values.Close: selecting.close,
    values.Unselect: selecting.unselect,
    values.Idle: selecting.idle,
    values.Create: mailboxes.create,
    values.Delete: mailboxes.delete,
    values.Rename: mailboxes.rename,
    values.Subscribe: mailboxes.subscribe,
    values.Unsubscribe: mailboxes.unsubscribe,
    values.Status: mailboxes.status,
    values.Namespace: listing.namespace,
    values.List: listing.list_mailboxes,
    values.Lsub: listing.list_subscribed,
    values.Search: searching.search,
    values.Fetch: fetching.fetch,
    values.Store: changing.store,
    values.Expunge: changing.expunge,
    values.UidExpunge: changing.uid_expunge,
    values.Copy: copying.copy,
    values.Move: copying.move,
}
"""APPEND alone is not here: its message passes through ``append.Upload``."""
