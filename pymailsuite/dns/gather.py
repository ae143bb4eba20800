"""Look-ups side by side, of which all must come to something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

T = TypeVar("T")


def gather_all(asked: Iterable[Deferred[T]]) -> Deferred[list[T]]:
    """Their results, in order. The first failure is the failure of it all, as it came; the others are then called off,
    as they are where this is."""
    under_way = list(asked)

    def failed(failure: Failure) -> Any:
        for one in under_way:
            one.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    gathered: Deferred[list[T]] = gatherResults(under_way, consumeErrors=True)
    return gathered.addErrback(failed)
