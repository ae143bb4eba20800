"""``[directory]``: how recipient addresses are matched."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section


class DirectorySettings(Section):
    """How recipient addresses are matched against domains, accounts and aliases."""

    default_domain: str = ""
    """The domain of an address that names none (``postmaster``). Empty: the first domain by name."""

    postmaster: str = ""
    """The address that takes mail for ``postmaster`` of any of our domains where there is no such account or alias.
    Empty: the domain's catch-all, or else its first account."""

    detail_separator: str = Field(default="+", max_length=1)
    """The character between user and detail: ``alice+lists@...`` reaches ``alice@...``. Empty: no plus-addressing."""

    detail_names_mailbox: bool = False
    """Whether the detail is the mailbox to deliver to. If not, such mail goes to INBOX and Delivered-To keeps the
    detail."""

    own_literals: tuple[str, ...] = ()
    """IP addresses of ours: mail for ``user@[192.0.2.1]`` or ``user@[IPv6:2001:db8::1]`` is taken as for the default
    domain."""

    max_alias_depth: int = Field(default=10, ge=1)
    """How many aliases may lead to one another before it is taken for a loop."""

    max_alias_targets: int = Field(default=1000, ge=1)
    """How many addresses one recipient may lead to, counting aliases on the way."""

    cache_life: Duration = Field(default=5.0, ge=0)
    """How long an answer is remembered. Only addresses that exist are; a delivery checks again. 0: not at all."""

    cache_entries: int = Field(default=10_000, ge=0)
    """How many answers are remembered at most."""
