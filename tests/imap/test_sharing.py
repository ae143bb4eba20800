"""Mailboxes of others: what each right allows, whose \\Seen it is, and what sessions of several users are told."""

from __future__ import annotations

import re

import pytest
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces.rights import ALL_RIGHTS, Rights
from pymailsuite.values import FlagChange, Flags, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.imap.conversation import Client, Server, message
from tests.support.stores import fired

BOB, CAT = "bob@example.org", "cat@example.org"
TEAM = '"Other Users/ann/Team"'
NOPERM = "x NO [NOPERM] Permission denied"
BYE = "* BYE The selected mailbox was deleted, or is no longer shared with you"
NONE = "x NO [NONEXISTENT] Mailbox does not exist"

# What Bob says to a mailbox of Ann's, and the rights without each of which that is refused. Letters of RFC 2086 stand
# for themselves: "c" and "d". A command after ";" needs the mailbox selected.
MATRIX = {
    f"LIST {TEAM} *": "",
    f"STATUS {TEAM} (MESSAGES)": "r",
    f"SELECT {TEAM}": "r",
    f"EXAMINE {TEAM}": "r",
    f"MYRIGHTS {TEAM}": "",
    f"GETACL {TEAM}": "a",
    f"SETACL {TEAM} {CAT} l": "a",
    f"DELETEACL {TEAM} {CAT}": "a",
    f"LISTRIGHTS {TEAM} {CAT}": "a",
    f'CREATE {TEAM[:-1]}/New"': "c",
    f'DELETE {TEAM[:-1]}/Old"': "c",
    f'RENAME {TEAM[:-1]}/Old" {TEAM[:-1]}/Older"': "c",
    f"COPY INBOX {TEAM}": "i",
    f"MOVE INBOX {TEAM}": "i",
    f"APPEND {TEAM}": "i",
    f"GETMETADATA {TEAM} /shared/comment": "r",
    f'SETMETADATA {TEAM} (/private/comment "x")': "r",
    f'SETMETADATA {TEAM} (/shared/comment "x")': "rw",
    ";STORE 1 +FLAGS (\\Seen)": "s",
    ";STORE 1 +FLAGS (\\Deleted)": "d",
    ";STORE 1 +FLAGS (\\Flagged)": "w",
    ";STORE 1 +FLAGS ($Work)": "w",
    ";STORE 1 FLAGS ()": "swd",
    ";EXPUNGE": "d",
    ";UID EXPUNGE 1": "d",
    ";COPY 1 INBOX": "r",
    ";MOVE 1 INBOX": "rd",
    f";REPLACE 1 {TEAM} CATENATE (URL ;UID=1)": "rid",
    ";FETCH 1 BODY[]": "r",
    ";SEARCH ALL": "r",
}
EITHER = {";STORE 1 FLAGS ()"}
"""One of the rights is enough."""

# The rights of RFC 4314 that RFC 2086 had in others.
FINE = {
    f'CREATE {TEAM[:-1]}/New"': "k",
    f'DELETE {TEAM[:-1]}/Old"': "x",
    f'RENAME {TEAM[:-1]}/Old" {TEAM[:-1]}/Older"': "kx",
    ";STORE 1 +FLAGS (\\Deleted)": "t",
    ";EXPUNGE": "e",
    ";UID EXPUNGE 1": "e",
    ";MOVE 1 INBOX": "rte",
    f";UID REPLACE 1 {TEAM} CATENATE (URL ;UID=1)": "rite",
}


