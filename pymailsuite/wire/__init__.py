"""What the text protocols share: bounded lines, dot-stuffing, and the protocol around a pure core."""

from pymailsuite.wire.connection import ConnectionProtocol, TlsContextFactory
from pymailsuite.wire.dot_stuffing import BareLineEnd, DotDecoder, DotEncoder, dot_stuff, has_bare_line_end
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits
from pymailsuite.wire.lines import LineBuffer, LineTooLong

__all__ = [
    "BareLineEnd",
    "ConnectionFactory",
    "ConnectionLimits",
    "ConnectionProtocol",
    "DotDecoder",
    "DotEncoder",
    "LineBuffer",
    "LineTooLong",
    "TlsContextFactory",
    "dot_stuff",
    "has_bare_line_end",
]
