"""Failures at every await: each call of a dialogue's collaborators fails, is held, or is called off, one in each run.

    def dialogue(interference):           # a fresh world each time, its collaborators behind ``interference.around``
        world = World(interference)
        ...

    for call in calls_of(dialogue):
        dialogue(Interference(call, failing(StoreUnavailable())))

A collaborator may be anything: calls that answer a Deferred are counted, and of other objects that are reached through
it those named in ``deeper`` are wrapped likewise. A store is best interfered with at its one door to the database
(``interference.inside``), through which all goes that is asked of any part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, fail

Call = tuple[int, str]
"""The how manieth of its name in a dialogue, and its name."""

Act = Callable[["Interference", Callable[[], Deferred[Any]]], Deferred[Any]]
"""What becomes of the call: given how it is made, what is answered instead."""


class Interference:
    """Interferes with one of :func:`calls_of` by ``act``, and lets all others be; None: with none.

    ``calls`` lists those that were let be, ``held`` the Deferred that was given in place of an answer.
    """

    def __init__(self, call: Call | None = None, act: Act | None = None) -> None:
        self._call = call
        self._act = act
        self._make: Callable[[], Deferred[Any]] | None = None
        self._aside: frozenset[str] | None = frozenset()
        self._counts: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.held: Deferred[Any] | None = None

    @property
    def is_idle(self) -> bool:
        """It interferes with nothing."""
        return self._call is None

    def stop(self) -> None:
        """Interfere with nothing any more, as after the dialogue."""
        self._call = None

    @contextmanager
    def aside(self, *names: str) -> Iterator[None]:
        """Calls of these names do not count, as they are the test's own; without names none does."""
        before, self._aside = self._aside, frozenset(names) or None
        try:
            yield
        finally:
            self._aside = before

    def hold(self, make: Callable[[], Deferred[Any]], is_done: bool = False) -> Deferred[Any]:
        """Do not make the call yet. ``is_done``: calling it off comes too late, and only its answer is lost."""

        def called_off(_: Deferred[Any]) -> None:
            if is_done:
                make().addErrback(lambda _: None)

        self._make = make
        self.held = Deferred(called_off)
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

    def inside(self, database: Any) -> None:
        """Interfere with all that is asked of a store: ``read`` or ``write``, and what for."""
        for name in ("read", "read_in_steps", "run", "run_together"):
            setattr(database, name, self._asked("write" if name.startswith("run") else "read", getattr(database, name)))

    def _asked(self, kind: str, method: Callable[..., Deferred[Any]]) -> Callable[..., Deferred[Any]]:
        def ask(description: str, *args: Any, **kwargs: Any) -> Deferred[Any]:
            answer: Deferred[Any] = self.call(f"{kind} {description}", lambda: method(description, *args, **kwargs))
            return answer

        return ask

    def call(self, name: str, make: Callable[[], Any]) -> Any:
        """A call that may answer a Deferred: only then it counts. It is not made where its answer is another."""
        if self._aside is None or name in self._aside:
            return make()
        if self._call == (self._counts[name], name) and self._act is not None:
            self._counts[name] += 1
            return self._act(self, make)
        answer = make()
        if isinstance(answer, Deferred):
            self.calls.append((self._counts[name], name))
            self._counts[name] += 1
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
    return interference.calls


def failing(error: Exception) -> Act:
    """The call fails."""
    return lambda interference, make: fail(error)


def held(interference: Interference, make: Callable[[], Deferred[Any]]) -> Deferred[Any]:
    """The call is made when it is released, if it ever is."""
    return interference.hold(make)


def held_and_done(interference: Interference, make: Callable[[], Deferred[Any]]) -> Deferred[Any]:
    """As :func:`held`, but it is done also where it is called off: what a database has begun to write it writes."""
    return interference.hold(make, is_done=True)
