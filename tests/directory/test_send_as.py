"""As whom a user may send."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.send_as import SenderRights, grant_of
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.send_as import ISenderRights, SendAsGrant
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.directory import MemoryDirectory, address_of
from tests.support.stores import make_account, make_store

ALICE, BOB = "alice@mail.example", "bob@mail.example"


class SenderRightsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = make_store()
        self.clock = Clock()
        self.ids = {name: make_account(self.store, name).account_id for name in (ALICE, BOB, "zoë@bücher.example")}
        self.configure()

    def configure(self, **settings: object) -> None:
        section = DirectorySettings.model_validate(settings)
        self.rights = SenderRights(section, self.store.directory, self.store.send_as, self.clock)

    def alias(self, address: str, *targets: str) -> None:
        self.successResultOf(self.store.directory.set_alias(address_of(address), list(map(address_of, targets))))

    def may(self, *addresses: str, login: str = ALICE) -> bool:
        return self.refused(*addresses, login=login) is None

    def refused(self, *addresses: str, login: str = ALICE) -> Address | None:
        asked: Deferred[Address | None] = self.rights.not_allowed(login, list(map(address_of, addresses)))
        return self.successResultOf(asked)

    def grant(self, login: str, grant: SendAsGrant) -> None:
        self.successResultOf(self.store.send_as.grant(self.ids[login], grant))

    def test_provides_its_interface(self) -> None:
        verifyObject(ISenderRights, self.rights)

    @acceptance("S199")
    def test_a_user_is_himself_in_all_spellings_and_with_details(self) -> None:
        self.assertTrue(self.may())
        for text in (ALICE, "Alice@MAIL.example", "alice+lists@mail.example", "ALICE+x+y@mail.example"):
            self.assertTrue(self.may(text), text)
        for text in (
            *(BOB, "alice@bücher.example", "alice@far.example", "alice-x@mail.example", "nobody@mail.example"),
            *("+alice@mail.example", "bob+alice@mail.example", "alice@[192.0.2.1]", "alice@sub.mail.example"),
        ):
            self.assertEqual(self.refused(text), address_of(text))
        for text in ("zoë@bücher.example", "ZOË+x@Bücher.example", "zoe\u0308@xn--bcher-kva.example"):
            self.assertTrue(self.may(text, login="zoë@bücher.example"), text)
            self.assertFalse(self.may(text), text)

    @acceptance("S199")
    def test_of_several_addresses_the_first_that_is_not_his_is_told(self) -> None:
        self.assertEqual(self.refused(ALICE, BOB, "x@far.example"), address_of(BOB))
        self.assertEqual(self.refused(BOB, ALICE), address_of(BOB))

    @acceptance("S199")
    def test_aliases_that_lead_to_him_are_his(self) -> None:
        self.alias("sales@mail.example", "x@far.example", "crew@mail.example")
        self.alias("crew@mail.example", BOB, "Alice@mail.example")
        self.alias("desk@mail.example", "desk2@mail.example")
        self.alias("desk2@mail.example", "desk@mail.example")
        for text in ("sales@mail.example", "sales+x@mail.example", "crew@mail.example"):
            self.assertTrue(self.may(text), text)
            self.assertTrue(self.may(text, login=BOB), text)
            self.assertFalse(self.may(text, login="zoë@bücher.example"), text)
        for text in ("desk@mail.example", "desk2@mail.example", "x@far.example"):
            self.assertFalse(self.may(text), text)

    def test_an_alias_passes_an_account_by_whose_mail_goes_elsewhere(self) -> None:
        self.alias(ALICE, BOB)
        self.alias("sales@mail.example", ALICE)
        self.assertTrue(self.may(ALICE))
        self.assertTrue(self.may(ALICE, "sales@mail.example", login=BOB))
        self.assertFalse(self.may("sales@mail.example"))
        self.alias(ALICE, BOB, ALICE)
        self.assertTrue(self.may("sales@mail.example"))

    def test_a_detail_that_is_somebody_elses_address_is_not_his(self) -> None:
        make_account(self.store, "alice+bob@mail.example")
        self.assertFalse(self.may("alice+bob@mail.example"))
        self.assertTrue(self.may("alice+x@mail.example"))
        self.configure(detail_separator="")
        self.assertFalse(self.may("alice+x@mail.example"))

    def test_what_a_catch_all_or_a_role_brings_him_is_not_his(self) -> None:
        self.successResultOf(self.store.directory.set_catch_all("mail.example", address_of(ALICE)))
        for text in ("whoever@mail.example", "postmaster@mail.example"):
            self.assertFalse(self.may(text), text)
        self.alias("postmaster@mail.example", ALICE)
        self.assertTrue(self.may("postmaster@mail.example"))

    @acceptance("S199")
    def test_grants_are_for_addresses_and_for_domains(self) -> None:
        self.grant(ALICE, grant_of(address_of("Info@far.example")))
        self.grant(ALICE, grant_of(Address("", "xn--bcher-kva.example")))
        for text in (
            *("info@far.example", "INFO+x@FAR.example", "zoë@bücher.example", "any@xn--bcher-kva.example"),
            "anyone@Bücher.example",
        ):
            self.assertTrue(self.may(text), text)
            self.assertFalse(self.may(text, login=BOB), text)
        for text in ("other@far.example", "x@sub.bücher.example", "info@sub.far.example", BOB):
            self.assertFalse(self.may(text), text)
        # A grant of an address is not one of the address of another that looks like its detail.
        self.grant(ALICE, grant_of(address_of(BOB)))
        make_account(self.store, "bob+carol@mail.example")
        self.assertTrue(self.may(BOB, "bob+x@mail.example"))
        self.assertFalse(self.may("bob+carol@mail.example"))

    @acceptance("S199")
    def test_what_is_taken_away_is_gone_within_seconds_and_what_is_granted_is_there_at_once(self) -> None:
        grant = SendAsGrant("far.example", "info")
        self.assertFalse(self.may("info@far.example"))
        self.grant(ALICE, grant)
        self.assertTrue(self.may("info@far.example"))
        self.successResultOf(self.store.send_as.revoke(self.ids[ALICE], grant))
        # Asking again does not make it last.
        for _ in range(3):
            self.clock.advance(1.5)
            self.may("info@far.example")
        self.clock.advance(0.5)
        self.assertFalse(self.may("info@far.example"))

    def test_his_own_address_needs_no_look_up_and_another_one_look_up_in_a_while(self) -> None:
        directory = MemoryDirectory().with_domain("mail.example").with_account(ALICE)
        directory.with_alias("sales@mail.example", ALICE)
        self.rights = SenderRights(DirectorySettings(), directory, self.store.send_as, self.clock)
        self.assertTrue(self.may(ALICE, "ALICE@mail.example"))
        self.assertEqual(directory.asked, [])
        self.assertTrue(self.may("sales@mail.example"))
        asked = len(directory.asked)
        self.assertTrue(self.may("sales@mail.example", ALICE))
        self.assertEqual(len(directory.asked), asked)

    def test_memory_is_bounded_and_can_be_turned_off(self) -> None:
        self.configure(cache_entries=2)
        for number in range(5):
            self.assertTrue(self.may(f"alice+{number}@mail.example"))
        self.assertLessEqual(len(self.rights._allowed), 2)
        self.configure(cache_life=0)
        self.assertTrue(self.may("alice+x@mail.example"))
        self.assertEqual(len(self.rights._allowed), 0)

    def test_aliases_that_fan_out_are_followed_so_far(self) -> None:
        self.configure(max_alias_targets=20)
        for number in range(60):
            self.alias(f"a{number}@mail.example", *[f"a{2 * number + more}@mail.example" for more in (1, 2)])
        self.alias("a59@mail.example", ALICE)
        self.assertFalse(self.may("a0@mail.example"))

    def test_a_store_that_is_away_is_no_answer(self) -> None:
        directory = MemoryDirectory().with_domain("mail.example")
        directory.failure = StoreUnavailable()
        self.rights = SenderRights(DirectorySettings(), directory, self.store.send_as, self.clock)
        self.failureResultOf(self.rights.not_allowed(ALICE, [address_of(BOB)]), StoreUnavailable)
