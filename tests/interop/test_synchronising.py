"""Programs that keep a copy of the mail, and change it on both sides: mbsync, offlineimap, mutt and neomutt."""

from __future__ import annotations

import imaplib
import re
import ssl
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import imap
from tests.interop.base import ServerTestCase, needs
from tests.interop.recording.proxy import Said, recording

NEW = "From: a@elsewhere.test\nSubject: {0}\nMessage-ID: <{0}@near>\n\nWritten here.\n"


def message(subject: str) -> bytes:
    """A small message."""
    return f"From: a@elsewhere.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far>\r\n\r\nText\r\n".encode()


class Mailbox:
    """What is on the server, by subject."""

    def __init__(self, client: imaplib.IMAP4, name: str) -> None:
        self._client = client
        self._name = name

    def append(self, *subjects: str) -> None:
        """Put messages into it, which is made first if it is not there."""
        self._client.create(self._name)
        for subject in subjects:
            assert self._client.append(self._name, "", "", message(subject))[0] == "OK"

    def flags(self) -> dict[str, set[str]]:
        r"""The flags of each message but ``\Recent``, by its subject."""
        answer = self._client.select(self._name)
        assert answer[0] == "OK", answer
        if answer[1] == [b"0"]:
            return {}
        found = {}
        for item in self._client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(item, tuple):
                flags = imaplib.ParseFlags(item[0])
                subject = item[1].decode().strip().removeprefix("Subject: ")
                found[subject] = {flag.decode() for flag in flags} - {"\\Recent"}
        return found

    def store(self, subject: str, flag: str) -> None:
        """Set a flag; with ``\\Deleted`` the message is gone at once."""
        self._client.select(self._name)
        numbers = self._client.search(None, "SUBJECT", subject)[1][0].decode()
        assert self._client.store(numbers, "+FLAGS", flag)[0] == "OK"
        if flag == "\\Deleted":
            assert self._client.expunge()[0] == "OK"


