"""The extensions of SMTP."""

from pymailsuite.smtp.extensions.auth import auth
from pymailsuite.smtp.extensions.dsn import dsn
from pymailsuite.smtp.extensions.eight_bit_mime import eight_bit_mime
from pymailsuite.smtp.extensions.enhanced_status_codes import enhanced_status_codes
from pymailsuite.smtp.extensions.help import help_command
from pymailsuite.smtp.extensions.pipelining import pipelining
from pymailsuite.smtp.extensions.size import size
from pymailsuite.smtp.extensions.smtputf8 import smtputf8
from pymailsuite.smtp.extensions.starttls import starttls

__all__ = [
    "auth",
    "dsn",
    "eight_bit_mime",
    "enhanced_status_codes",
    "help_command",
    "pipelining",
    "size",
    "smtputf8",
    "starttls",
]
