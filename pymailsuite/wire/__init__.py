"""What the text protocols share: bounded lines, dot-stuffing, and the shell around a pure core."""

from pymailsuite.wire.dots import BareLineEnd, DotDecoder, DotEncoder, dot_stuff, has_bare_line_end
from pymailsuite.wire.lines import LineBuffer, LineTooLong
from pymailsuite.wire.shell import ConnectionLimits, ShellFactory, ShellProtocol, TlsContextFactory

__all__ = [
    "BareLineEnd",
    "ConnectionLimits",
    "DotDecoder",
    "DotEncoder",
    "LineBuffer",
    "LineTooLong",
    "ShellFactory",
    "ShellProtocol",
    "TlsContextFactory",
    "dot_stuff",
    "has_bare_line_end",
]
