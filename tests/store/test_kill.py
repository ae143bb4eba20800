"""A process is killed while it writes: what it said was stored is there, whole and once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from pymailsuite.interfaces import Column
from pymailsuite.interfaces.quota import DomainQuota, Limits
from pymailsuite.values import ALL_UIDS
from tests.store.support import OnDisk

WRITER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Acceptance, Delivery
from pymailsuite.store import mail_store
from pymailsuite.values import UidSet

store = mail_store(StoreSection(sqlite_checkpoint_interval=0.02), reactor, url=sys.argv[1])
run = sys.argv[2]

async def client(number, account):
    mail = store.account_mail(account.account_id)
    inbox = (await mail.mailbox("INBOX")).mailbox_id
    archive = (await mail.mailbox("Archive")).mailbox_id
    for turn in range(1_000_000):
        name = f"{run}-{number}-{turn}"
        writer = store.new_content()
        writer.write(f"Subject: {name}\\r\\n\\r\\n".encode() + b"x" * (300 * turn % 5000))
        content = await writer.finish()
        await store.queue.accept(Acceptance(content, (Delivery(account.account_id, b""),)))
        print(name, flush=True)
        if turn % 3 == 2:
            uids = [row[0] for row in (await mail.select("INBOX", True)).rows][:5]
            await mail.move(inbox, UidSet.of(uids), "Archive")
            if turn % 6 == 5:
                copied = await mail.copy(archive, UidSet(((1, 3),)), "Trash")
                trash = (await mail.mailbox("Trash")).mailbox_id
                await mail.remove_messages(trash, UidSet.of(copied.target))

async def main():
    await store.open()
    account = await store.directory.account("ann@example.org")
    for number in range(5):
        Deferred.fromCoroutine(client(number, account)).addErrback(lambda reason: print(reason, file=sys.stderr))

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


class KillTests(OnDisk):
    def test_whatever_was_acknowledged_is_there_exactly_once(self) -> None:
        ann = self.account()
        # What the accounts of the domain hold together is counted beside them, then.
        total = DomainQuota(total=Limits(storage=1 << 40))
        self.result(self.store.directory.change_domain_quota("example.org", lambda _: total))
        self.result(self.store.close())
        dice = random.Random(1)
        acknowledged: set[str] = set()
        for run in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER, self.url, str(run)], stdout=subprocess.PIPE, cwd=os.getcwd()
            )
            assert process.stdout is not None
            acknowledged.add(process.stdout.readline().decode().strip())
            time.sleep(dice.uniform(0.05, 0.4))
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().decode()
            acknowledged.update(line for line in rest.split("\n")[:-1])
            process.wait()
            process.stdout.close()
        self.store = self.open_store()
        self.assert_sound()
        mail = self.store.account_mail(ann.account_id)
        found: list[str] = []
        for name in ("INBOX", "Archive"):
            mailbox_id = self.result(mail.mailbox(name)).mailbox_id
            rows = self.result(mail.read_messages(mailbox_id, ALL_UIDS, (Column.HEADER,), list))
            found += [header.decode().split()[1] for (header,) in rows]
        self.assertGreater(self.result(self.store.quotas.domain_total("example.org")).usage.messages, 0)
        self.assertGreater(len(acknowledged), 20)
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(acknowledged, set(found))
