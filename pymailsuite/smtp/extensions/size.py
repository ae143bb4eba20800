"""SIZE (RFC 1870): the greatest size of a message, and the size that the client declares."""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.errors import MessageTooBig
from pymailsuite.smtp.extension import ExtensionContext, Parameter, SmtpExtension
from pymailsuite.smtp.grammar import ArgumentRefused

# size-value = 1*20DIGIT
_SIZE: Final = re.compile(r"[0-9]{1,20}")


def _take(context: ExtensionContext, value: str) -> int:
    if _SIZE.fullmatch(value) is None:
        raise ArgumentRefused("Malformed SIZE")
    declared = int(value)
    if declared > context.settings.message_size:
        raise MessageTooBig
    return declared


size = SmtpExtension(
    "size",
    lambda context: f"SIZE {context.settings.message_size}",
    mail_parameters=(Parameter("SIZE", _take),),
    position=20,
)
