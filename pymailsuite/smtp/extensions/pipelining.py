"""PIPELINING (RFC 2920): commands need not wait for replies. The session takes them one by one in any case."""

from pymailsuite.smtp.extension import SmtpExtension

pipelining = SmtpExtension("pipelining", "PIPELINING", position=10)
