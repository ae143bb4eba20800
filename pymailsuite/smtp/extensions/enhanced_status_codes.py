"""ENHANCEDSTATUSCODES (RFC 2034): replies have them, for a client that said HELO too."""

from pymailsuite.smtp.extension import SmtpExtension

enhanced_status_codes = SmtpExtension("enhanced_status_codes", "ENHANCEDSTATUSCODES", position=50)
