"""The one way to the database: :meth:`Database.run` for writes, :meth:`Database.read` for reads.

Requests that come while the reactor is busy are given to a writer thread together. The thread takes every waiting
function, runs each in a savepoint, commits once, and only then lets the reactor fire the Deferreds and, after them, the
change notices. Under load many requests share one fsync; a single request waits for no other. Readers have connections
of their own and never wait for the writer; :mod:`pymailsuite.store.reads` schedules them.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import StoreUnavailable
from pymailsuite.store.engines.base import Engine
from pymailsuite.store.jobs import Effects, Job, ReadJob, Worker
from pymailsuite.store.outage import Outage
from pymailsuite.store.reads import ReadQueue
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, ModSeq

log = Logger()

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

_HELD_UP_S = 0.1

Announce = Callable[[Mapping[AccountId, ModSeq]], None]


class Database:
    """The base of inline and threaded databases: jobs in, Deferreds out.

    ``announce`` is called in the reactor thread after each commit that changed accounts.
    """

    def __init__(self, engine: Engine, settings: StoreSection, announce: Announce) -> None:
        self.engine = engine
        self.settings = settings
        self._announce = announce
        self._is_open = False

    def run(
        self,
        description: str,
        function: Callable[[Transaction], T],
        accounts: Sequence[AccountId] = (),
        lasting: bool = True,
    ) -> Deferred[T]:
        """Run ``function`` in a transaction that may write; fires after its commit has reached the disk.

        ``description`` is for logs; ``accounts`` are those whose mail it changes. An exception of ``function`` rolls
        back its own writes only, and is the failure. With ``lasting`` False it may fire earlier: the writes reach the
        disk with the next lasting commit, unless the machine crashes before.
        """
        return self._submit_write(Job(description, function, accounts=accounts, lasting=lasting))

    def run_together(
        self,
        description: str,
        function: Callable[[Transaction, Sequence[I]], Sequence[T]],
        item: I,
        accounts: Sequence[AccountId] = (),
        lasting: bool = True,
    ) -> Deferred[T]:
        """As :meth:`run`, for a function that serves many requests of its kind at once: requests that wait at the same
        time are given to it together. If it raises it is called again for each alone."""
        return self._submit_write(
            Job(description, function, together=True, item=item, accounts=accounts, lasting=lasting)
        )

    def read(
        self, description: str, function: Callable[[Transaction], T], owner: AccountId | None = None
    ) -> Deferred[T]:
        """Run ``function`` on a read-only connection, in one snapshot of the database.

        ``owner`` is the account that the read is for, None the server itself: owners take turns. Such a read takes
        milliseconds; cancel it when its result is not needed any more.
        """
        return self._submit_read(ReadJob(description, function, owner))

    def read_in_steps(
        self,
        description: str,
        function: Callable[[Transaction], Generator[None, None, T]],
        owner: AccountId | None = None,
    ) -> Deferred[T]:
        """As :meth:`read` for long work: ``function`` reads, and returns a generator of steps that process the rows,
        each of a few milliseconds. They run after the transaction, in turns with those of other owners; the generator
        returns the result. When cancelled, it ends after the running step."""
        return self._submit_read(ReadJob(description, function, owner, in_steps=True))

    def open(self, prepare: Callable[[Transaction], T]) -> Deferred[T]:
        """Connect; ``prepare`` is the first transaction."""
        raise NotImplementedError

    def close(self) -> Deferred[None]:
        """Finish all requests, then close the connections."""
        raise NotImplementedError

    def _submit_write(self, job: Job) -> Deferred[Any]:
        raise NotImplementedError

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        raise NotImplementedError

    def _publish(self, jobs: Sequence[Job], effects: Effects) -> None:
        """In the reactor thread: fire the Deferreds of the jobs first, then the change notices."""
        for job in jobs:
            job.fire()
        for function, arguments in effects.calls:
            try:
                function(*arguments)
            except Exception:
                log.failure("{event}", event="store.effect_failed")
        if effects.announced:
            self._announce(effects.announced)


def _not_open() -> Deferred[Any]:
    return fail(StoreUnavailable(cause="the store is not open"))


class InlineDatabase(Database):
    """Runs each function directly, on one connection: Deferreds have fired when they are returned.

    For tests and for commands that have no reactor.
    """

    def __init__(self, engine: Engine, settings: StoreSection, announce: Announce) -> None:
        super().__init__(engine, settings, announce)
        self._worker = Worker(engine, engine.connect, settings.slow, outage=Outage(settings.away_limit))

    def open(self, prepare: Callable[[Transaction], T]) -> Deferred[T]:
        self._is_open = True
        return self.run("open", prepare)

    def close(self) -> Deferred[None]:
        self._is_open = False
        self._worker.close()
        return succeed(None)

    def _submit_write(self, job: Job) -> Deferred[Any]:
        if not self._is_open:
            return _not_open()
        effects = self._worker.write([job], self.settings.busy_limit)
        self._publish([job], effects)
        return job.deferred

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        if not self._is_open:
            return _not_open()
        while not self._worker.read(job, self.settings.busy_limit):
            pass
        job.fire()
        return job.deferred


class _Writer:
    """The state of a writer thread that the reactor's thread keeps."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[list[Job] | None] = SimpleQueue()
        self.accounts: Counter[AccountId] = Counter()
        """The number of its unpublished jobs that name each account."""
        self.busy_since: float | None = None
        self.last_taken = False
        """In its own thread: no more jobs will come."""

    @property
    def is_held_up(self) -> bool:
        """Whether it has worked on one group for long, most likely because another process holds a lock."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > _HELD_UP_S


class ThreadedDatabase(Database):
    """Writer threads with group commit, reader threads, and one for the engine's maintenance.

    The first writer takes all jobs, since jobs committed together share the cost. Only while it is held up the next one
    takes jobs of other accounts. So the requests for one account are run in their order; those that name no account are
    in order as long as no writer is held up.

    ``reactor`` provides IReactorTime and IReactorFromThreads.
    """

    def __init__(self, engine: Engine, settings: StoreSection, announce: Announce, reactor: Any) -> None:
        super().__init__(engine, settings, announce)
        self._reactor = reactor
        self._gathered: list[Job] = []
        self._gathered_before = 0
        self._came_alone = True
        self._writers = [_Writer() for _ in range(engine.writers)]
        self._reads = ReadQueue(settings.reader_threads)
        self._done_reading: deque[ReadJob] = deque()
        self._threads: list[Thread] = []
        self._closing = Event()
        self._outage = Outage(settings.away_limit)
        self._committed = Event()
        self._gap_wanted = False
        self._publishing_reads = False

    # --- in the reactor thread

    def open(self, prepare: Callable[[Transaction], T]) -> Deferred[T]:
        self._is_open = True
        # The first write makes the file and its tables; readers start after it.
        opening = Job("open", prepare)
        first = self._writers[0]
        first.waiting.put([opening])
        opened = cast("Deferred[T]", opening.deferred)
        self._start("store-writer-0", partial(self._write_loop, first))
        return opened.addCallbacks(self._opened, self._open_failed)

    def _opened(self, result: T) -> T:
        for number, writer in enumerate(self._writers[1:], 1):
            self._start(f"store-writer-{number}", partial(self._write_loop, writer))
        for number in range(self.settings.reader_threads):
            self._start(f"store-reader-{number}", self._read_loop)
        self._start("store-tender", self._maintenance_loop)
        return result

    def _open_failed(self, reason: Failure) -> Deferred[Any]:
        return self.close().addCallback(lambda _: reason)

    def _start(self, name: str, target: Callable[[], None]) -> None:
        thread = Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> Deferred[None]:
        if not self._is_open:
            return succeed(None)
        self._is_open = False
        self._hand_over()
        closed: Deferred[None] = Deferred()
        Thread(target=self._wait_for_threads, args=(closed,), name="store-closing", daemon=True).start()
        return closed

    def _wait_for_threads(self, closed: Deferred[None]) -> None:
        self._closing.set()
        self._committed.set()
        for writer in self._writers:
            writer.waiting.put(None)
        self._reads.close()
        for thread in self._threads:
            thread.join()
        self._reactor.callFromThread(closed.callback, None)

    def _submit_write(self, job: Job) -> Deferred[Any]:
        if not self._is_open:
            return _not_open()
        gathered = self._gathered
        gathered.append(job)
        if len(gathered) == 1:
            self._gathered_before = 1 if self._came_alone else 0
            self._reactor.callLater(0, self._gather)
        return job.deferred

    def _gather(self) -> None:
        """At the end of a reactor turn: go on gathering as long as each turn brings more.

        Requests that come together are committed together: an fsync, and each statement, then serve many requests. With
        ten clients that send without pause a commit serves seven requests instead of three. A request after a single
        one is assumed to be single too, and waits for the end of its own turn only; so does a request without an fsync
        to share.
        """
        gathered = self._gathered
        more_came = self._gathered_before < len(gathered) < self.settings.group_limit
        if more_came and any(job.lasting for job in gathered):
            self._gathered_before = len(gathered)
            self._reactor.callLater(0, self._gather)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._came_alone = len(gathered) == 1
            self._spread(gathered)

    def _spread(self, jobs: list[Job]) -> None:
        first, *others = self._writers
        if not others:
            first.waiting.put(jobs)
            return
        shares: dict[_Writer, list[Job]] = {}
        all_first = not first.is_held_up and not any(writer.accounts for writer in others)
        for job in jobs:
            writer = first if all_first else self._writer_of(job)
            writer.accounts.update(job.accounts)
            shares.setdefault(writer, []).append(job)
        for writer, share in shares.items():
            writer.waiting.put(share)

    def _writer_of(self, job: Job) -> _Writer:
        for writer in self._writers:
            if any(account_id in writer.accounts for account_id in job.accounts):
                return writer
        return next((writer for writer in self._writers if not writer.is_held_up), self._writers[0])

    def _written(self, writer: _Writer, jobs: Sequence[Job], effects: Effects) -> None:
        if len(self._writers) > 1:
            for job in jobs:
                writer.accounts.subtract(job.accounts)
            writer.accounts += Counter()  # without the zero counts
        self._publish(jobs, effects)

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        if not self._is_open:
            return _not_open()
        self._reads.put(job)
        return job.deferred

    def _publish_reads(self) -> None:
        # Cleared first: a reader that still sees it set has added its result before the list is read.
        self._publishing_reads = False
        done = self._done_reading
        while done:
            done.popleft().fire()

    # --- in a writer thread

    def _write_loop(self, writer: _Writer) -> None:
        settings = self.settings
        worker = Worker(self.engine, self.engine.connect, settings.slow, self._closing, self._outage)
        while not writer.last_taken:
            jobs = self._take_group(writer)
            if jobs:
                writer.busy_since = time.monotonic()
                effects = worker.write(jobs, settings.busy_limit, partial(self._take_waiting, writer))
                writer.busy_since = None
                self._reactor.callFromThread(self._written, writer, jobs, effects)
                self._committed.set()
            if self._gap_wanted:
                self._gap_wanted = False
                self._maintain_between(worker)
        worker.close()

    def _take_group(self, writer: _Writer) -> list[Job]:
        """All waiting jobs; blocks until there are any, or no more will come."""
        jobs = writer.waiting.get()
        if jobs is None:
            writer.last_taken = True
            return []
        return jobs + self._take_waiting(writer, len(jobs))

    def _take_waiting(self, writer: _Writer, taken: int = 0) -> list[Job]:
        jobs: list[Job] = []
        try:
            while not writer.last_taken and taken + len(jobs) < self.settings.group_limit:
                more = writer.waiting.get_nowait()
                if more is None:
                    writer.last_taken = True
                else:
                    jobs += more
        except Empty:
            pass
        return jobs

    def _maintain_between(self, worker: Worker) -> None:
        try:
            self.engine.maintain_between(worker.connection)
        except Exception as error:
            self._maintenance_failed(error)

    def _maintenance_failed(self, error: Exception) -> None:
        """A full disk prevents checkpoints too; they are tried again, and meanwhile nothing is lost."""
        if self.engine.error_kind(error) is None:
            log.failure("{event}", event="store.maintenance_failed")
        else:
            log.warn("{event}: {reason}", event="store.maintenance_failed", reason=error)

    # --- in the other threads

    def _read_loop(self) -> None:
        worker = Worker(self.engine, self.engine.connect_reader, self.settings.slow, self._closing, self._outage)
        queue = self._reads
        job = queue.take()
        while job is not None:
            if not worker.read(job, self.settings.busy_limit):
                job = queue.take_turn(job)
                continue
            # One wake-up of the reactor serves all results that are ready by then.
            self._done_reading.append(job)
            if not self._publishing_reads:
                self._publishing_reads = True
                self._reactor.callFromThread(self._publish_reads)
            job = queue.take_after(job)
        worker.close()

    def _maintenance_loop(self) -> None:
        while not self._closing.wait(self.settings.sqlite_checkpoint_interval):
            self._committed.wait()
            self._committed.clear()
            try:
                self._gap_wanted = self.engine.maintain()
            except Exception as error:
                self._maintenance_failed(error)
        self.engine.stop_maintenance()
