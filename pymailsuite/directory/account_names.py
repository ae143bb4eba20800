"""Which account a name stands for, for counts by account: not where its mail goes, which may be another host."""

from __future__ import annotations

from typing import Final

from pymailsuite.directory.names import domain_forms, login_key
from pymailsuite.interfaces import DirectoryRow, IDirectory
from pymailsuite.values import Address

_MOST_STEPS: Final = 4
"""Aliases and details that are followed."""


class AccountNames:
    """Follows an alias that leads to one address, and takes off what stands behind ``detail_separator``."""

    def __init__(self, detail_separator: str, directory: IDirectory) -> None:
        self._separator = detail_separator
        self._directory = directory

    async def key_of(self, name: str) -> str:
        """The :func:`login_key` of the account; ``name``, which is one, if it leads to none. Fails as the store does.

        A catch-all leads nowhere: unknown names do not belong to the account that gets their mail.
        """
        local_part, at, domain = name.rpartition("@")
        for _ in range(_MOST_STEPS if at else 0):
            row = await self._row(local_part, domain)
            if row.account is not None:
                return login_key(row.account.login_name, "")
            base, separator, _ = local_part.partition(self._separator) if self._separator else ("", "", "")
            if len(row.targets) == 1:
                local_part, domain = row.targets[0].local_part.lower(), row.targets[0].domain
            elif not row.targets and base and separator:
                local_part = base
            else:
                break
        return name

    async def _row(self, local_part: str, domain: str) -> DirectoryRow:
        row = DirectoryRow(None)
        for form in domain_forms(domain):
            if row.domain is None:
                row = await self._directory.route(Address(local_part, form))
        return row
