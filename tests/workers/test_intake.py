"""Who takes mail in: one worker where the database has one writer, few of them as long as few are enough."""

from __future__ import annotations

import os
import signal

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.settings import Settings
from pymailsuite.wire.tally import Tally
from pymailsuite.workers.affinity import ConnectionAffinity, OwnLoad
from pymailsuite.workers.share import intake_count, share_of
from tests.support.patience import until
from tests.support.server import TunedServer
from tests.workers.test_processes import WorkersCase, talk
from tests.workers.test_together import worker_of


def settings(**tables: dict[str, object]) -> Settings:
    """Of a server of four workers."""
    server = {"hostname": "mail.example", "domains": ["example"], "data_dir": "/nowhere", "workers": 4}
    return Settings.model_validate({"server": server, **tables})


class CountTests(SynchronousTestCase):
    """How many workers take mail in."""

    def test_one_where_writers_wait_for_each_other(self) -> None:
        self.assertEqual(intake_count(settings(), writes_in_turn=True), 1)

    def test_all_where_they_do_not(self) -> None:
        self.assertEqual(intake_count(settings(), writes_in_turn=False), 4)

    def test_as_many_as_is_asked_for(self) -> None:
        for asked, count in (("all", 4), (2, 2), (9, 4)):
            for writes_in_turn in (True, False):
                self.assertEqual(intake_count(settings(workers={"intake": asked}), writes_in_turn), count)

    def test_limits_of_the_queue_are_divided_among_them(self) -> None:
        whole = settings(queue={"concurrency": 40}, auth={"hash_backlog": 40})
        share = share_of(whole, 4, 1)
        self.assertEqual((share.queue.concurrency, share.auth.hash_backlog), (40, 10))
        self.assertEqual(share_of(whole, 4, 4).queue.concurrency, 10)


class GatheringTests(SynchronousTestCase):
    """Which worker takes the next connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.used_s = 0.0

    def takers(self, *counts: int, together: int = 4) -> list[int]:
        """The workers that take a connection at once, each having so many."""
        found = []
        for number, count in enumerate(counts, 1):
            tally = Tally()
            tally.here[""] = count
            tally.set_elsewhere({"": sum(counts) - count})
            load = OwnLoad(self.clock.seconds, lambda: self.used_s)
            if ConnectionAffinity(number, len(counts), together, load).accept_quota(tally):
                found.append(number)
        return found

    def test_the_first_until_it_has_enough_then_the_next(self) -> None:
        self.assertEqual(self.takers(0, 0, 0), [1])
        self.assertEqual(self.takers(3, 0, 0), [1])
        self.assertEqual(self.takers(4, 0, 0), [2])
        self.assertEqual(self.takers(4, 4, 1), [3])

    def test_whose_connections_have_gone_takes_new_ones(self) -> None:
        self.assertEqual(self.takers(1, 4, 0), [1])
        self.assertEqual(self.takers(4, 2, 4), [2])

    def test_all_when_all_have_enough(self) -> None:
        self.assertEqual(self.takers(4, 4, 4), [1, 2, 3])
        self.assertEqual(self.takers(90, 4, 4), [1, 2, 3])

    def test_all_if_so_configured(self) -> None:
        self.assertEqual(self.takers(0, 0, 0, together=0), [1, 2, 3])

    def test_one_that_is_busy_leaves_it_to_the_others_until_it_has_time_again(self) -> None:
        load = OwnLoad(self.clock.seconds, lambda: self.used_s)
        affinity = ConnectionAffinity(1, 3, 4, load)
        self.assertEqual(affinity.accept_quota(Tally()), 4)
        self.clock.advance(2.0)
        self.used_s += 1.9
        self.assertEqual(affinity.accept_quota(Tally()), 0)
        self.clock.advance(0.5)
        self.assertEqual(affinity.accept_quota(Tally()), 0)
        self.clock.advance(1.0)
        self.assertEqual(affinity.accept_quota(Tally()), 4)


class IntakeTests(WorkersCase):
    """Real workers."""

    def workers_of_connections(self, count: int) -> set[int | None]:
        """The workers that serve so many SMTP connections."""
        ports = [self.smtp().getsockname()[1] for _ in range(count)]
        return {worker_of(port, self.server.pid) for port in ports}

    def test_on_one_file_one_worker_takes_all_mail_in_and_whoever_comes_while_it_is_dead_waits(self) -> None:
        self.server.start()
        (worker,) = self.workers_of_connections(12)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        self.deliver()
        (successor,) = self.workers_of_connections(3)
        self.assertNotEqual(successor, worker)
        self.assertEqual(self.imap().search(None, "ALL"), ("OK", [b"1"]))

    def test_the_others_serve_mailboxes(self) -> None:
        self.server.start()
        ports = [self.pop3().getsockname()[1] for _ in range(30)]
        self.assertGreater(len({worker_of(port, self.server.pid) for port in ports}), 1)

    def test_the_task_passes_on_when_the_workers_are_replaced(self) -> None:
        self.server.start()
        connection = self.smtp()
        os.kill(self.server.pid, signal.SIGHUP)
        until(lambda: self.log().count(" workers.ready ") == 2)
        until(lambda: not talk(connection, "NOOP").startswith("250 "))
        self.deliver()
        self.assertEqual(len(self.workers_of_connections(6)), 1)

    def test_all_take_mail_in_where_that_is_asked_for_but_few_connections_stay_together(self) -> None:
        self.server = TunedServer(
            self.folder, ["ann"], {"server": {"workers": 3}, "workers": {"intake": "all", "together": 4}}
        )
        self.server.start()
        held = [self.smtp() for _ in range(4)]
        first = {worker_of(connection.getsockname()[1], self.server.pid) for connection in held}
        self.assertEqual(len(first), 1)
        self.assertGreater(len(self.workers_of_connections(20)), 1)
