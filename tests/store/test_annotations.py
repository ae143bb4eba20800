"""Annotations of mailboxes and accounts, on every engine."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import (
    AnnotationTooLong,
    LimitReached,
    NoPermission,
    NoSuchMailbox,
    TooManyAnnotations,
    UnsupportedUse,
)
from pymailsuite.interfaces.annotations import IAnnotations
from pymailsuite.interfaces.rights import Rights
from pymailsuite.interfaces.sharing import AclEntry, Identifier, RightsChange
from pymailsuite.store import annotations as module
from pymailsuite.values import AccountId, SpecialUse
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

PRIVATE, SHARED = "/private/comment", "/shared/comment"
LIMITS = {"mailbox_annotations": 3, "annotation": 1024}


class AnnotationContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann, self.bob = self.account().account_id, self.account("bob@example.org").account_id
        self.mail = self.store.account_mail(self.ann)
        self.result(self.mail.create_mailbox("Team", None))

    def found(self, name: str | None, by: AccountId, owner: AccountId | None = None) -> dict[str, bytes]:
        return dict(self.result(self.store.annotations.annotations(owner or self.ann, name, by)))

    def annotate(self, name: str | None, by: AccountId, **values: bytes | None) -> None:
        self.result(self.store.annotations.annotate(self.ann, name, by, named(values)))

    def refused(self, error: type[Exception], name: str | None, by: AccountId, **values: bytes | None) -> None:
        self.failure(self.store.annotations.annotate(self.ann, name, by, named(values)), error)

    def share(self, letters: str) -> None:
        entry = AclEntry(Identifier.parse("bob@example.org"), Rights.parse(letters))
        self.result(self.store.sharing.set_rights(self.ann, "Team", None, entry, RightsChange.REPLACE))

    def test_they_are_set_all_at_once_or_none(self) -> None:
        verifyObject(IAnnotations, self.store.annotations)
        self.annotate("inbox", self.ann, private_comment=b"mine", shared_comment=b"\0\xff")
        self.assertEqual(self.found("INBOX", self.ann), {PRIVATE: b"mine", SHARED: b"\0\xff"})
        self.annotate("INBOX", self.ann, private_comment=b"other", shared_comment=None)
        self.assertEqual(self.found("INBOX", self.ann), {PRIVATE: b"other"})
        self.refused(AnnotationTooLong, "INBOX", self.ann, private_comment=b"x" * 1025)
        self.refused(TooManyAnnotations, "INBOX", self.ann, private_a=b"", private_b=b"", private_c=b"")
        self.refused(UnsupportedUse, "INBOX", self.ann, private_specialuse=b"\\Nonsense", private_b=b"")
        self.refused(NoSuchMailbox, "Nowhere", self.ann, private_comment=b"x")
        self.assertEqual(self.found("INBOX", self.ann), {PRIVATE: b"other"})
        # Shared ones are counted by themselves.
        self.annotate("INBOX", self.ann, private_a=b"", private_b=b"", shared_a=b"", shared_b=b"", shared_c=b"")
        self.assert_sound()

    def test_an_account_has_its_own(self) -> None:
        self.annotate(None, self.ann, private_comment=b"of the account")
        self.assertEqual(self.found(None, self.ann), {PRIVATE: b"of the account"})
        self.assertEqual(self.found("INBOX", self.ann), {})
        self.assertEqual(self.found(None, self.bob, self.bob), {})
        self.assert_sound()

    def test_private_ones_are_those_of_the_reader_and_shared_ones_take_rights(self) -> None:
        self.annotate("Team", self.ann, private_comment=b"of Ann", shared_comment=b"of all")
        self.failure(self.store.annotations.annotations(self.ann, "Team", self.bob), NoSuchMailbox)
        self.refused(NoSuchMailbox, "Team", self.bob, private_comment=b"of Bob")
        self.share("l")
        self.failure(self.store.annotations.annotations(self.ann, "Team", self.bob), NoPermission)
        self.refused(NoPermission, "Team", self.bob, private_comment=b"of Bob")
        self.share("lr")
        self.annotate("Team", self.bob, private_comment=b"of Bob")
        self.refused(NoPermission, "Team", self.bob, private_comment=b"x", shared_comment=b"x")
        self.refused(NoPermission, "Team", self.bob, private_specialuse=b"\\Sent")
        self.assertEqual(self.found("Team", self.bob), {PRIVATE: b"of Bob", SHARED: b"of all"})
        self.share("lrw")
        self.annotate("Team", self.bob, shared_comment=b"of Bob for all")
        self.assertEqual(self.found("Team", self.ann), {PRIVATE: b"of Ann", SHARED: b"of Bob for all"})
        of_all = self.result(
            self.store.annotations.annotations_of_all(self.bob, [self.ann, self.bob], [PRIVATE, SHARED])
        )
        team = self.result(self.mail.mailbox("Team"))
        self.assertEqual(of_all, {(self.ann, team.mailbox_id): {PRIVATE: b"of Bob", SHARED: b"of Bob for all"}})
        self.result(self.store.directory.remove_account("bob@example.org"))
        self.assertEqual(self.found("Team", self.ann), {PRIVATE: b"of Ann", SHARED: b"of Bob for all"})
        self.assert_sound()

    def test_many_octets_are_not_read_at_once(self) -> None:
        self.patch(module, "_MOST_OCTETS", 1500)
        self.annotate("Team", self.ann, private_comment=b"x" * 1000)
        self.annotate("INBOX", self.ann, private_comment=b"x" * 1000)
        self.failure(self.store.annotations.annotations_of_all(self.ann, [self.ann], [PRIVATE]), LimitReached)

    def test_a_special_use_is_that_of_the_mailbox(self) -> None:
        since = self.result(self.mail.account_changes(0)).modseq
        self.annotate("Team", self.ann, private_specialuse=b"\\archive \\Sent")
        team = self.result(self.mail.mailbox("Team"))
        self.assertEqual(team.special_uses, (SpecialUse.ARCHIVE, SpecialUse.SENT))
        self.assertEqual(self.found("Team", self.ann), {"/private/specialuse": b"\\Archive \\Sent"})
        (changed,) = self.result(self.mail.account_changes(since)).mailboxes
        self.assertEqual((changed.mailbox, changed.is_new, changed.old_name), (team, False, None))
        self.annotate("Team", self.ann, private_specialuse=None)
        self.assertIsNone(self.result(self.mail.mailbox("Team")).special_use)

    def test_they_go_with_the_mailbox_by_any_name_and_the_account_changes(self) -> None:
        since = self.result(self.mail.account_changes(0)).modseq
        self.annotate("Team", self.ann, private_comment=b"kept")
        self.annotate(None, self.ann, private_comment=b"kept too")
        team = self.result(self.mail.mailbox("Team"))
        changes = self.result(self.mail.account_changes(since))
        self.assertEqual((changes.annotated, changes.mailboxes), (frozenset({team.mailbox_id, 0}), []))
        self.result(self.mail.rename_mailbox("Team", "Group"))
        self.assertEqual(self.found("Group", self.ann), {PRIVATE: b"kept"})
        self.result(self.mail.create_mailbox("Group/below", None))
        self.result(self.mail.delete_mailbox("Group"))
        self.result(self.mail.create_mailbox("Group", None))
        self.assertEqual(self.found("Group", self.ann), {})
        self.assert_sound()

    def test_they_are_gone_with_the_account(self) -> None:
        self.annotate("Team", self.ann, private_comment=b"x")
        self.annotate(None, self.ann, private_comment=b"x")
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.result(self.store.maintenance.sweep(NOW + 100 * 86400))
        self.assertEqual(self.result(self.store.database.read("count", count_txn)), 0)


def named(values: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Entries by their names, with ``_`` for slashes."""
    return {"/" + name.replace("_", "/"): value for name, value in values.items()}


def count_txn(txn):
    return txn.value("SELECT COUNT(*) FROM annotations")


class AnnotationInMemoryTests(AnnotationContract, InMemory):
    settings = StoreSection(**LIMITS)


class AnnotationOnDiskTests(AnnotationContract, OnDisk):
    settings = StoreSection(**LIMITS, sqlite_checkpoint_interval=0.05)


del AnnotationContract
