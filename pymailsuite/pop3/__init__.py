"""POP3, server side: a pure core and a thin protocol class.

RFC 1939 without APOP (which needs plain-text passwords on the server), CAPA (RFC 2449), STLS (RFC 2595), AUTH
(RFC 5034), response codes (RFC 2449, RFC 3206), UTF8 and LANG (RFC 6856).
"""

from pymailsuite.pop3.factory import Pop3Factory
from pymailsuite.pop3.protocol import Pop3Protocol

__all__ = ["Pop3Factory", "Pop3Protocol"]
