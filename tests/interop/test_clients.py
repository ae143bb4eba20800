"""Programs people read and send mail with: swaks, mbsync, fetchmail, mutt."""

from __future__ import annotations

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import imap
from tests.interop.base import ServerTestCase, needs


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

    @needs("mbsync")
    def test_mbsync_takes_a_folder_down_and_changes_up(self) -> None:
        self._append("Synced", "one", "two", "three")
        config, near = self.folder / "mbsyncrc", self.folder / "maildir"
        config.write_text(
            f"IMAPAccount a\nHost 127.0.0.1\nPort {self.server.port(993)}\nUser {self.user}\n"
            f"Pass {self.server.password}\nSSLType IMAPS\n"
            f"CertificateFile {self._certificate()}\n\n"
            "IMAPStore far\nAccount a\n\n"
            f"MaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n"
            "Channel c\nFar :far:\nNear :near:\nPatterns Synced\nCreate Both\nExpunge Both\nSync All\nSyncState *\n"
        )
        near.mkdir()
        self.run_client("mbsync", "-c", str(config), "-a")
        found = sorted(path for path in (near / "Synced").glob("[nc]*/*"))
        self.assertEqual(len(found), 3)
        found[0].unlink()
        self.run_client("mbsync", "-c", str(config), "-a")
        reader = imap(self.server, self.user)
        self.assertEqual(reader.select("Synced")[1], [b"2"])

    def _certificate(self) -> str:
        """The self-signed certificate of the server, in PEM."""
        import ssl

        path = self.folder / "server.pem"
        path.write_text(ssl.get_server_certificate(("127.0.0.1", self.server.port(993))))
        return str(path)

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
