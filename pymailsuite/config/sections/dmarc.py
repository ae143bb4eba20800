"""``[dmarc]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pymailsuite.config.base import Duration, Network, Size
from pymailsuite.config.sections.dkim import field_names
from pymailsuite.config.sections.policy import PolicySection

WhatToDo = Literal["reject", "tag", "pass"]


class DmarcSettings(PolicySection):
    """``[dmarc]``: what the domains of authors publish about mail that is not from them (RFC 7489, RFC 9989), and
    reports to those who ask for them (RFC 9990)."""

    organizational: Literal["tree_walk", "psl"] = "tree_walk"
    """How domains of one organization are found: ``tree_walk``, records on the way up the DNS tree (RFC 9989); or
    ``psl``, the list of public suffixes that comes with the release, as RFC 7489 had it. They differ where a domain has
    a record and the registered domain above it has none."""

    honour_pct: bool = False
    """Whether a record's ``pct`` is heeded, with which owners used to introduce a policy step by step under RFC 7489.
    RFC 9989 knows it no more: ``t=y`` took its place, which is always heeded."""

    several_authors: WhatToDo = "reject"
    """What to do with mail that has several From fields, or one that names no proper domain or can be read in more than
    one way (``<a@one.example> <b@other.example>``): its author is not certain, and a program may show another author
    than the one that was checked."""

    no_author: WhatToDo = "tag"
    """What to do with mail that has no From field, or one without an address."""

    quarantine: Literal["junk", "tag", "reject"] = "junk"
    """What ``p=quarantine`` leads to: the message goes into the mailbox for junk of its recipient, if there is one; it
    is only marked in Authentication-Results; or it is refused."""

    overrides: dict[str, Literal["none", "quarantine", "reject"]] = {}
    """The treatment of failing mail of an author domain, and of those below it, in place of what it publishes:
    ``{"example.com" = "none"}``. Reports call it ``local_policy``."""

    trusted_forwarders: tuple[Network, ...] = ()
    """Networks of hosts that forward mail to us for our own users. Their mail passes whatever the policy says; this is
    recorded and reported."""

    trusted_sealers: tuple[str, ...] = ()
    """Domains whose ARC seals (RFC 8617) are believed: mail that failed because one of them changed or forwarded it
    passes if the sealer says it passed there. ``"example.org"`` stands for the domains below it too."""

    mailing_lists: tuple[str, ...] = ()
    """Domains of hosts of mailing lists: mail for which SPF or DKIM has passed with one of these, or a domain below,
    passes whatever the author's domain says."""

    remembered: int = Field(default=5_000, ge=0)
    """Results, each of an author's domain and the domains for which SPF and DKIM have passed, that are remembered until
    the first answer of DNS that they rest on is too old; 0: none."""

    bimi: bool = False
    """Look up the BIMI record of authors whose mail passes under an enforced policy, and tell of it in
    Authentication-Results. No picture is ever fetched."""

    reports: bool = False
    """Collect results, and send aggregate reports once a day to the domains that ask for them. Needs
    ``report_from``."""

    report_from: str = ""
    """The address reports are sent from: ``"dmarc-reports@example.org"``. Its mail should be read."""

    report_organization: str = ""
    """The name of the organization that reports, as receivers see it. Empty: ``server.hostname``."""

    report_contact: str = ""
    """Further contact information for readers of reports, such as the address of a page."""

    report_size_max: Size = Field(default=10_000_000, gt=0)
    """A compressed report that is larger is not sent; nor is one larger than the receiver says it takes."""

    report_rows_max: int = Field(default=20_000, ge=1)
    """Rows of one report at most: different sources and results of one domain and day. What exceeds them is left
    out."""

    report_interval: Duration = Field(default=600.0, gt=0)
    """How often it is looked whether reports of a day that is over wait to be sent."""

    failure_reports: bool = False
    """Tell domains that ask for it (``ruf``) of single messages in their name that failed (RFC 9991): where each came
    from, what was found, and ``failure_report_fields``. The owner of a domain learns of mail to your users by this; ask
    for legal advice. Needs ``report_from``."""

    failure_report_fields: tuple[str, ...] = (
        *("from", "sender", "date", "message-id", "subject", "mime-version", "content-type", "list-id"),
        "dkim-signature",
    )
    """Fields of such a message's header that are shown; nothing else of it is."""

    failure_reports_per_hour: int = Field(default=10, ge=1)
    """Failure reports to one domain in an hour at most; no more of them wait. Messages that failed in the same way are
    one report."""

    failure_reports_in_all: int = Field(default=500, ge=1)
    """Failure reports in an hour to all domains together; no more of them wait."""

    failure_report_interval: Duration = Field(default=300.0, gt=0)
    """How long like messages are gathered for a failure report, at most."""

    @field_validator("failure_report_fields")
    @classmethod
    def _are_field_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return field_names(names)

    @field_validator("report_from")
    @classmethod
    def _is_address(cls, report_from: str) -> str:
        local_part, at, domain = report_from.rpartition("@")
        if report_from and not (local_part and at and domain):
            raise ValueError("expected an address, name@domain")
        return report_from

    @field_validator("overrides")
    @classmethod
    def _in_lower_case(cls, overrides: dict[str, str]) -> dict[str, str]:
        return {domain.lower().rstrip("."): disposition for domain, disposition in overrides.items()}

    @model_validator(mode="after")
    def _can_report(self) -> DmarcSettings:
        if (self.reports or self.failure_reports) and not self.report_from:
            raise ValueError("reports need report_from")
        return self
