"""SMTPUTF8 (RFC 6531): addresses and headers may be in UTF-8, where MAIL says so."""

from __future__ import annotations

from pymailsuite.smtp.extension import ExtensionContext, Parameter, SmtpExtension
from pymailsuite.smtp.grammar import UnknownParameter


def _take(context: ExtensionContext, value: str) -> bool:
    if value:
        raise UnknownParameter
    return True


smtputf8 = SmtpExtension("smtputf8", "SMTPUTF8", mail_parameters=(Parameter("SMTPUTF8", _take),), position=40)
