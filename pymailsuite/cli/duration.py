"""A time span as an argument of commands."""

from __future__ import annotations

from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from pymailsuite.config.base import Duration


class DurationType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """``30d``, ``12h``, ``90s``, or seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return TypeAdapter[float](Duration).validate_python(value)
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"], param, ctx)
