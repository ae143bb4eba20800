"""BODY and BODYSTRUCTURE in wire form, built from the leaves up. Source: RFC 3501 §7.4.2, RFC 9051 §7.5.2.

Parameters are sent as they stand in the message, except those in pieces, which are joined (RFC 2231 §6); a charset
stays with its parameter, whose name then ends in ``*``.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import evolve, field, frozen

from pymailsuite.message.fields import first_fields
from pymailsuite.message.parameters import joined_parameter, media_type, parameters, token, with_pieces_joined
from pymailsuite.message.quoting import string

_CACHED_MAX = 160
"""Content-Type bodies up to this length are cached once parsed: all mail has the same few."""


@frozen(eq=False)
class ContentType:
    """A Content-Type, parsed: ``name`` is ``type/subtype`` in lower case, the wire forms are ready to send."""

    name: bytes
    type_wire: bytes
    subtype_wire: bytes
    parameters_wire: bytes
    boundary: bytes | None = None
    charset: bytes = b""
    is_text: bool = field(init=False)
    may_hold_parts: bool = field(init=False)

    @is_text.default
    def _is_text(self) -> bool:
        return self.name.startswith(b"text/")

    @may_hold_parts.default
    def _may_hold_parts(self) -> bool:
        return self.name == b"message/rfc822" or self.name.startswith(b"multipart/")


PLAIN_TEXT = ContentType(b"text/plain", b'"text"', b'"plain"', b'("charset" "us-ascii")')
"""The type of a part without Content-Type, or with an invalid one. Source: RFC 2045 §5.2."""
DIGEST_MESSAGE = ContentType(b"message/rfc822", b'"message"', b'"rfc822"', b"NIL")
"""The type of a part of a multipart/digest without Content-Type. Source: RFC 2046 §5.1.5."""
OPAQUE = ContentType(b"application/octet-stream", b'"application"', b'"octet-stream"', b"NIL")
"""The type of a part that is not parsed: past a limit, or an encoded message."""


def parameter_list(found: list[tuple[bytes, bytes]]) -> bytes:
    """``body-fld-param``."""
    if not found:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in with_pieces_joined(found)])


def parse_content_type(body: bytes, limit: int) -> ContentType:
    """Parse an unfolded Content-Type body. Never raises: an invalid one is text/plain."""
    parsed = media_type(body)
    if parsed is None:
        return PLAIN_TEXT
    main, sub, offset = parsed
    found = parameters(body, offset, limit)
    boundary = joined_parameter(found, b"boundary")
    return ContentType(
        b"%b/%b" % (main.lower(), sub.lower()),
        string(main),
        string(sub),
        parameter_list(found),
        boundary.rstrip() if boundary else None,
        joined_parameter(found, b"charset") or b"",
    )


_remembered_content_type = lru_cache(maxsize=2048)(parse_content_type)


def content_type(body: bytes, limit: int) -> ContentType:
    """As :func:`parse_content_type`, with a cache of common ones."""
    return _remembered_content_type(body, limit) if len(body) <= _CACHED_MAX else parse_content_type(body, limit)


def _disposition(body: bytes | None, limit: int) -> bytes:
    if body is None:
        return b"NIL"
    kind = token(body)
    if kind is None:
        return b"NIL"
    return b"(%b %b)" % (string(kind), parameter_list(parameters(body, len(kind), limit)))


def _language(body: bytes | None) -> bytes:
    tags = [tag for tag in (piece.strip() for piece in (body or b"").split(b",")) if tag]
    return b"(%b)" % b" ".join([string(tag) for tag in tags]) if tags else b"NIL"


@frozen
class ContentFields:
    """The Content fields of one part."""

    content_type: ContentType
    encoding: bytes
    """The transfer encoding in lower case."""
    basic: bytes
    """Type to encoding: the beginning of ``body-type-1part``."""
    md5: bytes
    rest: bytes
    """Disposition, language, location: the end of both ``body-ext-1part`` and ``body-ext-mpart``."""
    described: int = field(init=False)
    """Octets that the part takes in BODY, BODYSTRUCTURE and the table of parts, about."""

    @described.default
    def _described(self) -> int:
        return 2 * len(self.basic) + len(self.rest) + 60


_FURTHER_FIELDS = frozenset(
    (
        b"content-id",
        b"content-description",
        b"content-md5",
        b"content-disposition",
        b"content-language",
        b"content-location",
    )
)


def _content_fields(found: dict[bytes, bytes], kind: ContentType, limit: int) -> ContentFields:
    get = found.get
    raw_encoding = get(b"content-transfer-encoding")
    encoding = b"7bit" if raw_encoding is None else token(raw_encoding) or b"7bit"
    return ContentFields(
        kind,
        encoding.lower(),
        b"%b %b %b %b %b %b"
        % (
            kind.type_wire,
            kind.subtype_wire,
            kind.parameters_wire,
            _stripped(get(b"content-id")),
            _stripped(get(b"content-description")),
            string(encoding),
        ),
        _stripped(get(b"content-md5")),
        b"%b %b %b"
        % (
            _disposition(get(b"content-disposition"), limit),
            _language(get(b"content-language")),
            _stripped(get(b"content-location")),
        ),
    )


def _stripped(body: bytes | None) -> bytes:
    return b"NIL" if body is None else string(body)


@lru_cache(maxsize=2048)
def _remembered_fields(kind: ContentType, encoding: bytes | None) -> ContentFields:
    found = {} if encoding is None else {b"content-transfer-encoding": encoding}
    return _content_fields(found, kind, 0)


def content_fields(found: dict[bytes, bytes], kind: ContentType, limit: int) -> ContentFields:
    """Read the Content fields of a part (see ``fields.first_fields``) whose type is already known.

    ``limit`` bounds the parameters of one field.
    """
    encoding = found.get(b"content-transfer-encoding")
    if _FURTHER_FIELDS.isdisjoint(found) and (encoding is None or len(encoding) <= _CACHED_MAX):
        return _remembered_fields(kind, encoding)
    return _content_fields(found, kind, limit)


def leaf_body(fields: ContentFields, octets: int, lines: int) -> tuple[bytes, bytes]:
    """(BODY, BODYSTRUCTURE) of a part that is neither multipart nor a message looked into."""
    if fields.content_type.is_text:
        basic = b"%b %d %d" % (fields.basic, octets, lines)
    else:
        basic = b"%b %d" % (fields.basic, octets)
    return b"(%b)" % basic, b"(%b %b %b)" % (basic, fields.md5, fields.rest)


def message_ends(fields: ContentFields, octets: int, lines: int, envelope: bytes) -> tuple[bytes, bytes, bytes]:
    """The octets around BODY and BODYSTRUCTURE of a message, with that envelope, in a message/rfc822 part: before
    either, and behind each."""
    return (
        b"(%b %d %b " % (fields.basic, octets, envelope),
        b" %d)" % lines,
        b" %d %b %b)" % (lines, fields.md5, fields.rest),
    )


def multipart_ends(fields: ContentFields) -> tuple[bytes, bytes, bytes]:
    """The octets around the parts of a multipart, of which there is at least one: before them in BODY and
    BODYSTRUCTURE, and behind them in each."""
    kind = fields.content_type
    return (
        b"(",
        b" %b)" % kind.subtype_wire,
        b" %b %b %b)" % (kind.subtype_wire, kind.parameters_wire, fields.rest),
    )


def _part_fields(header: bytes, default: ContentType, limit: int, octets_max: int = _CACHED_MAX) -> ContentFields:
    found = first_fields(header, octets_max)
    raw_type = found.get(b"content-type")
    kind = default if raw_type is None else content_type(raw_type, limit)
    return content_fields(found, kind, limit)


_remembered_part_fields = lru_cache(maxsize=2048)(_part_fields)


def part_fields(header: bytes, default: ContentType, limit: int, octets_max: int) -> ContentFields:
    """Read the header block of a MIME part; ``default`` is its type if it names none.

    ``limit`` bounds the parameters of one field, ``octets_max`` its octets. Short blocks are remembered: the text parts
    of all mail have the same few.
    """
    if len(header) <= _CACHED_MAX <= octets_max:
        return _remembered_part_fields(header, default, limit)
    return _part_fields(header, default, limit, octets_max)


def opaque(fields: ContentFields, kind: ContentType) -> ContentFields:
    """The same part as one that is not parsed, described as ``kind``."""
    old, new = fields.content_type, kind
    types = b"%b %b %b" % (old.type_wire, old.subtype_wire, old.parameters_wire)
    basic = b"%b %b %b" % (new.type_wire, new.subtype_wire, new.parameters_wire) + fields.basic[len(types) :]
    return evolve(fields, content_type=kind, basic=basic)
