"""SMTP: the server as a pure core in a thin protocol class, and the core of a client.

``factory.py`` makes connections for a listener; ``receiver.py`` and ``session.py`` are the core; ``client.py`` is the
other side.
"""

from pymailsuite.smtp.factory import SmtpFactory

__all__ = ["SmtpFactory"]
