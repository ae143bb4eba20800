"""Programs people read, sort and send mail with: swaks, fetchmail, imapfilter, mutt, aerc; and one day."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import ssl

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import imap
from tests.interop.base import ServerTestCase, needs
from tests.interop.terminal import typing
from tests.support.patience import PATIENCE_S, until


@pytest.mark.interop
class ClientTests(ServerTestCase):
    """Each program does what it is for, against its own folder of the server."""

    def _append(self, mailbox: str, *subjects: str) -> None:
        client = imap(self.server, self.user)
        client.create(mailbox)
        for subject in subjects:
            octets = f"From: a@elsewhere.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n\r\nText\r\n"
            self.assertEqual(client.append(mailbox, "", "", octets.encode())[0], "OK")
        client.logout()

    @needs("swaks")
    @acceptance("S004", "S037")
    def test_swaks_submits_with_starttls_and_login(self) -> None:
        self.run_client(
            *("swaks", "--server", f"127.0.0.1:{self.server.port(587)}", "--tls", "--auth", "PLAIN"),
            *("--auth-user", self.user, "--auth-password", self.server.password, "--from", self.user),
            *("--to", self.other, "--header", "Subject: by swaks"),
        )
        reader = imap(self.server, self.other)
        reader.select("INBOX")
        self.assertNotEqual(reader.search(None, "SUBJECT", "swaks")[1], [b""])

    @needs("fetchmail")
    @acceptance("S143")
    def test_fetchmail_empties_the_maildrop(self) -> None:
        self._append("INBOX", "fetched-1", "fetched-2")
        config = self.folder / "fetchmailrc"
        config.write_text(
            f'poll 127.0.0.1 service {self.server.port(110)} protocol pop3 user "{self.user}" '
            f'password "{self.server.password}" sslproto "" mda "cat >> {self.folder}/fetched"\n'
        )
        config.chmod(0o600)
        self.run_client("fetchmail", "--fetchmailrc", str(config), "--pidfile", str(self.folder / "fetchmail.pid"))
        self.assertEqual((self.folder / "fetched").read_bytes().count(b"Subject: fetched-"), 2)
        reader = imap(self.server, self.user)
        self.assertEqual(reader.select("INBOX")[1], [b"0"])

    @needs("mutt")
    def test_mutt_saves_a_message_into_another_folder(self) -> None:
        self._append("Desk", "by-mutt")
        imap(self.server, self.user).create("Drawer")
        config = self.folder / "muttrc"
        config.write_text(
            f'set imap_user="{self.user}"\nset imap_pass="{self.server.password}"\nset ssl_starttls=no\n'
            "set ssl_force_tls=no\nset confirmappend=no\nset quit=yes\nset delete=yes\n"
            f'set folder="imap://127.0.0.1:{self.server.port(143)}/"\n'
            'push "<save-message>=Drawer<enter><sync-mailbox><quit>"\n'
        )
        # mutt wants a terminal; script(1) gives it one.
        mutt = f"mutt -F {config} -f imap://127.0.0.1:{self.server.port(143)}/Desk"
        self.run_client("script", "-qec", mutt, "/dev/null", TERM="xterm")
        reader = imap(self.server, self.user)
        self.assertEqual(reader.select("Desk")[1], [b"0"])
        self.assertEqual(reader.select("Drawer")[1], [b"1"])

    @needs("imapfilter")
    def test_imapfilter_sorts_by_what_it_searches(self) -> None:
        self._append("Heap", "invoice-1", "chat-1", "invoice-2")
        config = self.folder / "imapfilter.lua"
        config.write_text(
            "options.starttls = false\noptions.certificates = false\noptions.create = true\n"
            f"a = IMAP {{ server = '127.0.0.1', port = {self.server.port(143)}, username = '{self.user}', "
            f"password = '{self.server.password}' }}\n"
            "found = a['Heap']:contain_subject('invoice') * a['Heap']:is_unseen()\n"
            "found:mark_flagged()\nfound:move_messages(a['Invoices'])\n"
            "a['Heap']:is_unseen():add_flags({ 'Sorted' })\n"
        )
        self.run_client("imapfilter", "-c", str(config))
        reader = imap(self.server, self.user)
        self.assertEqual(reader.select("Invoices")[1], [b"2"])
        self.assertEqual(reader.search(None, "FLAGGED")[1], [b"1 2"])
        self.assertEqual(reader.select("Heap")[1], [b"1"])
        self.assertEqual(reader.search(None, "KEYWORD", "Sorted")[1], [b"1"])

    @needs("aerc")
    def test_aerc_reads_flags_and_moves(self) -> None:
        self._append("Table", "by-aerc")
        imap(self.server, self.user).create("Shelf")
        folder = self.folder / "aerc"
        (folder / "aerc").mkdir(parents=True)
        accounts = folder / "aerc" / "accounts.conf"
        user = self.user.replace("@", "%40")
        accounts.write_text(
            f"[a]\nsource = imap+insecure://{user}:{self.server.password}@127.0.0.1:{self.server.port(143)}\n"
            f"from = Ann <{self.user}>\ndefault = Table\ncache-headers = true\n"
        )
        accounts.chmod(0o600)
        reader = imap(self.server, self.user)

        def flags() -> bytes:
            reader.select("Table")
            return repr(reader.fetch("1", "(FLAGS)")[1]).encode()

        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TERM": "xterm"}
        with typing(["aerc"], folder, environment) as terminal:
            until(lambda: b"by-aerc" in terminal.shown)
            terminal.type("\r")
            until(lambda: b"Seen" in flags())
            terminal.type(":flag\r")
            until(lambda: b"Flagged" in flags())
            terminal.type(":move Shelf\r")
            until(lambda: reader.select("Shelf")[1] == [b"1"])
        self.assertEqual(reader.select("Table")[1], [b"0"])

    @acceptance("S239")
    def test_a_day_of_an_employee(self) -> None:
        """Mail of a client comes in, is put into a folder, answered and marked as unread; the answer arrives."""
        ann, bob = (imap(self.server, address) for address in (self.user, self.other))
        question = (
            f"From: {self.other}\r\nTo: {self.user}\r\nSubject: An offer?\r\nMessage-ID: <q@bob>\r\n\r\nHow much?\r\n"
        )
        self._submit(self.other, self.user, question)
        ann.select("INBOX")
        uid = ann.uid("SEARCH", "HEADER", "Message-ID", "<q@bob>")[1][0].decode()
        self.assertTrue(uid)
        self.assertEqual(ann.create("Clients")[0], "OK")
        self.assertEqual(ann.subscribe("Clients")[0], "OK")
        self.assertEqual(ann.uid("MOVE", uid, "Clients")[0], "OK")
        self.assertEqual(ann.uid("SEARCH", "HEADER", "Message-ID", "<q@bob>")[1], [b""])

        self.assertEqual(ann.select("Clients")[1], [b"1"])
        self.assertIn(b"How much?", ann.fetch("1", "(BODY[TEXT])")[1][0][1])
        answer = (
            f"From: {self.user}\r\nTo: {self.other}\r\nSubject: Re: An offer?\r\nIn-Reply-To: <q@bob>\r\n"
            "Message-ID: <a@ann>\r\n\r\nNot much.\r\n"
        )
        self._submit(self.user, self.other, answer)
        self.assertEqual(ann.append("Sent", "\\Seen", "", answer.encode())[0], "OK")
        ann.store("1", "+FLAGS", "\\Answered")
        ann.store("1", "-FLAGS", "\\Seen")
        self.assertEqual(ann.search(None, "UNSEEN", "ANSWERED")[1], [b"1"])
        self.assertIn(b"UNSEEN 1", ann.status("Clients", "(UNSEEN)")[1][0])
        self.assertIn(b"Clients", b" ".join(ann.lsub('""', "Clients")[1]))

        bob.select("INBOX")
        self.assertNotEqual(bob.search(None, "HEADER", "In-Reply-To", "<q@bob>")[1], [b""])

    def _submit(self, sender: str, recipient: str, octets: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(587)) as submission:
            submission.login(sender, self.server.password)
            submission.sendmail(sender, [recipient], octets)

    @acceptance("S238")
    def test_a_program_that_tries_the_standard_ports_finds_them_by_itself(self) -> None:
        """What assistants do: greet in plain, ask what is offered, and begin TLS where it is."""
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        reader = imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S)
        self.assertIn("STARTTLS", reader.capabilities)
        reader.starttls(trusting)
        self.assertEqual(reader.login(self.user, self.server.password)[0], "OK")
        maildrop = poplib.POP3("127.0.0.1", self.server.port(110), timeout=PATIENCE_S)
        self.assertIn("STLS", maildrop.capa())
        maildrop.stls(trusting)
        self.assertIn("USER", maildrop.capa())
        for port in (25, 587):
            sender = smtplib.SMTP("127.0.0.1", self.server.port(port), timeout=PATIENCE_S)
            sender.ehlo()
            self.assertTrue(sender.has_extn("STARTTLS"))
            sender.starttls(context=trusting)
            self.assertEqual(sender.ehlo()[0], 250)
            sender.quit()
        imaplib.IMAP4_SSL("127.0.0.1", self.server.port(993), ssl_context=trusting).logout()
        poplib.POP3_SSL("127.0.0.1", self.server.port(995), context=trusting).quit()
        smtplib.SMTP_SSL("127.0.0.1", self.server.port(465), context=trusting).quit()
        reader.logout()
        maildrop.quit()
