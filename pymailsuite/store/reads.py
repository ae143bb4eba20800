"""The schedule of reads: a queue between the reactor and the reader threads.

Reads are short, or they come in steps (a search through many messages). Owners, which are accounts, take turns in each
kind; the server's own reads (logins, recipients) have every second turn of the short ones. Steps occupy all reader
threads but one at most, and release their thread after each turn. So a short read waits for other short ones only, and
a long one for one turn of each other owner, however much an owner requests.

The reactor's thread takes no lock: it appends, and wakes a thread. Each job wakes one thread once; if that thread finds
no job it may run, the next thread that ends a job in steps gets the wake-up.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from queue import SimpleQueue
from threading import Lock

from pymailsuite.store.jobs import ReadJob
from pymailsuite.values import AccountId


class _Turns:
    """Jobs that wait, by owner."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: OrderedDict[AccountId | None, deque[ReadJob]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, job: ReadJob) -> None:
        """The last of its owner."""
        jobs = self._waiting.get(job.owner)
        if jobs is None:
            self._waiting[job.owner] = deque((job,))
        else:
            jobs.append(job)

    def take(self) -> ReadJob | None:
        """The next of the owner whose turn it is. Cancelled jobs are dropped on the way."""
        while self._waiting:
            owner, jobs = self._waiting.popitem(last=False)
            while jobs:
                job = jobs.popleft()
                if not job.cancelled:
                    if jobs:
                        self._waiting[owner] = jobs
                    return job
                job.drop()
        return None


class ReadQueue:
    """Jobs for ``threads`` threads. :meth:`put` and :meth:`close` are for the reactor, the rest for the threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._most_in_steps = max(1, threads - 1)
        self._arrived: deque[ReadJob] = deque()
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._lock = Lock()
        self._own: deque[ReadJob] = deque()
        self._short = _Turns()
        self._in_steps = _Turns()
        self._running = 0
        """Number of jobs in steps that threads are running."""
        self._passed_over = 0
        """Wake-ups that found only jobs in steps, when enough of these were running."""
        self._own_was_last = False
        self._short_was_last = True

    def put(self, job: ReadJob) -> None:
        """Have it run by one of the threads."""
        self._arrived.append(job)
        self._wakes.put(True)

    def close(self) -> None:
        """No more will come: threads end when there is nothing left for them."""
        for _ in range(self._threads):
            self._wakes.put(False)

    def take(self) -> ReadJob | None:
        """Wait for a job; None: there will be no more."""
        while self._wakes.get():
            with self._lock:
                job = self._next()
            if job is not None:
                return job
        return None

    def take_turn(self, job: ReadJob) -> ReadJob | None:
        """A job in steps has had its turn and has more: returns the thread's next job, mostly the same one."""
        with self._lock:
            self._running -= 1
            self._in_steps.add(job)
            following = self._next()
        return following if following is not None else self.take()

    def take_after(self, job: ReadJob) -> ReadJob | None:
        """A job has ended: the next one; waits for it."""
        if job.in_steps:
            following = None
            with self._lock:
                self._running -= 1
                if self._passed_over:
                    self._passed_over -= 1
                    following = self._next()
            if following is not None:
                return following
        return self.take()

    def _next(self) -> ReadJob | None:
        while self._arrived:
            job = self._arrived.popleft()
            if job.in_steps:
                self._in_steps.add(job)
            elif job.owner is None:
                self._own.append(job)
            else:
                self._short.add(job)
        found: ReadJob | None = None
        # One job in steps always goes on, however many short ones come.
        if self._short_was_last and self._in_steps and not self._running:
            found = self._in_steps.take()
        found = found or self._next_short()
        if found is None and self._in_steps:
            if self._running < self._most_in_steps:
                found = self._in_steps.take()
            else:
                self._passed_over += 1
        if found is not None:
            self._short_was_last = not found.in_steps
            self._running += found.in_steps
        return found

    def _next_short(self) -> ReadJob | None:
        found: ReadJob | None = None
        if not (self._own_was_last and self._short):
            found = self._next_own()
        if found is None:
            found = self._short.take() or self._next_own()
        self._own_was_last = found is not None and found.owner is None
        return found

    def _next_own(self) -> ReadJob | None:
        while self._own:
            job = self._own.popleft()
            if not job.cancelled:
                return job
        return None
