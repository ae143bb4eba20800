"""Settings of SPF."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymailsuite.config.base import Duration
from pymailsuite.config.sections.policy import PolicySection


class SpfSettings(PolicySection):
    """``[spf]``: whether the sender's domain permits this host (RFC 7208), and what follows from the answer."""

    fail: Literal["reject", "mark"] = "reject"
    """The domain says this host may not send for it. ``reject`` answers 550 5.7.23, with the domain's explanation if it
    has one."""

    permerror: Literal["reject", "mark"] = "mark"
    """The domain's record is broken. ``reject`` answers 550 5.7.24."""

    temperror: Literal["tempfail", "mark"] = "tempfail"
    """A look-up failed. ``tempfail`` answers 451 4.7.24, and the sender tries again."""

    helo: Literal["reject", "mark", "off"] = "reject"
    """The check of the name in HELO or EHLO, made when the sender is known. ``reject`` refuses if that name's domain
    says fail; broken records and failed look-ups of it only count as marks. With the null path ``<>`` it stands for the
    sender's check, and ``fail``, ``permerror`` and ``temperror`` apply."""

    fail_score: float = 5.0
    """Added to a message's score for fail, where that does not refuse it."""

    softfail_score: float = 2.0
    """Added for softfail: the host is probably not permitted."""

    neutral_score: float = 0.0
    """Added for neutral: the domain says nothing about this host."""

    none_score: float = 0.0
    """Added when the domain has no record."""

    permerror_score: float = 1.0
    """Added for a broken record, where that does not refuse the message."""

    received_spf: bool = True
    """Write a Received-SPF field into the message (RFC 7208 §9.1), besides the result in Authentication-Results."""

    explanation: str = "This host is not permitted to send mail for the domain"
    """The text of a refusal when the domain has no explanation of its own (``exp=``)."""

    explanation_max: int = Field(default=300, ge=0, le=480)
    """Characters of a reply, the domain's explanation in it, that are sent at most."""

    look_ups: int = Field(default=10, ge=1)
    """Terms of a domain's records that may ask the DNS; one more is permerror. RFC 7208 §4.6.4 demands 10."""

    void_look_ups: int = Field(default=2, ge=0)
    """Look-ups that may find nothing; one more is permerror. RFC 7208 §4.6.4 recommends 2."""

    remembered: int = Field(default=5_000, ge=0)
    """Results, each of a client and a sender's domain, that are remembered until the first answer of DNS that they rest
    on is too old; 0: none."""

    timeout: Duration = Field(default=20.0, gt=0)
    """How long one evaluation may take in all; then it is temperror. In a server it is never more than
    ``policy.budget`` leaves."""
