"""The public test suite of ARC, as JSON.

``data/arc-draft-validation-tests.json`` and ``data/arc-draft-sign-tests.json`` hold the documents of ValiMail's
arc_test_suite as Mail::DKIM 1.20240923 carries them; the licence is beside them. They were written for the drafts that
became RFC 8617, which changed nothing of what they show but the algorithm (see :data:`HISTORIC`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.dkim.private_keys import SigningKey, load_private_key

HISTORIC: Final = frozenset(("ams_fields_a_sha1", "as_fields_a_sha1"))
"""Chains signed by rsa-sha1, which pass in the suite. RFC 8301 §3.1 forbids that since 2018."""

UNCOVERED: Final = frozenset(("ams_fields_h_empty",))
"""Chains whose message signature leaves From out, which pass in the suite. Here they do where that is allowed only: RFC
6376 §5.4 wants From signed, and without it the chain says nothing about the author."""


@frozen
class ValidationCase:
    """A message, the keys there are, and what its chain is worth."""

    name: str
    message: bytes
    result: str
    keys: FakeResolver


@frozen
class SignCase:
    """A message, how to seal it, and the bodies of the fields that come of it; empty ones if none do."""

    name: str
    message: bytes
    key: SigningKey
    headers: tuple[bytes, ...]
    authserv_id: str
    now: int
    results: str
    signature: str
    seal: str
    keys: FakeResolver


def validation_cases() -> Iterator[ValidationCase]:
    """All of the suite. A seal that says ``cv=fail`` has an empty result there."""
    for document in _documents("arc-draft-validation-tests.json"):
        keys = _keys(document)
        for name, test in document["tests"].items():
            yield ValidationCase(name, _message(test), (test["cv"] or "fail").lower(), keys)


def sign_cases() -> Iterator[SignCase]:
    """All of the suite."""
    for document in _documents("arc-draft-sign-tests.json"):
        key = SigningKey(document["domain"], document["sel"], load_private_key(document["privatekey"].encode()))
        for name, test in document["tests"].items():
            yield SignCase(
                name,
                _message(test),
                key,
                tuple(test["sig-headers"].encode("ascii").split(b":")),
                test["srv-id"],
                test["t"],
                test["AAR"],
                test["AMS"],
                test["AS"],
                _keys(document),
            )


def _documents(name: str) -> list[Any]:
    documents: list[Any] = json.loads((Path(__file__).parent / "data" / name).read_text(encoding="ascii"))
    return documents


def _message(test: Mapping[str, str]) -> bytes:
    return test["message"].encode().replace(b"\n", b"\r\n")


def _keys(document: Mapping[str, Mapping[str, str]]) -> FakeResolver:
    return FakeResolver(txt={name: [text.replace("\n", "").encode()] for name, text in document["txt-records"].items()})
