"""Faults that commands on accounts, aliases and domains refuse unless --force is given."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pymailsuite.config.settings import Settings
from pymailsuite.directory.alias_check import AliasCheck, AliasFault
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.tables import LookupTables
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import IMailStore

force_option = click.option("--force", is_flag=True, help="Do it though it does not look right.")


def alias_check(store: IMailStore, settings: Settings, tables: LookupTables | None = None) -> AliasCheck:
    """What looks for faults in this store, and in ``tables`` for addresses that it does not know."""
    roles = RoleAddresses(settings.server.hostname, [settings.dmarc.report_from])
    return AliasCheck(settings.directory, store.directory, roles, tables)


def refuse_faults(faults: Sequence[AliasFault], force: bool) -> None:
    """Refusal for faults, unless all of them may be meant and ``force`` says that they are."""
    wrong = [fault for fault in faults if not (force and fault.may_be_meant)]
    if wrong:
        hint = " (--force does it all the same)" if all(fault.may_be_meant for fault in wrong) else ""
        raise Refusal("; ".join(fault.text for fault in wrong) + hint)