class Shared:
    """Ann's mailbox Team with two messages, and below it Old, shared with Bob."""

    def __init__(self, **settings: object) -> None:
        self.server = Server(bad_commands=1000, **settings)
        self.bob, self.cat = self.server.add_user(BOB), self.server.add_user(CAT)
        for name in ("Team", "Team/Old"):
            fired(self.server.mail.create_mailbox(name, None))
        self.server.deliver(1, 2, mailbox="Team")

    def share(self, letters: str, who: str = BOB) -> None:
        for name in ("Team", "Team/Old"):
            self.server.share(name, who, letters)

    def login(self, user: str) -> Client:
        return self.server.connect().login(user)

    def said(self, line: str, client: Client | None = None) -> str:
        """The completion of a command of Bob's."""
        client = client or self.login(BOB)
        octets = message(9)
        if line.startswith(("COPY", "MOVE")):
            client.send(b"x APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets))
            client.command("SELECT INBOX")
            line = line.replace("INBOX", "1")
        if line.startswith("APPEND"):
            answer = client.send(b"x %b {%d+}\r\n%b\r\n" % (line.encode(), len(octets), octets)).decode()
            return answer.rstrip().split("\r\n")[-1]
        return client.command(line.removeprefix(";"))[-1]

    def seen_by(self, user: str) -> str:
        account_id = fired(self.server.store.directory.account(user)).account_id  # type: ignore[attr-defined]
        mail = self.server.store.account_mail_for(self.server.account.account_id, account_id)
        rows = fired(mail.select("Team", True)).rows  # type: ignore[attr-defined]
        return str(UidSet.of(row[0] for row in rows if row[1] & SystemFlag.SEEN))


def said(shared: Shared, line: str, letters: str) -> str:
    """The completion of what Bob says with these rights: those are his when he says it, not when he logs in."""
    shared.share("lr")
    client = shared.login(BOB)
    if line.startswith(";"):
        assert client.command(f"SELECT {TEAM}")[-1].startswith("x OK")
    shared.share(letters)
    return shared.said(line, client)


def without(letter: str) -> str:
    return str(ALL_RIGHTS - Rights.parse(letter))


@acceptance("S127")
@pytest.mark.parametrize(("line", "needed"), [*MATRIX.items(), *FINE.items()])
def test_each_right_is_needed_for_what_it_is_for_and_is_enough(line: str, needed: str) -> None:
    shared = Shared()
    for letter in [*needed, *"apc"]:
        if letter in needed and line not in EITHER:
            refused = said(shared, line, without(letter))
            if refused != NOPERM:
                # A selected mailbox that may not be read any more is closed.
                assert letter == "r" and refused == BYE, refused
    for letter in needed if line in EITHER else ():
        assert said(shared, line, "lr" + letter).startswith("x OK"), letter
    if line in EITHER:
        assert said(shared, line, "lrpkxa") == NOPERM
    # What it needs is enough, with "l" and in the selected mailbox "r".
    assert said(shared, line, "lr" + needed).startswith("x OK")


@acceptance("S127")
@pytest.mark.parametrize("line", [line for line in MATRIX if not line.startswith((";", "LIST "))])
def test_without_any_right_a_mailbox_is_not_there(line: str) -> None:
    shared = Shared()
    missing = said(shared, line, "")
    assert missing.startswith("x NO [")
    for name in ("Team/Old", "Team"):
        fired(shared.server.mail.delete_mailbox(name))
    assert shared.said(line) == missing


@acceptance("S127")
def test_what_is_not_listed_is_used_by_its_name() -> None:
    shared = Shared()
    shared.share("i")
    client = shared.login(BOB)
    assert shared.said(f"APPEND {TEAM}", client).startswith("x OK")
    assert client.command(f"SELECT {TEAM}")[-1] == NONE
    shared.share("r")
    assert client.command(f"SELECT {TEAM}")[-1] == "x OK [READ-ONLY] SELECT completed"
    assert client.command(f"MYRIGHTS {TEAM}")[0] == f"* MYRIGHTS {TEAM} r"
    assert not any("Team" in line for line in client.command('LIST "" *'))


@acceptance("S127")
def test_post_is_not_for_imap() -> None:
    """RFC 4314 §2.1: "p" is about the address of the mailbox."""
    for line in MATRIX:
        assert said(Shared(), line, without("p")).startswith("x OK"), line


@acceptance("S128", "S217")
class SeveralUsers(SynchronousTestCase):
    """Ann owns a mailbox; Bob and Cat read it too."""

    def setUp(self) -> None:
        self.shared = Shared()
        self.server = self.shared.server
        self.shared.share("lrswte")
        self.shared.share("lrs", CAT)
        self.ann, self.bob, self.cat = (self.shared.login(user) for user in ("ann@example.org", BOB, CAT))
        self.ann.command("SELECT Team")
        for client in (self.bob, self.cat):
            self.assertIn("x OK [READ-WRITE]", client.command(f"SELECT {TEAM}")[-1])

    def test_each_has_their_own_seen_and_shares_the_other_flags(self) -> None:
        self.assertIn("* 1 FETCH (FLAGS (\\Seen))", self.bob.command("FETCH 1 BODY[TEXT]"))
        self.assertEqual(self.cat.command("NOOP"), ["x OK NOOP completed"])
        self.assertEqual(self.ann.command("NOOP"), ["* 2 RECENT", "x OK NOOP completed"][1:])
        self.assertEqual(self.bob.command("STORE 1 +FLAGS (\\Flagged)")[0], "* 1 FETCH (FLAGS (\\Flagged \\Seen))")
        self.assertEqual(self.cat.command("NOOP")[0], "* 1 FETCH (FLAGS (\\Flagged))")
        self.assertEqual(self.ann.command("NOOP")[0], "* 1 FETCH (FLAGS (\\Flagged \\Recent))")
        self.assertEqual([self.shared.seen_by(user) for user in ("ann@example.org", BOB, CAT)], ["", "1", ""])
        self.assertEqual(self.bob.command("SEARCH UNSEEN")[0], "* SEARCH 2")
        self.assertEqual(self.cat.command("SEARCH UNSEEN")[0], "* SEARCH 1 2")
        self.assertEqual(self.bob.command("SEARCH SEEN FLAGGED BODY Hello")[0], "* SEARCH 1")
        for client, unseen in ((self.bob, 1), (self.cat, 2)):
            self.assertEqual(client.command(f"STATUS {TEAM} (UNSEEN)")[0], f"* STATUS {TEAM} (UNSEEN {unseen})")
            listed = client.command(f'LIST "" {TEAM} RETURN (STATUS (UNSEEN))')
            self.assertIn(f"* STATUS {TEAM} (UNSEEN {unseen})", listed)

    def test_what_others_see_is_told_to_all_sessions_of_that_user_alone(self) -> None:
        second = self.shared.login(BOB)
        second.command(f"SELECT {TEAM}")
        for client in (second, self.cat, self.ann):
            client.send(b"i IDLE\r\n")
        self.bob.command("STORE 2 +FLAGS (\\Seen)")
        self.bob.clock.advance(0)
        self.assertEqual(second.output(), b"* 2 FETCH (FLAGS (\\Seen))\r\n")
        self.assertEqual((self.cat.output(), self.ann.output()), (b"", b""))

    def test_an_expunge_and_an_arrival_are_told_to_all(self) -> None:
        for client in (self.cat, self.ann):
            client.send(b"i IDLE\r\n")
        self.bob.command("STORE 1 +FLAGS (\\Deleted)")
        self.assertEqual(self.bob.command("EXPUNGE")[0], "* 1 EXPUNGE")
        self.bob.clock.advance(0)
        self.assertTrue(self.cat.output().endswith(b"* 1 EXPUNGE\r\n"))
        self.assertIn(b"* 1 EXPUNGE\r\n", self.ann.output())
        self.server.deliver(3, mailbox="Team")
        self.bob.clock.advance(0)
        self.assertIn(b"* 2 EXISTS\r\n", self.cat.output())
        self.assertIn("* 2 EXISTS", self.bob.command("NOOP"))

    def test_the_modseqs_of_a_reader(self) -> None:
        """CONDSTORE and QRESYNC: the changes since a modseq are those of the reader, and no others."""
        for client in (self.bob, self.cat):
            client.command("ENABLE QRESYNC")
        modseq = self._highest(self.cat)
        self.bob.command("STORE 1 +FLAGS (\\Seen)")
        changed = self._highest(self.bob)
        self.assertGreater(changed, modseq)
        (told,) = self.bob.command(f"FETCH 1:2 FLAGS (CHANGEDSINCE {modseq})")[:-1]
        self.assertIn(f"MODSEQ ({changed})", told)
        self.assertEqual(self.cat.command(f"FETCH 1:2 FLAGS (CHANGEDSINCE {modseq})"), ["x OK FETCH completed"])
        again = self.bob.command(f"SELECT {TEAM} (QRESYNC ({self._uid_validity()} {modseq}))")
        self.assertIn(f"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ({changed}))", again)
        again = self.cat.command(f"SELECT {TEAM} (QRESYNC ({self._uid_validity()} {modseq}))")
        self.assertEqual([line for line in again if "FETCH" in line], [])
        # A conditional STORE fails for who has changed it, and for nobody else.
        stored = self.bob.command(f"STORE 1:2 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Flagged)")
        self.assertIn("x OK [MODIFIED 1] Conditional STORE failed", stored)
        stored = self.ann.command(f"STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Answered)")
        self.assertEqual(stored[-1], "x OK STORE completed")

    def _highest(self, client: Client) -> int:
        line = client.command(f"STATUS {TEAM} (HIGHESTMODSEQ)")[0]
        match = re.search(r"HIGHESTMODSEQ (\d+)", line)
        assert match is not None
        return int(match[1])

    def _uid_validity(self) -> int:
        return int(fired(self.server.mail.mailbox("Team")).uid_validity)  # type: ignore[attr-defined]

    def test_a_right_that_is_withdrawn_ends_what_is_selected(self) -> None:
        self.cat.send(b"i IDLE\r\n")
        self.shared.share("l")
        self.shared.share("", CAT)
        self.bob.clock.advance(0)
        self.assertEqual(self.cat.output().decode(), f"{BYE}\r\n")
        self.assertEqual(self.bob.command("FETCH 1 BODY[]"), [NOPERM])
        self.assertEqual(self.bob.command("FETCH 1 FLAGS")[-1], BYE)

    def test_rights_to_write_are_told_by_select(self) -> None:
        for letters, mode, permanent in (
            ("lr", "READ-ONLY", "()"),
            ("lrpkxa", "READ-ONLY", "()"),
            ("lrs", "READ-WRITE", "(\\Seen)"),
            ("lrt", "READ-WRITE", "(\\Deleted)"),
            ("lrw", "READ-WRITE", "(\\Answered \\Flagged \\Draft \\*)"),
            ("lri", "READ-WRITE", "()"),
            ("lre", "READ-WRITE", "()"),
            ("lrswt", "READ-WRITE", "(\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)"),
        ):
            self.shared.share(letters)
            client = self.shared.login(BOB)
            answer = client.command(f"SELECT {TEAM}")
            self.assertEqual(answer[-1], f"x OK [{mode}] SELECT completed")
            told = next(line for line in answer if "PERMANENTFLAGS" in line)
            words = re.search(r"PERMANENTFLAGS \((.*?)\)\]", told)
            assert words is not None
            self.assertEqual(set(words[1].split()), set(permanent[1:-1].split()), letters)

    def test_without_the_right_seen_is_not_set_and_nothing_fails(self) -> None:
        self.shared.share("lrw")
        client = self.shared.login(BOB)
        client.command(f"SELECT {TEAM}")
        self.assertEqual([line for line in client.command("FETCH 1 BODY[TEXT]") if "FLAGS" in line], [])
        # It is taken away while the mailbox is open.
        self.shared.share("lrs")
        client.command(f"SELECT {TEAM}")
        self.shared.share("lr")
        fetched = client.command("FETCH 1 BODY[TEXT]")
        self.assertEqual((fetched[-1], any("FLAGS" in line for line in fetched)), ("x OK FETCH completed", False))
        self.assertEqual(self.shared.seen_by(BOB), "")

    def test_close_expunges_by_right_alone(self) -> None:
        fired(
            self.server.mail.store_flags(
                fired(self.server.mail.mailbox("Team")).mailbox_id,  # type: ignore[attr-defined]
                UidSet.of([1]),
                FlagChange.ADD,
                Flags(SystemFlag.DELETED),
                None,
            )
        )
        self.assertEqual(self.cat.command("CLOSE"), ["x OK CLOSE completed"])
        self.shared.share("lrswt")
        self.assertEqual(self.bob.command("CLOSE"), ["x OK CLOSE completed"])
        self.assertEqual(fired(self.server.mail.mailbox("Team")).messages, 2)  # type: ignore[attr-defined]
        self.shared.share("lrswte")
        self.bob.command(f"SELECT {TEAM}")
        self.assertEqual(self.bob.command("CLOSE"), ["x OK CLOSE completed"])
        self.assertEqual(fired(self.server.mail.mailbox("Team")).messages, 1)  # type: ignore[attr-defined]

    def test_a_large_mailbox_opened_again_is_that_of_the_same_reader(self) -> None:
        """Views that are kept of closed mailboxes are kept for each user."""
        self.server.deliver(*range(3, 303), mailbox="Team")
        self.bob.command("STORE 1:* +FLAGS.SILENT (\\Seen)")
        for client in (self.bob, self.cat, self.ann):
            client.command("NOOP")
            client.command("UNSELECT")
        for client, name, unseen in ((self.cat, TEAM, True), (self.bob, TEAM, False), (self.ann, "Team", True)):
            answer = client.command(f"SELECT {name}")
            self.assertIs(any("[UNSEEN 1]" in line for line in answer), unseen)

    def test_messages_move_between_users(self) -> None:
        self.shared.share("lrswtei")
        moved = self.bob.command("MOVE 1 INBOX")
        self.assertRegex(moved[0], r"\* OK \[COPYUID \d+ 1 1\] Moved")
        self.assertIn("* 1 EXPUNGE", moved)
        self.bob.command("SELECT INBOX")
        self.assertIn("Hello number 1.", "\r\n".join(self.bob.command("FETCH 1 BODY[TEXT]")))
        copied = self.bob.command(f"COPY 1 {TEAM}")
        self.assertRegex(copied[-1], r"x OK \[COPYUID \d+ 1 3\] COPY completed")
        self.assertIn("* 2 EXISTS", self.ann.command("NOOP"))
        self.assertEqual((self.shared.seen_by(BOB), self.shared.seen_by("ann@example.org")), ("3", ""))

    def test_subscriptions_stay_with_the_user(self) -> None:
        self.assertEqual(self.bob.command(f"SUBSCRIBE {TEAM}"), ["x OK SUBSCRIBE completed"])
        self.shared.share("")
        self.bob = self.shared.login(BOB)
        self.assertIn("Other Users/ann/Team", self.bob.command('LSUB "" "Other*"')[0])
        self.assertNotIn("Other", "".join(self.cat.command('LSUB "" "*"')))


def test_all_shared_mailboxes_of_a_group_change_at_once() -> None:
    shared = Shared()
    groups = shared.server.store.groups
    fired(groups.add_group("sales"))
    shared.share("lr", "group=sales")
    client = shared.login(BOB)
    assert client.command(f"SELECT {TEAM}")[-1] == NONE
    fired(groups.add_members("sales", [BOB]))
    assert client.command(f"SELECT {TEAM}")[-1].startswith("x OK")
    fired(groups.remove_members("sales", [BOB]))
    client.clock.advance(0)
    assert client.command("NOOP")[-1].startswith("* BYE")
