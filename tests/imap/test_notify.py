"""NOTIFY beyond its transcript: what is refused, what fails, and what it does together with other extensions."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import AccountChanges
from tests.imap.conversation import USER, Client, Server, message
from tests.support.stores import append, fired

_ALL = "(MessageNew MessageExpunge FlagChange)"


class Refused(SynchronousTestCase):
    """Commands that are no NOTIFY."""

    def test_what_is_wrong_is_said(self) -> None:
        client = Server().connect().login()
        for command, answer in (
            ("NOTIFY", "BAD "),
            ("NOTIFY SOME", "BAD Expected SET or NONE"),
            ("NOTIFY SET", "BAD "),
            ("NOTIFY SET STATE (personal NONE)", "BAD Expected STATUS"),
            ("NOTIFY SET personal", "BAD "),
            ("NOTIFY SET (some NONE)", "BAD Expected which mailboxes"),
            ("NOTIFY SET (personal)", "BAD "),
            ("NOTIFY SET (personal ())", "BAD "),
            ("NOTIFY SET (personal (Thunder))", "BAD Unknown event"),
            ("NOTIFY SET (personal (MessageNew))", "BAD MessageNew and MessageExpunge must both be asked for"),
            ("NOTIFY SET (personal (FlagChange))", "BAD MessageNew and MessageExpunge must both be asked for"),
            ("NOTIFY SET (personal (MessageNew (UID) MessageExpunge))", "BAD "),
            ("NOTIFY SET (selected (MailboxName))", "BAD That is no event of messages"),
            ("NOTIFY SET (selected NONE) (selected-delayed NONE)", "BAD The selected mailbox is named twice"),
            ("NOTIFY SET (subtree () NONE)", "BAD "),
            (f"NOTIFY SET {'(personal NONE) ' * 101}(inboxes NONE)", "BAD Too many groups of events"),
            (f"NOTIFY SET (mailboxes ({' a' * 1001}) NONE)".replace("( ", "("), "BAD Too many mailboxes"),
            (
                "NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))",
                "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)] ",
            ),
        ):
            self.assertEqual(client.command(command)[-1][: len(answer) + 2], f"x {answer}", command[:80])


class Told(SynchronousTestCase):
    """What a client gets without a command."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(1, 2, 3)
        self.client = self.server.connect().login()
        self.other = self.server.connect().login()
        self.other.command("SELECT INBOX")

    def _set(self, groups: str, select: str = "SELECT INBOX") -> Client:
        self.assertEqual(self.client.command(f"NOTIFY SET {groups}")[-1], "x OK NOTIFY completed")
        if select:
            self.client.command(select)
        return self.client

    def test_expunges_come_at_once_if_that_was_asked_for(self) -> None:
        client = self._set(f"(selected {_ALL})")
        self.other.command("STORE 2 +FLAGS.SILENT (\\Deleted)")
        self.assertEqual(client.output(), b"* 2 FETCH (FLAGS (\\Deleted))\r\n")
        self.other.command("EXPUNGE")
        self.assertEqual(client.output(), b"* 2 EXPUNGE\r\n")

    def test_flags_are_told_only_to_who_wants_them(self) -> None:
        client = self._set("(selected (MessageNew MessageExpunge))")
        self.other.command("STORE 2 +FLAGS.SILENT (\\Seen)")
        self.server.deliver(4)
        self.assertEqual(client.output(), b"* 4 EXISTS\r\n* 1 RECENT\r\n")

    def test_vanished_with_qresync(self) -> None:
        self.client.command("ENABLE QRESYNC")
        client = self._set(f"(selected {_ALL}) (personal {_ALL})")
        self.other.command("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
        client.output()
        self.other.command("EXPUNGE")
        self.assertEqual(client.output().splitlines()[0], b"* VANISHED 1,3")

    def test_modseqs_of_other_mailboxes_are_told_with_condstore(self) -> None:
        self.client.command("ENABLE CONDSTORE")
        client = self._set(f"(inboxes {_ALL})", select="")
        self.other.command("STORE 1 +FLAGS.SILENT (\\Seen)")
        self.assertRegex(
            client.output().decode(), r"^\* STATUS INBOX \(MESSAGES 3 .* UNSEEN 2 HIGHESTMODSEQ \d+\)\r\n$"
        )

    def test_a_mailbox_that_is_subscribed_later_is_followed(self) -> None:
        self.client.command("UNSUBSCRIBE INBOX")
        client = self._set(f"(subscribed {_ALL})", select="")
        self.server.deliver(4)
        self.assertEqual(client.output(), b"")
        self.other.command("SUBSCRIBE INBOX")
        self.server.deliver(5)
        self.assertIn(b"* STATUS INBOX (MESSAGES 5 ", client.output())
        self.other.command("UNSUBSCRIBE INBOX")
        self.server.deliver(6)
        self.assertEqual(client.output(), b"")

    def test_idle_tells_the_same(self) -> None:
        client = self._set(f"(selected-delayed {_ALL})(personal (MailboxName))")
        client.command("IDLE")
        self.other.command("CREATE New")
        self.other.command("STORE 1 +FLAGS.SILENT (\\Deleted)")
        self.other.command("EXPUNGE")
        self.assertEqual(
            client.output().splitlines(),
            [b'* LIST () "/" New', b"* 1 FETCH (FLAGS (\\Deleted))", b"* 1 EXPUNGE"],
        )

    def test_nothing_comes_while_a_message_is_appended(self) -> None:
        client = self._set(f"(selected {_ALL})")
        client.send(b"a APPEND INBOX {5+}\r\nab")
        self.server.deliver(4)
        self.assertEqual(client.output(), b"")
        self.assertIn(b"* 5 EXISTS\r\n", client.send(b"cde\r\n"))

    def test_after_unauthenticate_the_account_is_not_watched(self) -> None:
        client = self._set(f"(personal {_ALL})", select="")
        client.command("UNAUTHENTICATE")
        self.server.deliver(4)
        self.assertEqual(client.output(), b"")
        client.login()
        self.server.deliver(5)
        self.assertEqual(client.output(), b"")

    def test_too_much_has_happened(self) -> None:
        client = self._set(f"(personal {_ALL})", select="")
        self._mail_of(client).account_changes = lambda since: succeed(AccountChanges(since, is_complete=False))
        self.server.deliver(4)
        self.assertEqual(client.output(), b"* OK [NOTIFICATIONOVERFLOW] Too much has happened to tell of it\r\n")
        self.server.deliver(5)
        self.assertEqual(client.output(), b"")

    def test_a_long_answer_comes_in_parts(self) -> None:
        client = self._set(f"(personal {_ALL})", select="")
        mail = self._mail_of(client)
        real = mail.account_changes
        asked = []

        def in_parts(since: Any) -> Deferred[AccountChanges]:
            asked.append(since)
            if len(asked) > 1:
                return real(since)
            return real(since).addCallback(lambda changes: evolve(changes, modseq=since, messages_in=(), has_more=True))

        mail.account_changes = in_parts
        self.server.deliver(4)
        self.assertEqual(len(asked), 2)
        self.assertIn(b"* STATUS INBOX (MESSAGES 4 ", client.output())

    def test_the_store_is_asked_again_later_if_it_fails(self) -> None:
        client = self._set(f"(personal {_ALL})", select="")
        mail = self._mail_of(client)
        real, mail.account_changes = mail.account_changes, lambda _: fail(StoreUnavailable())
        self.server.deliver(4)
        self.assertEqual(client.output(), b"")
        mail.account_changes = real
        self.server.clock.advance(5)
        self.assertIn(b"* STATUS INBOX (MESSAGES 4 ", client.output())

    def test_shared_mailboxes_are_followed_as_rights_come_and_go(self) -> None:
        server = self.server
        bob = server.add_user("bob@example.org")
        server.store.account_mail(bob.account_id).create_mailbox("Team", None)
        server.store.account_mail(bob.account_id).create_mailbox("Secret", None)
        server.share("Team", USER, "lr", owner=bob)
        told = f'(subtree "Other Users" {_ALL[:-1]} MailboxName))'
        client = self.client
        status = client.command(f"NOTIFY SET STATUS {told}")
        self.assertEqual([line.partition(" (")[0] for line in status[:-1]], ['* STATUS "Other Users/bob/Team"'])
        append(server.store, bob, "Team", message(1))
        append(server.store, bob, "Secret", message(2))
        self.assertRegex(client.output().decode(), r'^\* STATUS "Other Users/bob/Team" \(MESSAGES 1 .* UNSEEN 1\)\r\n$')
        server.share("Secret", USER, "lr", owner=bob)
        self.assertEqual(
            [line.partition(" (MESS")[0] for line in client.output().decode().splitlines()],
            ['* LIST () "/" "Other Users/bob/Secret"', '* STATUS "Other Users/bob/Secret"'],
        )
        server.share("Team", USER, "", owner=bob)
        self.assertEqual(client.output(), b'* LIST (\\NonExistent) "/" "Other Users/bob/Team"\r\n')
        append(server.store, bob, "Team", message(3))
        self.assertEqual(client.output(), b"")
        fired(server.store.directory.remove_account("bob@example.org"))
        self.assertEqual(client.output(), b'* LIST (\\NonExistent) "/" "Other Users/bob/Secret"\r\n')

    def test_there_is_a_limit_of_accounts_that_one_client_watches(self) -> None:
        server = Server(notify_accounts=1)
        for name in ("bob", "cat"):
            server.share("INBOX", USER, "lr", owner=server.add_user(f"{name}@example.org"))
        client = server.connect().login()
        self.assertRegex(
            client.command(f'NOTIFY SET (subtree "Other Users" {_ALL})')[-1], r"^x NO \[LIMIT\] Mailboxes of too many"
        )
        self.assertEqual(
            client.command(f'NOTIFY SET (mailboxes "Other Users/bob/INBOX" {_ALL})')[-1], "x OK NOTIFY completed"
        )

    def test_many_mailboxes_are_looked_through_in_turns(self) -> None:
        for number in range(450):
            self.server.mail.create_mailbox(f"Many/{number}", None)
        told = self.client.command(f"NOTIFY SET STATUS (subtree Many {_ALL})")
        self.assertEqual(len(told), 452)
        self.assertEqual(told[-1], "x OK NOTIFY completed")

    def test_a_subscription_to_one_account_too_many_ends_it_once_and_for_all(self) -> None:
        server = Server(notify_accounts=1)
        for name in ("bob", "cat"):
            server.share("INBOX", USER, "lr", owner=server.add_user(f"{name}@example.org"))
        client, other = server.connect().login(), server.connect().login()
        client.command(f"NOTIFY SET (subscribed {_ALL})")
        other.command('SUBSCRIBE "Other Users/bob/INBOX"')
        self.assertEqual(client.output(), b"")
        other.command('SUBSCRIBE "Other Users/cat/INBOX"')
        self.assertEqual(client.output(), b"* OK [NOTIFICATIONOVERFLOW] Too much has happened to tell of it\r\n")
        server.clock.advance(60)
        self.assertEqual(client.output(), b"")

    def test_rights_that_changed_while_the_store_failed_are_told_later(self) -> None:
        server = self.server
        bob = server.add_user("bob@example.org")
        server.store.account_mail(bob.account_id).create_mailbox("Team", None)
        server.share("Team", USER, "lr", owner=bob)
        client = self._set(f'(subtree "Other Users" {_ALL[:-1]} MailboxName))', select="")
        watched = client.protocol._session.unsolicited._watched[bob.account_id]  # type: ignore[attr-defined]
        real, failing = watched.mail.mailboxes, lambda: fail(StoreUnavailable())
        watched.mail.mailboxes = failing
        server.share("Team", USER, "", owner=bob)
        self.assertEqual(client.output(), b"")
        watched.mail.mailboxes = real
        server.clock.advance(5)
        self.assertEqual(client.output(), b'* LIST (\\NonExistent) "/" "Other Users/bob/Team"\r\n')

    def _mail_of(self, client: Client) -> Any:
        return client.protocol._session.avatar.mail  # type: ignore[attr-defined]
