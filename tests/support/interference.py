"""Failures at every await: each call of a dialogue's collaborators fails, is held, or is called off, one in each run.

    def dialogue(interference):           # a fresh world each time, its collaborators behind ``interference.around``
        world = World(interference)
        ...

    for call in calls_of(dialogue):
        dialogue(Interference(call, failing(StoreUnavailable())))

A collaborator may be anything: calls that answer a Deferred are counted, and of other objects that are reached through
it those named in ``deeper`` are wrapped likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail

Call = tuple[int, str]
"""The how manieth of a dialogue, and its name."""

Act = Callable[["Interference", Callable[[], Deferred[Any]]], Deferred[Any]]
"""What becomes of the call: given how it is made, what is answered instead."""


class Interference:
    """Interferes with one of :func:`calls_of` by ``act``, and lets all others be; None: with none.

    ``calls`` lists the names of all of them, ``held`` the Deferred that was given in place of an answer.
    """

    def __init__(self, call: Call | None = None, act: Act | None = None) -> None:
        self._call = call
        self._act = act
        self._make: Callable[[], Deferred[Any]] | None = None
        self.calls: list[str] = []
        self.held: Deferred[Any] | None = None

    def stop(self) -> None:
        """Interfere with nothing any more, as after the dialogue."""
        self._call = None

    def hold(self, make: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Do not make the call yet."""
        self._make = make
        self.held = Deferred()
        return self.held

    def release(self) -> None:
        """Make the call that was held, whoever still waits for it."""
        make, self._make = self._make, None
        assert make is not None and self.held is not None, "nothing is held"
        held = self.held
        make().addBoth(lambda result: None if held.called else held.callback(result))

    def around(self, target: Any, *deeper: str) -> Any:
        """The collaborator, with its calls interfered with; ``deeper`` names what leads to others of them."""
        return _Around(self, target, deeper)

    def call(self, name: str, make: Callable[[], Any]) -> Any:
        """A call that may answer a Deferred: only then it counts. It is not made where its answer is another."""
        if self._call == (len(self.calls), name) and self._act is not None:
            self.calls.append(name)
            return self._act(self, make)
        answer = make()
        if isinstance(answer, Deferred):
            self.calls.append(name)
        return answer


class _Around:
    def __init__(self, interference: Interference, target: Any, deeper: Sequence[str]) -> None:
        self._interference = interference
        self._target = target
        self._deeper = deeper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return self._interference.around(found, *self._deeper) if name in self._deeper else found

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in self._deeper:
                return self._interference.around(found(*args, **kwargs), *self._deeper)
            return self._interference.call(name, lambda: found(*args, **kwargs))

        return call


def calls_of(dialogue: Callable[[Interference], object]) -> list[Call]:
    """The calls of a dialogue in which nobody interferes."""
    interference = Interference()
    dialogue(interference)
    return list(enumerate(interference.calls))


def failing(error: Exception) -> Act:
    """The call fails."""
    return lambda interference, make: fail(error)


def held(interference: Interference, make: Callable[[], Deferred[Any]]) -> Deferred[Any]:
    """The call is made when it is released, if it ever is."""
    return interference.hold(make)
