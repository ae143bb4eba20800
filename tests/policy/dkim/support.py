"""Keys, messages and resolvers for tests of signatures."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from functools import cache
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.dkim import DkimSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.dkim import DkimResult, PrivateKey, SigningKey, generate_key, sign_message, verify_message
from pymailsuite.policy.dkim.sign import DEFAULT_RULES, SigningRules
from tests.support.stores import fired

T = TypeVar("T")

NOW = 1_770_000_000
MESSAGE = (
    b"From: Ann <ann@example.org>\r\n"
    b"To: bob@example.net\r\n"
    b"Subject: Dinner \r\n at  eight\r\n"
    b"Date: Mon, 2 Feb 2026 02:40:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"\r\n"
    b"Come  early. \r\n\r\nAnn\r\n\r\n\r\n"
)


@cache
def _private_key(kind: str) -> PrivateKey:
    return generate_key(kind, 1024)


def private_key(kind: str = "rsa") -> PrivateKey:
    return _private_key(kind)


def signing_key(kind: str = "rsa", domain: str = "example.org", selector: str = "s1") -> SigningKey:
    return SigningKey(domain, selector, private_key(kind))


def resolver(*keys: SigningKey, **records: str) -> FakeResolver:
    """Publishes these keys; ``records`` are texts by selector, of example.org."""
    txt = {key.name: [key.private.record_text().encode()] for key in keys}
    txt.update({f"{selector}._domainkey.example.org": [text.encode()] for selector, text in records.items()})
    return FakeResolver(txt=txt)


def run(work: Coroutine[Any, Any, T]) -> T:
    result: T = fired(Deferred.fromCoroutine(work))  # type: ignore[assignment,arg-type]
    return result


def signed(message: bytes = MESSAGE, *keys: SigningKey, rules: SigningRules = DEFAULT_RULES, now: float = NOW) -> bytes:
    return b"".join(sign_message(message, keys or (signing_key(),), now, rules)) + message


def results_of(
    source: bytes | Iterable[bytes],
    asked: FakeResolver | None = None,
    settings: DkimSettings | None = None,
    now: float = NOW,
) -> list[DkimResult]:
    return run(verify_message(source, asked or resolver(signing_key()), now, settings))


def result_of(source: bytes, asked: FakeResolver | None = None, **more: Any) -> DkimResult:
    (result,) = results_of(source, asked, **more)
    return result
