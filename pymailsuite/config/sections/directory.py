"""``[directory]``: how recipient addresses are matched."""

from __future__ import annotations

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, Section


def _address(text: str) -> str:
    """The text, if it has the form of an address. ValueError."""
    local_part, _, domain = text.rpartition("@")
    if not (local_part and domain):
        raise ValueError(f"not an address: {text!r}")
    return text


class DirectorySettings(Section):
    """How recipient addresses are matched against domains, accounts and aliases."""

    default_domain: str = ""
    """The domain of an address that names none (``postmaster``). Empty: the first domain by name."""

    postmaster: str = ""
    """The address that takes mail for the roles ``postmaster``, ``abuse`` and ``MAILER-DAEMON`` (the author of our
    reports) of any of our domains, and of ``server.hostname``, where there is no such account or alias. Empty, or if it
    leads nowhere: the ``administrators``, or else the domain's catch-all, or else its first account."""

    administrators: tuple[str, ...] = ()
    """The addresses of the administrators of this server: each gets mail for roles, unless there is a
    ``postmaster``."""

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

    tables: tuple[str, ...] = ()
    """Lookup tables that are asked in this order where mail goes for an address of our domains that is neither alias
    nor account in the store: ``["text:/etc/mail/aliases", "mytable:argument"]``, the kind of table and behind a colon
    its argument, which the log shows. Roles without an account and the catch-all come after them."""

    table_timeout: Duration = Field(default=10.0, gt=0)
    """How long a table may take for an answer; then, as with any failure of a table, the sender is told to try
    again."""

    table_cache_life: Duration = Field(default=10.0, ge=0)
    """How long an answer of a table is remembered, also that it does not know an address. 0: not at all."""

    table_cache_entries: int = Field(default=10_000, ge=0)
    """How many answers of tables, and addresses in them, are remembered at most."""

    table_reload: Duration = Field(default=5.0, gt=0)
    """How often ``text`` tables look whether their file has changed."""

    @field_validator("postmaster")
    @classmethod
    def _is_address(cls, text: str) -> str:
        return _address(text) if text else text

    @field_validator("administrators")
    @classmethod
    def _are_addresses(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_address, texts))
