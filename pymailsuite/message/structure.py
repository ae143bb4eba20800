"""What the scan of a message leaves behind, in the form it is stored and sent."""

from attrs import frozen

from pymailsuite.message.parts import Part, PartTable, decode_parts, encode_parts

__all__ = ["MessageStructure", "Part", "PartTable", "decode_parts", "encode_parts"]


@frozen
class MessageStructure:
    """Everything derived from a message's octets that a reader asks for again and again.

    ``header_size`` counts the header with its empty line. ``envelope``, ``body`` and ``bodystructure`` are in wire
    form (RFC 3501 §7.4.2), parentheses included, ready to be sent. ``parts`` is the table of part offsets, in a form
    that only this room reads (:func:`decode_parts`).
    """

    header_size: int
    envelope: bytes
    body: bytes
    bodystructure: bytes
    parts: bytes
