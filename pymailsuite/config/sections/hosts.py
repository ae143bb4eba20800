"""The checks of the client's name and address, and of the envelope's sender."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration
from pymailsuite.config.sections.policy import PolicyAction, PolicySection

HeloForm = Literal["localhost", "unqualified", "bare_address", "own_name"]


class HeloSettings(PolicySection):
    """``[helo]``: the form of the name by which a client introduces itself. With the actions ``score`` and ``log`` the
    reply stays 250 and tells what should be otherwise. A client that may still log in is refused at RCPT only."""

    at_once: bool = True
    """Whether the reply to HELO is the refusal; otherwise it is held back until RCPT."""

    refuse: tuple[HeloForm, ...] = ("localhost", "unqualified", "bare_address", "own_name")
    """The names to object to: ``localhost``; a name without a dot; an address that is not in brackets, as
    ``[192.0.2.1]`` is; and this server's own name, or one of its domains, used by another host."""


class SenderDomainSettings(PolicySection):
    """``[sender_domain]``: whether mail can be sent back to the envelope's sender. The null sender of bounces is not
    asked about."""

    at_once: bool = True
    """Whether the reply to MAIL is the refusal; otherwise it is held back until RCPT."""

    allow_address_literals: bool = False
    """Whether a sender at an address literal is taken: ``user@[192.0.2.1]``. One at a bare address never is."""

    allow_null_mx: bool = False
    """Whether a sender is accepted whose domain says that it accepts no mail (RFC 7505)."""


class IprevSettings(PolicySection):
    """``[iprev]``: whether the client's address has a name in DNS that has the address too (RFC 8601 §3). The result
    stands in Authentication-Results."""

    action: PolicyAction = "score"
    """What an objection leads to, see ``[helo]``. Small but honest hosts without reverse DNS are not rare."""

    score: float = 2.0
    """What an objection adds where the action is ``score``."""


class DynamicNamesSettings(PolicySection):
    """``[dynamic_names]``: names in reverse DNS as providers give them to lines of private customers, from which no
    mail server speaks."""

    action: PolicyAction = "score"
    """What an objection leads to, see ``[helo]``."""

    score: float = 3.0
    """What an objection adds where the action is ``score``."""

    words: tuple[str, ...] = (
        *("adsl", "broadband", "cable", "catv", "client", "customer", "dhcp", "dial", "dialin", "dialup", "dsl"),
        *("dyn", "dynamic", "dynip", "fttb", "ftth", "home", "mobile", "pool", "pools", "ppp", "pppoe", "vdsl", "wlan"),
    )
    """Words that make a name look dynamic, as a whole label or a part of one between hyphens and digits."""

    patterns: tuple[str, ...] = ()
    """Further regular expressions; a name that one of them is found in looks dynamic."""

    static_words: tuple[str, ...] = ("static", "mail", "mx", "smtp", "relay", "server", "vps", "dedicated")
    """Words that speak for a server: a name with one of them does not look dynamic, unless ``patterns`` say so."""

    without_name: bool = False
    """Whether a client without any name is objected to here too; ``[iprev]`` does that already."""

    @field_validator("patterns")
    @classmethod
    def _are_expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None
        return patterns


class EarlyTalkersSettings(PolicySection):
    """``[early_talkers]``: clients that speak before they are greeted, which RFC 5321 §4.3.1 forbids and spam programs
    do."""

    at_once: bool = True
    """Whether the reply to HELO is the refusal; otherwise it is held back until RCPT."""

    greet_delay: Duration = Field(default=0.0, ge=0)
    """How long the greeting is held back to see whether the client can wait; 0 switches the check off. Hosts that are
    exempt are greeted without it."""


class ClientRatesSettings(PolicySection):
    """``[client_rates]``: how often one address (IPv6: one /64) may connect, and be refused something for good, on all
    nodes and processes together; a client that does so more often is greeted with 421. ``[smtp]
    connections_per_minute`` is cheaper, and counts in one process. This host's own addresses are not counted."""

    action: PolicyAction = "off"
    """``reject`` refuses connections, ``log`` only writes down which would be, ``off``."""

    at_once: bool = True
    """Whether the greeting is the refusal; otherwise it is held back until RCPT."""

    window: Duration = Field(default=600.0, gt=0)
    """The time in which is counted. It begins with the first that is counted, and then everything begins anew."""

    connections: int = Field(default=0, ge=0)
    """Connections within that time; 0: any number. Counting them costs a write for each."""

    errors: int = Field(default=100, ge=0)
    """Commands, recipients and messages refused for good within that time; 0: any number. Counted when a connection
    has ended."""

    tarpit: Duration = Field(default=0.0, ge=0)
    """How long the refusal is held back; never longer than most of ``[policy] budget``."""
