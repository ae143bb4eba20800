"""Settings of greylisting, and of whom our users have written to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymailsuite.config.base import Duration
from pymailsuite.config.sections.policy import Exempt, PolicyAction, PolicySection

Suspicion = Literal["no_name", "dynamic_name", "no_spf_pass", "score"]
Pool = Literal["spf", "rdns"]
SenderForm = Literal["srs", "batv", "tags", "verp"]


class GreylistSettings(PolicySection):
    """``[greylist]``: a client, a sender and a recipient that were never seen together are asked to come back later,
    which mail servers do and most spam programs do not. Off until ``action = "reject"`` (or ``"log"``, to see which
    clients it would affect)."""

    action: PolicyAction = "off"
    """``reject`` and ``tempfail`` ask to come back (451), ``log`` only remembers and writes down, ``off``."""

    when: Literal["suspicious", "always"] = "suspicious"
    """Which clients have to come back: those with one of the ``suspicions``, or all."""

    suspicions: tuple[Suspicion, ...] = ("no_name", "dynamic_name", "no_spf_pass", "score")
    """Signs of a suspicious client: ``no_name``, reverse DNS that is missing or not confirmed (``[iprev]``);
    ``dynamic_name``, a name as of a private line (``[dynamic_names]``); ``no_spf_pass``, a sender's domain that does
    not vouch for the client (``[spf]``); ``score``, other checks that count against it. A check that is off has no
    suspicion."""

    suspicious_score: float = 1.0
    """From which score on the other checks make a client suspicious."""

    at: Literal["rcpt", "data"] = "rcpt"
    """When the reply is given: to each RCPT, or to DATA, for all recipients together. To the null sender it is always
    given to DATA: hosts that only ask whether an address exists (call-outs) are not disturbed."""

    delay: Duration = Field(default=120.0, ge=0)
    """How long a client has to wait at least; one that comes back earlier is told the remaining time."""

    retry_window: Duration = Field(default=2 * 86400.0, gt=0)
    """Until when a client must have come back; later it is new again."""

    keep: Duration = Field(default=36 * 86400.0, gt=0)
    """How long it is remembered that a client came back, after the last mail of the same client, sender and
    recipient."""

    auto_allow_after: int = Field(default=5, ge=0)
    """After so many different senders and recipients for whom a client has come back it is asked no more; 0: never."""

    auto_allow_keep: Duration = Field(default=36 * 86400.0, gt=0)
    """How long that is remembered after its last mail."""

    waiting_per_client: int = Field(default=1000, ge=1)
    """Triplets of one client that are remembered while they have not come back; further ones have to come back and are
    not remembered."""

    ipv4_prefix: int = Field(default=24, ge=8, le=32)
    """The network that stands for an IPv4 client."""

    ipv6_prefix: int = Field(default=64, ge=16, le=128)
    """The network that stands for an IPv6 client."""

    pools: tuple[Pool, ...] = ("spf", "rdns")
    """What stands for a client in place of its network, so that large senders may come back from another of their
    addresses: ``spf``, the sender's domain if SPF has passed; ``rdns``, the registered domain of a name that reverse
    and forward DNS agree about, unless it looks dynamic."""

    sender_forms: tuple[SenderForm, ...] = ("srs", "batv", "tags", "verp")
    """Which parts of a sender that change with every message are left out when senders are compared: the hash and time
    of ``SRS0=`` and ``SRS1=``; ``prvs=`` and other tags of BATV; ``+tag``; numbers and digests, as mailing lists
    use."""

    known_correspondents: bool = True
    """Whether a sender that the recipient has written to is accepted at once (see ``[correspondents]``)."""


class CorrespondentSettings(PolicySection):
    """``[correspondents]``: remembers the addresses that users who logged in have written to, so that greylisting does
    not delay the answers. Digests of the pairs of addresses are stored: they allow to check a guess, but not to read an
    address. Nothing is kept while ``[greylist]`` is off or does not want it."""

    action: PolicyAction = "log"
    """``off`` keeps nothing; everything else is the same."""

    keep: Duration = Field(default=365 * 86400.0, gt=0)
    """How long, after the last message to that address."""

    recipients_max: int = Field(default=50, ge=1)
    """Messages to more recipients than this are no correspondence."""

    exempt: tuple[Exempt, ...] = ()
    """Users whose recipients are not remembered: see ``[helo]``."""
