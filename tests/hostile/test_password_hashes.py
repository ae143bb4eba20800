"""A malformed hash in the store takes no password, and its account is answered as any other is."""

from __future__ import annotations

import base64
import time

import pytest
from twisted.internet.task import Clock

from pymailsuite.config.loader import load_settings
from pymailsuite.server.data_folder import store_url
from pymailsuite.store import inline_store
from tests.auth.test_passwords import MALFORMED, TOO_DEAR
from tests.hostile.base import HostileTestCase
from tests.support.stores import fired

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class PasswordHashTests(HostileTestCase):
    """Accounts with hashes of all kinds, on a server that runs."""

    settings = {**HostileTestCase.settings, "imap": {"failed_login_delay": 0}, "pop3": {"failed_login_delay": 0}}

    def add_accounts(self, hashes: list[str]) -> list[bytes]:
        """As an import from elsewhere would; their login names."""
        settings = load_settings(self.server.config_file)
        clock = Clock()
        clock.advance(time.time())
        store = inline_store(settings.store, clock, url=store_url(settings))
        fired(store.open())
        try:
            return [
                fired(store.directory.add_account(f"odd{number}@example.test", stored, "")).login_name.encode()  # type: ignore[attr-defined]
                for number, stored in enumerate(hashes)
            ]
        finally:
            fired(store.close())

    def answers(self, name: bytes, password: bytes) -> tuple[bytes, ...]:
        """What each protocol says to a login."""
        imap, pop3, submission = self.connect(143), self.connect(110), self.connect(587)
        pop3.say(b"USER " + name)
        submission.say(b"EHLO client.test")
        plain = base64.b64encode(b"\0%b\0%b" % (name, password))
        answers = (
            imap.obey(b'LOGIN %b "%b"' % (name, password)),
            pop3.say(b"PASS " + password),
            submission.say(b"AUTH PLAIN " + plain),
        )
        for wire in (imap, pop3, submission):
            wire.close()
        return answers

    def test_no_password_is_right_for_it_and_the_answer_is_that_of_a_wrong_one(self) -> None:
        hashes = [stored for stored in MALFORMED + TOO_DEAR if stored.isprintable()]
        names = self.add_accounts(hashes)
        wrong = self.answers(self.user.encode(), b"wrong")
        self.assertEqual([answer[:9] for answer in wrong], [b"t NO [AUT", b"-ERR [AUT", b"535 5.7.8"])
        for name in names:
            self.assertEqual(self.answers(name, b"secret"), wrong, name)
        noted = sum("auth.hash_unusable" in line for line in self.server.output)
        # One that is empty says that there is no password.
        self.assertEqual(noted, 3 * (len(names) - 1))
