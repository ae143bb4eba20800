"""8BITMIME (RFC 6152): text may have octets above 127, and BODY says whether it has."""

from __future__ import annotations

from pymailsuite.smtp.extension import ExtensionContext, Parameter, SmtpExtension
from pymailsuite.smtp.grammar import ArgumentRefused
from pymailsuite.values import BodyType


def _take(context: ExtensionContext, value: str) -> BodyType:
    try:
        return BodyType(value.upper())
    except ValueError:
        raise ArgumentRefused("Unknown value of BODY") from None


eight_bit_mime = SmtpExtension("8bitmime", "8BITMIME", mail_parameters=(Parameter("BODY", _take),), position=30)
