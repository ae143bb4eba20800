"""Settings of what is sent on for others, and of the return paths that mail leaves with."""

from __future__ import annotations

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, Section
from pymailsuite.config.sections.policy import PolicyAction, PolicySection
from pymailsuite.config.sections.server import domain_name

DAY_S = 86_400.0


class ForwardingSettings(Section):
    """``[forwarding]``: mail from outside to an alias of ours that leads to an address elsewhere."""

    srs: bool = True
    """Whether such mail leaves with a return path of ours (SRS), so that it passes SPF where it goes. Bounces come back
    here and are sent on to the sender. Off: it leaves with the sender's own, for which we are not allowed to send."""

    srs_domain: str = ""
    """The domain of these return paths, one of ours whose MX we are. Empty: that of the alias."""

    srs_life: Duration = Field(default=21 * DAY_S, ge=DAY_S, le=900 * DAY_S)
    """How long bounces to such a return path are taken; in whole days."""

    unchanged_for: tuple[str, ...] = ()
    """Aliases whose mail is sent on with the sender's own return path and without a seal: ``"user@example.com"``,
    ``"example.com"``, or ``".example.com"`` for all names below it."""

    @field_validator("srs_domain")
    @classmethod
    def _is_domain(cls, domain: str) -> str:
        return domain_name(domain) if domain else ""


class BounceTagSettings(PolicySection):
    """``[bounce_tags]``: return paths of our own mail that only we can make (BATV, ``prvs=``), which distinguish
    bounces of mail that we have sent from bounces of mail that others have forged in our name."""

    domains: tuple[str, ...] = ()
    """Domains of ours whose senders' mail leaves with tagged return paths, if users who logged in or trusted clients
    hand it in; empty: none. All outgoing mail of these domains must leave through here."""

    action: PolicyAction = "log"
    """The effect of a bounce without a tag to these domains, see ``[helo]``. Tag for ``life`` before you set this to
    ``reject``: until then there are bounces of mail that left without. Some automatic answers come as bounces do; see
    ``exempt_recipients``."""

    life: Duration = Field(default=7 * DAY_S, ge=DAY_S, le=900 * DAY_S)
    """How long a tag is good for, in whole days: longer than others keep mail in their queues."""

    @field_validator("domains")
    @classmethod
    def _are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(domain_name, domains))
