"""The common part of signers, sealers and verifiers: the header is parsed when it is complete, the body is hashed."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.policy.dkim.body import BodyHash, BodyHasher
from pymailsuite.policy.dkim.header import HeaderSplitter, HeaderView, view_of


@implementer(IMessageTap)
class HashingTap:
    """Takes one message in any cut: ``write`` it all, then ``finish`` it. Derive and say which body hashes are wanted.

    ``header_max`` is in octets; of a message with a larger header nothing is known, not even when it is over.
    """

    def __init__(self, header_max: int) -> None:
        self._splitter = HeaderSplitter(header_max)
        self._hasher: BodyHasher | None = None
        self.view: HeaderView | None = None
        """The header, once it is there; never if it is too large."""

    def hashes_wanted(self, view: HeaderView) -> Iterable[tuple[bool, int | None]]:
        """The header is there: the body hashes to make, as :class:`BodyHasher` takes them. Asked once."""
        raise NotImplementedError

    @property
    def header(self) -> bytes | None:
        """The octets of the header with its empty line, as ``view``."""
        return self._splitter.header

    def write(self, octets: bytes) -> None:
        """The next octets of the message."""
        body = self._splitter.write(octets)
        self._look_at_header()
        if body and self._hasher is not None:
            self._hasher.write(body)

    def finish(self) -> None:
        """The message is over."""
        self._splitter.finish()
        self._look_at_header()
        if self._hasher is not None:
            self._hasher.finish()

    def _look_at_header(self) -> None:
        if self.view is None and self._splitter.header is not None:
            self.view = view_of(self._splitter.header)
            wanted = list(self.hashes_wanted(self.view))
            if wanted:
                self._hasher = BodyHasher(wanted)

    def body_hash(self, relaxed: bool, length: int | None = None) -> BodyHash:
        """One of the hashes that were wanted, once the message is over. KeyError if it was not."""
        if self._hasher is None:
            raise KeyError((relaxed, length))
        return self._hasher.hash_of(relaxed, length)