class Maildir:
    """What is on this side, by subject."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def paths(self) -> dict[str, Path]:
        """The file of each message."""
        found = {}
        for path in self._folder.glob("[nc]*/*"):
            subject = re.search(r"^Subject: (.*?)\r?$", path.read_text(), re.MULTILINE)
            assert subject is not None
            found[subject[1]] = path
        return found

    def flags(self) -> dict[str, str]:
        """The letters of each message."""
        return {subject: path.name.partition(":2,")[2] for subject, path in self.paths().items()}

    def mark(self, subject: str, letters: str) -> None:
        """Give a message these letters."""
        path = self.paths()[subject]
        path.rename(self._folder / "cur" / f"{path.name.partition(':2,')[0]}:2,{letters}")

    def write(self, subject: str) -> None:
        """A new message, in a folder that may be new."""
        for name in ("cur", "new", "tmp"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "new" / f"1.{subject}.here").write_text(NEW.format(subject))


@pytest.mark.interop
class BothWaysTests(ServerTestCase):
    """What is done on one side is on the other after the next run."""

    def _both_ways(self, prefix: str, near: Path, synchronise: list[str]) -> None:
        """``prefix`` begins the names of the mailboxes of this program, ``near`` is the folder of its copy."""
        client = imap(self.server, self.user)
        far, here = Mailbox(client, f"{prefix}One"), Maildir(near / f"{prefix}One")
        far.append("seen-here", "flagged-there", "deleted-here", "deleted-there")
        self.run_client(*synchronise)
        self.assertEqual(set(here.paths()), {"seen-here", "flagged-there", "deleted-here", "deleted-there"})

        here.mark("seen-here", "S")
        here.paths()["deleted-here"].unlink()
        here.write("new-here")
        Maildir(near / f"{prefix}Two").write("first-of-two")
        far.store("flagged-there", "\\Flagged")
        far.store("deleted-there", "\\Deleted")
        far.append("new-there")
        self.run_client(*synchronise)
        self.run_client(*synchronise)

        there = far.flags()
        self.assertEqual(there.pop("seen-here"), {"\\Seen"})
        self.assertEqual(there.pop("flagged-there"), {"\\Flagged"})
        self.assertEqual(set(there), {"new-here", "new-there"})
        self.assertEqual(set(Mailbox(client, f"{prefix}Two").flags()), {"first-of-two"})
        flags = here.flags()
        self.assertEqual(flags.pop("seen-here"), "S")
        self.assertEqual(flags.pop("flagged-there"), "F")
        self.assertEqual(set(flags), {"new-here", "new-there"})
        client.logout()

    def _certificate(self) -> Path:
        path = self.folder / "server.pem"
        path.write_text(ssl.get_server_certificate(("127.0.0.1", self.server.port(993))))
        return path

    @needs("mbsync")
    @acceptance("S230")
    def test_mbsync(self) -> None:
        """And a new computer has everything after one run."""
        for name in ("first", "second"):
            near = self.folder / f"mbsync-{name}"
            near.mkdir()
            (self.folder / f"mbsync-{name}rc").write_text(
                f"IMAPAccount a\nHost 127.0.0.1\nPort {self.server.port(993)}\nUser {self.user}\n"
                f"Pass {self.server.password}\nSSLType IMAPS\nCertificateFile {self._certificate()}\n\n"
                f"IMAPStore far\nAccount a\n\nMaildirStore near\nPath {near}/\nInbox {near}/INBOX\n"
                "SubFolders Verbatim\n\nChannel c\nFar :far:\nNear :near:\nPatterns Mb*\nCreate Both\n"
                "Expunge Both\nSync All\nSyncState *\n"
            )
        self._both_ways("Mb", self.folder / "mbsync-first", ["mbsync", "-c", f"{self.folder}/mbsync-firstrc", "-a"])
        self.run_client("mbsync", "-c", f"{self.folder}/mbsync-secondrc", "-a")
        for name in ("MbOne", "MbTwo"):
            old, new = (Maildir(self.folder / f"mbsync-{which}" / name).flags() for which in ("first", "second"))
            self.assertEqual(old, new)
            self.assertTrue(new)

    @needs("offlineimap")
    def test_offlineimap(self) -> None:
        near, config = self.folder / "offlineimap", self.folder / "offlineimaprc"
        config.write_text(
            f"[general]\naccounts = a\nmetadata = {self.folder}/offlineimap-state\nui = quiet\n\n"
            "[Account a]\nlocalrepository = near\nremoterepository = far\n\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {near}\nsync_deletes = yes\n"
            "folderfilter = lambda name: name.startswith('Off')\n\n"
            f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {self.server.port(143)}\n"
            f"remoteuser = {self.user}\nremotepass = {self.server.password}\nssl = no\n"
            "starttls = no\n"
            "folderfilter = lambda name: name.startswith('Off')\nexpunge = yes\n"
        )
        self._both_ways("Off", near, ["offlineimap", "-o", "-c", str(config)])


@pytest.mark.interop
class HeaderCacheTests(ServerTestCase):
    """Programs that keep headers, and ask by QRESYNC (RFC 7162) what has changed meanwhile."""

    def _back_after_a_change(self, program: str) -> None:
        client = imap(self.server, self.user)
        mailbox = Mailbox(client, f"{program}-desk")
        mailbox.append("stays", "goes", "is-flagged")
        kept = f"{program}-kept"
        client.create(kept)
        config, folder = self.folder / f"{program}rc", self.folder / f"{program}-cache"
        folder.mkdir()
        with recording({"imap": self.server.port(143)}) as proxy:
            url = f"imap://127.0.0.1:{proxy.ports['imap']}/"
            for keys in (
                "<quit>",
                f"<tag-pattern>~F<enter><tag-prefix><save-message>={kept}<enter><sync-mailbox><quit>",
            ):
                config.write_text(
                    f'set imap_user="{self.user}"\nset imap_pass="{self.server.password}"\nset ssl_starttls=no\n'
                    f'set ssl_force_tls=no\nset folder="{url}"\nset confirmappend=no\nset quit=yes\nset delete=yes\n'
                    f'set header_cache="{folder}/"\nset imap_condstore=yes\nset imap_qresync=yes\n'
                    f'push "{keys}"\n'
                )
                # It wants a terminal; script(1) gives it one.
                command = f"{program} -F {config} -f {url}{program}-desk"
                self.run_client("script", "-qec", command, "/dev/null", TERM="xterm")
                if keys == "<quit>":
                    mailbox.store("is-flagged", "\\Flagged")
                    mailbox.store("goes", "\\Deleted")
                    mailbox.append("new")
            spoken = b"".join([one.octets or b"" for one in proxy.said if isinstance(one, Said) and one.by_client])
        self.assertIn(b"ENABLE QRESYNC", spoken)
        self.assertRegex(spoken, rb"UID FETCH 1:3 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)")
        self.assertEqual(set(mailbox.flags()), {"stays", "new"})
        self.assertEqual(set(Mailbox(client, kept).flags()), {"is-flagged"})
        client.logout()

    @needs("mutt")
    def test_mutt(self) -> None:
        self._back_after_a_change("mutt")

    @needs("neomutt")
    def test_neomutt(self) -> None:
        self._back_after_a_change("neomutt")
