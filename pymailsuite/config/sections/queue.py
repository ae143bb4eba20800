"""Settings of the queue: when to try again, when to give up, whom to tell."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size


class QueueSettings(Section):
    """``[queue]``: messages that still have somewhere to go."""

    retry_first: Duration = Field(default=300.0, gt=0)
    """How long after a failed first attempt to try again."""

    retry_factor: float = Field(default=2.0, ge=1)
    """By how much each further wait is longer than the one before."""

    retry_max: Duration = Field(default=3600.0, gt=0)
    """The longest wait between two attempts."""

    retry_jitter: float = Field(default=0.2, ge=0, lt=1)
    """Each wait is longer or shorter at random by up to this part of it, so that messages delayed together do not come
    back together."""

    expire: Duration = Field(default=432_000.0, gt=0)
    """How long after its acceptance a message is given up and its sender told: 5 days (RFC 5321 §4.5.4.1)."""

    expire_reports: Duration = Field(default=86_400.0, gt=0)
    """The same for messages with the null reverse-path (reports): there is no report for those."""

    warn_after: Duration = Field(default=14_400.0, ge=0)
    """How long after its acceptance a sender is told, once, that a message is delayed; 0: never."""

    return_size: Size = Field(default=64 * 1024, ge=0, le=256 * 1024)
    """How much of a message a report about it returns; more is cut off, but never the header."""

    concurrency: int = Field(default=500, ge=1)
    """Messages under way at a time."""

    claim_batch: int = Field(default=100, ge=1)
    """Messages taken from the store at a time."""

    lease: Duration = Field(default=30.0, gt=0)
    """How long messages under way stay ours without a sign of life, of which there are three in this time. When a node
    dies, others take its messages over after this; when it is started again on the same data folder, it takes them back
    at once."""

    poll: Duration = Field(default=1.0, gt=0)
    """How often to look for due messages without a notice: changes by another process (such as ``pymailsuite queue
    flush``) are found after this. One cheap query each time."""
