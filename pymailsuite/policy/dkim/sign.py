"""Signatures made while a message comes in. Source: RFC 6376 §5.

The body goes through one hash; which keys sign is asked when the header is known and the message is over, as both
depend on its From.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import frozen

from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.policy.author import author_of
from pymailsuite.policy.dkim.header import HeaderView, canonical_field, view_of
from pymailsuite.policy.dkim.message_tap import HashingTap
from pymailsuite.policy.dkim.private_keys import SigningKey
from pymailsuite.policy.dkim.tags import base64_text, render_field

ADDED_LATER: Final = frozenset((b"date", b"message-id"))
"""What a server may add to a message that lacks it (RFC 6409 §8): never signed as absent."""
_SIGNATURE: Final = b"dkim-signature"


@frozen
class SigningRules:
    """What is signed, and how. Names are in lower case.

    ``headers`` are signed as often as they stand, those in ``oversign`` once more, so that none can be added. With
    ``exact`` they are an ``h=`` as it is to be.
    """

    headers: tuple[bytes, ...]
    oversign: frozenset[bytes] = frozenset()
    relaxed_header: bool = True
    relaxed_body: bool = True
    exact: bool = False
    timestamp: bool = True
    expire_s: int | None = None

    @classmethod
    def of(cls, settings: DkimSignSettings) -> SigningRules:
        """As the settings have it."""
        header, _, body = settings.canonicalization.partition("/")
        return cls(
            headers=tuple(name.encode("ascii") for name in settings.headers),
            oversign=frozenset(name.encode("ascii") for name in settings.oversign),
            relaxed_header=header == "relaxed",
            relaxed_body=body == "relaxed",
            timestamp=settings.timestamp,
            expire_s=int(settings.expire) or None,
        )

    @property
    def canonicalization(self) -> str:
        """The ``c=``."""
        forms = ("simple", "relaxed")
        return f"{forms[self.relaxed_header]}/{forms[self.relaxed_body]}"

    def names(self, view: HeaderView) -> list[bytes]:
        """The ``h=`` for one header.

        Signatures are in it as often as they stand and no more: the next one up would be this very field, which is
        signed in another way (RFC 6376 §5.4), and nobody could verify it.
        """
        if self.exact:
            names = list(self.headers)
        else:
            names = []
            for name in dict.fromkeys((*self.headers, *sorted(self.oversign))):
                count = len(view.fields(name))
                once_more = name in self.oversign and (count > 0 or name not in ADDED_LATER)
                names.extend([name] * (count + once_more))
        for _ in range(names.count(_SIGNATURE) - len(view.fields(_SIGNATURE))):
            names.remove(_SIGNATURE)
        return names


DEFAULT_RULES: Final = SigningRules.of(DkimSignSettings())


class MessageSigner(HashingTap):
    """Takes one message, then signs it. ``write`` it all, ``finish`` it, then ask for ``fields``.

    ``has_no_key`` is asked about the author's domain once it is known: if no key will sign for it, the body need not be
    heard."""

    def __init__(
        self,
        rules: SigningRules = DEFAULT_RULES,
        header_max: int = DkimSignSettings().header_max,
        has_no_key: Callable[[str], bool] = lambda domain: False,
    ) -> None:
        super().__init__(header_max)
        self._rules = rules
        self._has_no_key = has_no_key
        self.is_given_up = False
        """There is no key, and so no signature."""

    def hashes_wanted(self, view: HeaderView) -> list[tuple[bool, int | None]]:
        """That of the whole body."""
        domain = self.author_domain
        self.is_given_up = domain is not None and self._has_no_key(domain)
        return [] if self.is_given_up else [(self._rules.relaxed_body, None)]

    @property
    def author_domain(self) -> str | None:
        """The domain of the one From field, in A-labels; None if there is no such, or addresses of several.

        A message with two From fields, or one that can be read in two ways, is not signed: what it shows is anybody's
        choice."""
        if self.header is None:
            return None
        domains = author_of(self.header).domains
        return domains[0] if len(domains) == 1 else None

    def fields(self, keys: Iterable[SigningKey], now: float, header: bytes | None = None) -> list[bytes]:
        """A DKIM-Signature field of each key, with its line end. ``now`` is POSIX seconds; ``header`` is signed in
        place of the one that came in, if given.

        ValueError if the header was too large, or if it has no From.
        """
        view = self.view if header is None else view_of(header)
        if view is None:
            raise ValueError("the header is too large")
        if not view.fields(b"from"):
            raise ValueError("the message has no From")
        names = self._rules.names(view)
        signed = view.signed_octets(names, self._rules.relaxed_header)
        body_hash = self.body_hash(self._rules.relaxed_body).digest()
        return [self._field(key, names, signed, body_hash, int(now)) for key in keys]

    def _field(self, key: SigningKey, names: Sequence[bytes], signed: bytes, body_hash: bytes, now: int) -> bytes:
        tags = [
            ("v", "1"),
            ("a", key.private.algorithm),
            ("c", self._rules.canonicalization),
            ("d", key.domain),
            ("s", key.selector),
        ]
        if self._rules.timestamp:
            tags.append(("t", str(now)))
        if self._rules.expire_s is not None:
            tags.append(("x", str(now + self._rules.expire_s)))
        tags += [("h", b":".join(names).decode("ascii")), ("bh", base64_text(body_hash)), ("b", "")]
        return signed_field(b"DKIM-Signature", tags, signed, key, self._rules.relaxed_header)


def signed_field(
    name: bytes,
    tags: Sequence[tuple[str, str]],
    signed: bytes,
    key: SigningKey,
    relaxed: bool,
    *,
    fold_signature: bool = True,
) -> bytes:
    """A field of these tags, with its line end, whose ``b=`` signs ``signed`` and the field itself."""
    unsigned = canonical_field(render_field(name, tags), relaxed)
    signature = key.private.sign(hashlib.sha256(signed + unsigned).digest())
    return render_field(name, tags, signature, fold_signature=fold_signature) + b"\r\n"


def sign_message(
    source: bytes | Iterable[bytes], keys: Iterable[SigningKey], now: float, rules: SigningRules = DEFAULT_RULES
) -> list[bytes]:
    """The DKIM-Signature fields to stand in front of a message, whole or in chunks, whose lines end in CRLF.

    ValueError as :meth:`MessageSigner.fields`.
    """
    signer = MessageSigner(rules)
    for chunk in (source,) if isinstance(source, bytes) else source:
        signer.write(chunk)
    signer.finish()
    return signer.fields(keys, now)
