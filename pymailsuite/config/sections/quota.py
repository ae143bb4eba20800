"""Settings of quotas."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from pymailsuite.config.base import Section, Size
from pymailsuite.interfaces.quota import FolderRule, Quota


class QuotaSettings(Section):
    """``[quota]``: how much mail an account may hold, unless its domain or the account itself has a quota of its own
    (``pymailsuite domain quota``, ``pymailsuite account quota``)."""

    storage: Size = Field(default=0, ge=0)
    """Octets of all messages of an account together; 0: any number."""

    messages: int = Field(default=0, ge=0)
    """Messages of an account; 0: any number."""

    mailboxes: int = Field(default=0, ge=0)
    """Mailboxes of an account, levels that only have others below them included; 0: as many as
    ``store.account_mailboxes`` says."""

    folders: dict[str, FolderRule] = Field(default_factory=dict)
    r"""Rules for mailboxes, by special use (``'\Trash'``) or name, in which ``*`` stands for anything and ``%`` for
    anything within a level; a rule goes for what is below such a mailbox too, and the first one that fits counts.
    ``counted = false``: messages there do not count. ``extra = "100 MB"``: by so much the storage limit is higher for
    what is put there, so that a client without MOVE can put messages of a full account into its trash."""

    over_quota: Literal["defer", "reject"] = "defer"
    """The reply to mail for an account that is full, and what becomes of such mail in the queue. ``defer``: 452 4.2.2,
    it is tried again until it expires; ``reject``: 552 5.2.2, its sender is told at once. A message that others can get
    is accepted for them in any case."""

    grace: float = Field(default=10.0, ge=0, le=100)
    """Percent of the storage limit by which the last message that is delivered may pass it: an account that is not full
    yet takes mail of its size. What users add themselves must fit in whole."""

    warn_at: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 95)
    """Percentages of a limit at which the user gets a message in the inbox, once each time that the account passes one.
    Empty: there are no such messages."""

    warn_administrators: bool = False
    """Whether the postmaster of the domain gets a message too each time that an account passes one of ``warn_at``. When
    all accounts of a domain together pass one, the postmaster is told in any case."""

    @property
    def quota(self) -> Quota:
        """The quota of an account that has no other."""
        return Quota(storage=self.storage, messages=self.messages, mailboxes=self.mailboxes, folders=dict(self.folders))


NO_QUOTA_SETTINGS: Final = QuotaSettings()
"""The section where nothing is set."""
