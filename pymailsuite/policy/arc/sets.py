"""ARC Sets found in a header, and whether they make a chain at all. Source: RFC 8617 §4.1, §4.2, §5.2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from pymailsuite.policy.dkim.header import Field, HeaderView, unfolded_body
from pymailsuite.policy.dkim.tags import TagError, parse_tags, words

RESULTS: Final = b"arc-authentication-results"
MESSAGE_SIGNATURE: Final = b"arc-message-signature"
SEAL: Final = b"arc-seal"
MAX_INSTANCES: Final = 50
"""RFC 8617 §4.2.1."""

_CFWS = rb"(?:[ \t]|\((?:[^()\\]|\\.)*+\))*+"
_RESULTS_INSTANCE = re.compile(rb"%bi%b=%b([0-9]{1,2})%b;" % ((_CFWS,) * 4))
_INSTANCE = re.compile(r"[0-9]{1,2}")
_FIELD_NAME = re.compile(r"[!-9;-~]+")


class ChainError(Exception):
    """The ARC fields of a message make no chain. The text says why."""


@frozen
class ArcSet:
    """The three fields of one instance."""

    instance: int
    results: Field
    message_signature: Field
    signature_tags: Mapping[str, str]
    seal: Field
    seal_tags: Mapping[str, str]

    @property
    def payload(self) -> str:
        """The results, after ``i=N;``, on one line."""
        body = unfolded_body(self.results)
        instance = _RESULTS_INSTANCE.match(body)
        return " ".join(body[instance.end() if instance else 0 :].decode("utf-8", "replace").split())


def covered_names(tags: Mapping[str, str]) -> tuple[bytes, ...]:
    """``h=`` of an ARC-Message-Signature, names in lower case. ChainError without one.

    An empty name covers nothing. Whether From must be among them is a setting: RFC 8617 §4.1.2 takes over what DKIM
    asks, but the public suite and other verifiers do not.
    """
    if "h" not in tags:
        raise ChainError("signature has no h=")
    names = [name for name in words(tags["h"]) if name]
    if not all(map(_FIELD_NAME.fullmatch, names)):
        raise ChainError("h= is no list of field names")
    return tuple(name.lower().encode("ascii") for name in names)


def has_arc(view: HeaderView) -> bool:
    """Whether any ARC field is there."""
    return any(view.fields(name) for name in (SEAL, MESSAGE_SIGNATURE, RESULTS))


def _read(field: Field) -> tuple[int, Mapping[str, str]]:
    """The instance of an ARC field and, but for results, its tags. ChainError."""
    title = "-".join(word if word == "arc" else word.capitalize() for word in field.name.decode().split("-"))
    title = title.replace("arc", "ARC", 1)
    tags: Mapping[str, str] = {}
    if field.name == RESULTS:
        match = _RESULTS_INSTANCE.match(unfolded_body(field))
        text = match[1].decode("ascii") if match else ""
    else:
        try:
            tags = parse_tags(field.body)
        except TagError as error:
            raise ChainError(f"{title}: {error}") from None
        text = tags.get("i", "")
    if not _INSTANCE.fullmatch(text) or not 1 <= int(text) <= MAX_INSTANCES:
        raise ChainError(f"{title} has no valid i=")
    return int(text), tags


def _instances(view: HeaderView) -> Iterator[int]:
    for name in (SEAL, MESSAGE_SIGNATURE, RESULTS):
        for field in view.fields(name):
            try:
                yield _read(field)[0]
            except ChainError:
                continue


def highest_instance(view: HeaderView) -> int:
    """The highest valid instance of any ARC field, 0 without one, whatever the others are worth."""
    return max(_instances(view), default=0)


def ended(view: HeaderView, highest: int) -> bool:
    """Whether the seal of the highest instance says that the chain has failed."""
    for field in view.fields(SEAL):
        try:
            instance, tags = _read(field)
        except ChainError:
            continue
        if instance == highest and tags.get("cv") == "fail":
            return True
    return False


def read_sets(view: HeaderView, limit: int = MAX_INSTANCES) -> list[ArcSet]:
    """The sets of a header in the order of their instances, empty without any ARC field. ChainError if the fields are
    no chain: not one of each kind for each instance from 1 on, or too many."""
    found: dict[bytes, dict[int, tuple[Field, Mapping[str, str]]]] = {}
    for name in (SEAL, MESSAGE_SIGNATURE, RESULTS):
        fields = view.fields(name)
        if len(fields) > limit:
            raise ChainError(f"more than {limit} ARC sets")
        of_kind = found.setdefault(name, {})
        for field in fields:
            instance, tags = _read(field)
            if instance in of_kind:
                raise ChainError(f"two ARC fields of one kind have i={instance}")
            of_kind[instance] = field, tags
    instances = sorted(found[SEAL].keys() | found[MESSAGE_SIGNATURE].keys() | found[RESULTS].keys())
    if instances != list(range(1, len(instances) + 1)) or any(len(each) != len(instances) for each in found.values()):
        raise ChainError("an ARC set is not complete")
    sets = [
        ArcSet(instance, found[RESULTS][instance][0], *found[MESSAGE_SIGNATURE][instance], *found[SEAL][instance])
        for instance in instances
    ]
    for each in sets:
        _check_seal(each)
    return sets


def _check_seal(arc_set: ArcSet) -> None:
    status = arc_set.seal_tags.get("cv")
    if status == "fail":
        raise ChainError(f"the chain had failed at i={arc_set.instance}")
    # RFC 8617 §5.2: the first can have found none, each later one must have found a chain that passes.
    if status != ("none" if arc_set.instance == 1 else "pass"):
        raise ChainError(f"the seal with i={arc_set.instance} has a wrong cv=")
    if "h" in arc_set.seal_tags:
        raise ChainError("a seal has h=")
