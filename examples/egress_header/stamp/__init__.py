"""Puts a header field in front of what leaves for some domains."""

import re

from attrs import frozen
from zope.interface import implementer

from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.egress import IEgressTransform


@implementer(IEgressTransform)
@frozen
class Stamp:
    """``field`` is a header line for transactions all of whose recipients are in ``domains``."""

    domains: frozenset
    field: bytes
    name: str = "stamp"

    def transform(self, transaction, source):
        """With the field in front, or as it is."""
        if self.domains.issuperset([recipient.domain.lower() for recipient in transaction.recipients]):
            return source.with_fields(self.field)
        return None


def make_transform(context):
    """The transform, of its options."""
    domains, field = context.options.get("domains", []), context.options.get("field", "")
    if not re.fullmatch(r"[!-9;-~]+: [ -~]{1,900}", field):
        raise ConfigError("egress.plugins.stamp.field: expected a header field")
    return Stamp(frozenset(map(str.lower, domains)), f"{field}\r\n".encode("ascii"))
