"""The one way to the database: :meth:`Database.run` for writes, :meth:`Database.read` for reads.

What is asked for while the reactor is busy is handed to a writer thread together. That takes every function that is
waiting, runs each in a savepoint, commits once, and only then lets the reactor fire the Deferreds and, after them, the
change notices. Under load many requests share one fsync; a lone request waits for nobody. Readers have connections of
their own and never wait for the writer; whose turn it is to read says :mod:`pymailsuite.store.reads`.
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
    """What inline and threaded databases share: jobs in, Deferreds out.

    ``announce`` is called in the reactor thread after each commit that moved accounts on.
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
        back what it did, alone, and is the failure. With ``lasting`` False it may fire earlier: what was written
        reaches the disk with the next commit that lasts, if the machine lives to see that.
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
        """As :meth:`run`, for a function that serves many requests of its kind at once: those that happen to wait
        together are given to it together. If it raises it is called again for each alone."""
        return self._submit_write(
            Job(description, function, together=True, item=item, accounts=accounts, lasting=lasting)
        )

    def read(
        self, description: str, function: Callable[[Transaction], T], owner: AccountId | None = None
    ) -> Deferred[T]:
        """Run ``function`` on a connection that only reads, all of it at one moment of the database.

        ``owner`` is the account for which it is read, None the server itself: owners have their turns. What is read
        here takes milliseconds; cancel it when nobody waits for it any more.
        """
        return self._submit_read(ReadJob(description, function, owner))

    def read_in_steps(
        self,
        description: str,
        function: Callable[[Transaction], Generator[None, None, T]],
        owner: AccountId | None = None,
    ) -> Deferred[T]:
        """As :meth:`read` for what may take long: ``function`` reads, and answers the steps of what is to be done with
        that, each of a few milliseconds. They run after the transaction, in turns with those of others; the last one
        returns the result. Cancelled, it ends after the step that is under way."""
        return self._submit_read(ReadJob(description, function, owner, in_steps=True))

    def open(self, prepare: Callable[[Transaction], T]) -> Deferred[T]:
        """Connect; ``prepare`` is the first transaction."""
        raise NotImplementedError

    def close(self) -> Deferred[None]:
        """Finish what was asked, then let go of the database."""
        raise NotImplementedError

    def _submit_write(self, job: Job) -> Deferred[Any]:
        raise NotImplementedError

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        raise NotImplementedError

    def _publish(self, jobs: Sequence[Job], effects: Effects) -> None:
        """Tell everybody, in the reactor thread: first those who asked, then those who listen."""
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
    """Runs everything where it is called, on one connection: Deferreds have fired when they are returned.

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
    """A thread that writes, as the reactor's thread sees it."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[list[Job] | None] = SimpleQueue()
        self.accounts: Counter[AccountId] = Counter()
        """How many of its jobs that are not published yet name an account."""
        self.busy_since: float | None = None
        self.last_taken = False
        """In its own thread: no more will come."""

    @property
    def is_held_up(self) -> bool:
        """It has been at one group for long: another process has locked what that wants, most likely."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > _HELD_UP_S


class ThreadedDatabase(Database):
    """Writer threads with group commit, reader threads, and one that tends the engine.

    The first writer does all there is to do, for what is committed together shares its cost. Only while it is held up
    the next one takes what concerns other accounts. So what is asked for one account happens in the order in which it
    was asked for; what names no account is in order as long as nobody is held up.

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
        """At the end of a turn of the reactor: gather on as long as each turn brings more.

        What comes in together is committed together: an fsync, and each statement, then serve many requests. Ten
        peers that send without pause share a commit by seven instead of three. A request after one that came alone is
        taken to be alone too, and waits for the end of its own turn only; so does what has no fsync to share.
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
            writer.accounts += Counter()  # without those that are down to nothing
        self._publish(jobs, effects)

    def _submit_read(self, job: ReadJob) -> Deferred[Any]:
        if not self._is_open:
            return _not_open()
        self._reads.put(job)
        return job.deferred

    def _publish_reads(self) -> None:
        # Cleared first: a reader that still sees it set has added its result before we look.
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
        """Everything that is waiting; waits itself until there is something, or nothing more to come."""
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
        """A full disk keeps the log from being emptied too; that is tried again, and harms nobody meanwhile."""
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
            # One wake-up of the reactor serves all results that are there when it comes round.
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
