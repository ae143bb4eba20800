"""``[policy]``, and what the sections of all policies have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from pymailsuite.config.base import Duration, Section
from pymailsuite.config.sections.smtp import Network
from pymailsuite.interfaces.overrides import PolicyAction, RecipientOverrides

__all__ = ["Exempt", "Exemptions", "PluginPolicySection", "PolicyAction", "PolicySection", "PolicySettings"]

Exempt = Literal["authenticated", "trusted"]


class Exemptions(Section):
    """Whose mail is not objected to."""

    exempt_networks: tuple[Network, ...] = ()
    """Clients in these networks are asked about, and what is found is written down, but nothing is held against
    them."""

    exempt_senders: tuple[str, ...] = ()
    """The same for these envelope senders: ``"user@example.com"``, ``"example.com"``, or ``".example.com"`` for all
    names below it. A sender can be forged: prefer networks."""

    exempt_recipients: tuple[str, ...] = ()
    """The same for mail to these recipients, in the same forms. They get messages of their own: who sends to others
    with them is told at RCPT, with 452, to send to the rest separately."""


class PolicySection(Exemptions):
    """What the section of every policy has; each policy's own derives from it and may have other defaults."""

    action: PolicyAction = "reject"
    """What an objection of this policy leads to. ``reject``: what the policy says, 5yz or 4yz. ``tempfail``: always
    4yz. ``score``: the message is taken, and the objection adds to its score. ``log``: it is only written down.
    ``off``: the policy is not asked."""

    score: float = 3.0
    """What an objection adds where the action is ``score``, unless the policy itself says how much."""

    at_once: bool = False
    """Whether an objection to the client, its HELO name or the sender is said at once. Otherwise it is held back until
    RCPT, so that the log tells sender and recipient, and a recipient's own configuration can set it aside."""

    on_failure: Literal["pass", "tempfail"] = "pass"
    """What it counts as if the policy fails, if DNS does not answer, or if it takes longer than its stage has:
    ``pass`` is no opinion, ``tempfail`` lets the client come back."""

    exempt: tuple[Exempt, ...] = ("authenticated", "trusted")
    """Who is not asked about at all: users who logged in (and everybody on the submission ports), clients in trusted
    networks."""


class PluginPolicySection(PolicySection):
    """The section of a policy that came as a plugin: the common options, and any of the plugin's own."""

    model_config = ConfigDict(frozen=True, extra="allow")


class PolicySettings(Exemptions):
    """``[policy]``: the checks of client, sender and message, all together. Each check has a section of its own, named
    as the check, with its ``action``."""

    enabled: bool = True
    """Whether any check is made at all."""

    order: tuple[str, ...] = ()
    """Names of policies whose objection is the one that is told, if several object; those not named come after these
    in the order of their names. All are asked at the same time whatever their order is."""

    budget: Duration = Field(default=10.0, gt=0)
    """How long a client waits for policies before it may send the message: for those of CONNECT, HELO, MAIL, RCPT and
    DATA together, whatever goes wrong. What one stage has used is not there for the next, but each has a second. What
    has not answered then counts as its ``on_failure`` says."""

    message_budget: Duration = Field(default=30.0, gt=0)
    """The same for all stages together, that after the end of the message included."""

    accept_except: tuple[str, ...] = ()
    """Policies whose objections stand even if another policy, such as an allow list, knows the client or the sender to
    be good."""

    tag_score: float = Field(default=5.0, ge=0)
    """From this score on a message gets a field ``X-Policy-Score`` that tells what was found; 0: never."""

    reject_score: float = Field(default=15.0, ge=0)
    """From this score on it is refused with 550 5.7.1; 0: never."""

    authserv_id: str = ""
    """Our name in Authentication-Results (RFC 8601 §2.5); fields of that name that come in from outside are taken out.
    Empty: ``server.hostname``."""

    exempt_roles: bool = True
    """Whether mail to ``postmaster``, ``abuse`` and ``MAILER-DAEMON`` is taken whatever the checks say (RFC 5321
    §4.5.1): who is refused must be able to ask why. What they say is written down, and still moves a message to the
    mailbox for junk. A message that has other recipients too is judged as theirs once its text has come; a client that
    is refused at once (``at_once``) has named nobody yet."""

    help_url: str = ""
    """The address of a page that explains refusals; texts of refusals end in it."""

    recipients: dict[str, RecipientOverrides] = Field(default_factory=dict)
    """What a domain or an account wants otherwise, by ``"example.com"`` or ``"user@example.com"``; the account's goes
    before the domain's. Refusals that are said at once cannot be set aside here. Recipients with different rules get
    messages of their own, see ``exempt_recipients``. Rules in the store (``pymailsuite domain rule``, ``account rule``)
    go before these."""

    plugins: dict[str, PluginPolicySection] = Field(default_factory=dict)
    """Sections of policies that are not ours, by the policy's name."""
