"""Moments on the command line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from pymailsuite.config.base import Duration


@implementer(IReactorTime)
class StandingClock:
    """A clock on which it is always ``now`` (POSIX seconds), while the reactor's timers go on."""

    def __init__(self, now: float, reactor: Any) -> None:
        self._now = now
        self._reactor = reactor

    def seconds(self) -> float:
        """The moment."""
        return self._now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        """In ``delay`` seconds of the reactor."""
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """The reactor's."""
        calls: Sequence[IDelayedCall] = self._reactor.getDelayedCalls()
        return calls


class MomentType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A moment: a duration back from now (``2h``, ``3d``) or a date (``2026-11-22``, ``2026-11-22T14:00``, UTC)."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """POSIX seconds."""
        text = str(value).strip()
        if re.match(r"\d{4}-", text):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError as error:
                self.fail(str(error), param, ctx)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        try:
            return time.time() - TypeAdapter(Duration).validate_python(text)
        except ValidationError:
            self.fail(f"{text!r} is neither a duration such as 2h nor a date such as 2026-11-22", param, ctx)
