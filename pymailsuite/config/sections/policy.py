"""``[policy]``, and what the sections of all policies have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from pymailsuite.config.base import Duration, Network, Section
from pymailsuite.interfaces.overrides import PolicyAction, RecipientOverrides

__all__ = ["Exempt", "Exemptions", "PluginPolicySection", "PolicyAction", "PolicySection", "PolicySettings"]

Exempt = Literal["authenticated", "trusted"]


class Exemptions(Section):
    """Whose mail is not objected to."""

    exempt_networks: tuple[Network, ...] = ()
    """Clients in these networks are checked, and the results are recorded, but have no effect."""

    exempt_senders: tuple[str, ...] = ()
    """The same for these envelope senders: ``"user@example.com"``, ``"example.com"``, or ``".example.com"`` for all
    names below it. A sender can be forged: prefer networks."""

    exempt_recipients: tuple[str, ...] = ()
    """The same for mail to these recipients, in the same forms. They get messages of their own: a client that names
    other recipients with them gets 452 at RCPT, and sends to the rest separately."""


class PolicySection(Exemptions):
    """What the section of every policy has; each policy's own derives from it and may have other defaults."""

    action: PolicyAction = "reject"
    """The effect of an objection of this policy. ``reject``: the reply of the policy, 5yz or 4yz. ``tempfail``: always
    4yz. ``score``: the message is accepted, and the objection adds to its score. ``log``: it is only recorded. ``off``:
    the policy does not run."""

    score: float = 3.0
    """The score that an objection adds where the action is ``score``, unless the policy itself has one."""

    at_once: bool = False
    """Whether an objection to the client, its HELO name or the sender is said at once. Otherwise it is held back until
    RCPT, so that the log tells sender and recipient, and a recipient's own configuration can set it aside."""

    on_failure: Literal["pass", "tempfail"] = "pass"
    """The effect if the policy fails, if DNS does not answer, or if it takes longer than its stage has: ``pass`` is no
    opinion, ``tempfail`` lets the client come back."""

    exempt: tuple[Exempt, ...] = ("authenticated", "trusted")
    """Clients that are not checked at all: users who logged in (and all clients on the submission ports), clients in
    trusted networks."""


class PluginPolicySection(PolicySection):
    """The section of a policy that came as a plugin: the common options, and any of the plugin's own."""

    model_config = ConfigDict(frozen=True, extra="allow")


class PolicySettings(Exemptions):
    """``[policy]``: the checks of client, sender and message, all together. Each check has a section of its own, named
    as the check, with its ``action``."""

    enabled: bool = True
    """Whether any check is made at all."""

    order: tuple[str, ...] = ()
    """Names of policies in the order in which their objections are chosen for the reply, if several object; policies
    not named come after these in the order of their names. All run at the same time whatever their order is."""

    budget: Duration = Field(default=10.0, gt=0)
    """How long a client waits for policies before it may send the message: for those of CONNECT, HELO, MAIL, RCPT and
    DATA together, whatever goes wrong. The time used by one stage is missing for the next, but each has a second. A
    policy without an answer by then has the effect of its ``on_failure``."""

    message_budget: Duration = Field(default=30.0, gt=0)
    """The same for all stages together, that after the end of the message included."""

    accept_except: tuple[str, ...] = ()
    """Policies whose objections stand even if another policy, such as an allow list, knows the client or the sender to
    be good."""

    tag_score: float = Field(default=5.0, ge=0)
    """From this score on a message gets a field ``X-Policy-Score`` with the score and the policies; 0: never."""

    reject_score: float = Field(default=15.0, ge=0)
    """From this score on it is refused with 550 5.7.1; 0: never."""

    authserv_id: str = ""
    """Our name in Authentication-Results (RFC 8601 §2.5); fields of that name that come in from outside are taken out.
    Empty: ``server.hostname``."""

    exempt_roles: bool = True
    """Whether mail to ``postmaster``, ``abuse`` and ``MAILER-DAEMON`` is accepted whatever the checks say (RFC 5321
    §4.5.1): senders of refused mail must be able to ask for the reason. The results are recorded, and still move a
    message to the mailbox for junk. For a message with other recipients too, the decision after its text is the one for
    them; a client that is refused at once (``at_once``) has named no recipient yet."""

    help_url: str = ""
    """The address of a page that explains refusals; texts of refusals end in it."""

    recipients: dict[str, RecipientOverrides] = Field(default_factory=dict)
    """The rules of a domain or an account, by ``"example.com"`` or ``"user@example.com"``; the rules of the account
    have precedence. Refusals with ``at_once`` cannot be set aside here. Recipients with different rules get messages of
    their own, see ``exempt_recipients``. Rules in the store (``pymailsuite domain rule``, ``account rule``) have
    precedence over these."""

    plugins: dict[str, PluginPolicySection] = Field(default_factory=dict)
    """Sections of policies that are not ours, by the policy's name."""
