"""What the store in a database is able to."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from pymailsuite.errors import MissingAbility
from pymailsuite.interfaces import IMailStore, IQueueStore, needed
from pymailsuite.interfaces.channel import IStoreChannel
from tests.support.stores import Without, make_store


class IUnknown(Interface):
    """No store has it."""


class AbilityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = make_store()
        self.addCleanup(self.store.close)

    def test_what_every_store_gives(self) -> None:
        verifyObject(IMailStore, self.store)

    def test_each_ability_is_what_it_says_and_is_on_the_page_that_lists_them(self) -> None:
        page = IMailStore["ability"].__doc__ or ""
        listed = set(re.findall(r"\bI[A-Z]\w+", page))
        self.assertEqual({interface.__name__ for interface in self.store._abilities}, listed)
        for interface, ability in self.store._abilities.items():
            if interface is not IStoreChannel or ability is not None:
                verifyObject(interface, ability)
                self.assertIs(self.store.ability(interface), ability)

    def test_what_is_missing_is_named_with_what_needs_it(self) -> None:
        self.assertIsNone(self.store.ability(IUnknown))
        without: Any = Without(self.store, IQueueStore)
        self.assertIs(needed(self.store, IQueueStore, "listeners.smtp"), self.store.queue)
        with self.assertRaisesRegex(MissingAbility, "^listeners.smtp: this kind of store has no IQueueStore$"):
            needed(without, IQueueStore, "listeners.smtp")
