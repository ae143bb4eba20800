"""Private keys and secrets in the store, encrypted with keys that are elsewhere."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.store import MailStore, inline_store
from pymailsuite.store.encryption import CannotDecrypt, Encryption, add_encryption_key, key_name_of, read_encryption
from tests.support.logs import captured_logs
from tests.support.stores import fired

OLD, NEW = b"o" * 32, b"n" * 32
KEY = StoredKey("example.org", "s1", b"-----BEGIN PRIVATE KEY-----", 1.0, 2.0)


class EncryptionTests(SynchronousTestCase):
    @given(st.binary(max_size=5000))
    def test_what_is_sealed_is_opened_with_any_of_the_keys(self, octets: bytes) -> None:
        sealed = Encryption([OLD]).sealed(octets, "secrets", "x")
        self.assertEqual(octets, Encryption([NEW, OLD]).opened(sealed, "secrets", "x"))

    def test_the_same_octets_are_never_sealed_alike(self) -> None:
        encryption = Encryption([OLD])
        self.assertNotEqual(encryption.sealed(b"a", "t"), encryption.sealed(b"a", "t"))

    def test_what_was_changed_moved_or_sealed_by_others_is_not_believed(self) -> None:
        encryption = Encryption([OLD])
        sealed = encryption.sealed(b"secret", "signing_keys", "example.org", "s1")
        for kept, place in (
            (sealed, ("signing_keys", "example.org", "s2")),
            (sealed[:-1], ("signing_keys", "example.org", "s1")),
            (sealed[:20], ("signing_keys", "example.org", "s1")),
            (sealed[:-1] + bytes((sealed[-1] ^ 1,)), ("signing_keys", "example.org", "s1")),
            (Encryption([NEW]).sealed(b"secret", "signing_keys"), ("signing_keys",)),
        ):
            self.assertRaises(CannotDecrypt, encryption.opened, kept, *place)

    def test_without_a_key_all_is_kept_as_it_is(self) -> None:
        self.assertEqual(b"x", Encryption().sealed(b"x", "t"))
        self.assertEqual(b"x", Encryption([NEW]).opened(b"x", "t"))


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.keys = self.folder / "keys"

    def write_keys(self, *keys: bytes) -> None:
        lines = [b"# ours", *(base64.b64encode(key) + b"  # comment" for key in keys)]
        self.keys.write_bytes(b"\n".join(lines))
        self.keys.chmod(0o600)

    def open_store(self) -> MailStore:
        clock = Clock()
        clock.advance(1_770_000_000)
        settings = StoreSection(encryption_keys=self.keys if self.keys.exists() else None)
        store = inline_store(settings, clock, url=f"sqlite://{self.folder}/store.sqlite")
        fired(store.open())
        self.addCleanup(lambda: fired(store.close()))
        return store

    def kept(self, store: MailStore) -> list[bytes]:
        statements = (
            "SELECT private_key FROM signing_keys",
            "SELECT secret FROM secrets",
            "SELECT secret FROM retired_secrets",
        )
        return [fired(store.database.read("kept", lambda txn, s=s: bytes(txn.value(s)))) for s in statements]  # type: ignore[misc]

    def test_what_was_there_before_is_read_and_encrypted_on_demand_and_the_key_can_be_changed(self) -> None:
        store = self.open_store()
        verifyObject(IKeyStore, store.keys)
        verifyObject(ISecretStore, store.secrets)
        fired(store.keys.add(KEY))
        fired(store.secrets.secrets("x"))
        fired(store.secrets.rotate("x", 0.0))
        secrets = fired(store.secrets.secrets("x"))
        self.assertIn(KEY.private_key, self.kept(store))
        for keys in ([OLD], [NEW, OLD], [NEW]):
            self.write_keys(*keys)
            store = self.open_store()
            self.assertEqual([KEY], fired(store.keys.keys()))
            self.assertEqual(secrets, fired(store.secrets.secrets("x")))
            count = fired(store.keys.seal_anew()), fired(store.secrets.seal_anew())
            self.assertEqual((0, 0) if keys == [NEW] else (1, 2), count)
            name = Encryption(keys).key_name
            self.assertEqual([name] * 3, [key_name_of(kept) for kept in self.kept(store)])

    def test_what_is_written_with_a_key_is_encrypted_at_once(self) -> None:
        self.write_keys(NEW)
        store = self.open_store()
        fired(store.keys.add(KEY))
        fired(store.secrets.secrets("x"))
        (secret, old) = fired(store.secrets.rotate("x", 0.0)), fired(store.secrets.secrets("x"))[1]
        kept = b"".join(self.kept(store))
        for octets in (KEY.private_key, secret.octets, old.octets):
            self.assertNotIn(octets, kept)
        self.assertEqual([KEY], fired(store.dry_run().keys.keys()))

    def test_a_server_that_runs_finds_the_key_that_others_encrypt_with_by_now(self) -> None:
        self.write_keys(OLD)
        running = self.open_store()
        fired(running.keys.add(KEY))
        add_encryption_key(self.keys)
        other = self.open_store()
        self.assertEqual(1, fired(other.keys.seal_anew()))
        self.assertEqual([KEY], fired(running.keys.keys()))
        fired(running.secrets.secrets("x"))
        fired(running.secrets.rotate("x", 0.0))
        self.assertEqual({read_encryption(self.keys).key_name}, set(map(key_name_of, self.kept(running))))
        # A file that is of no use does not take away the keys there were.
        add_encryption_key(self.keys)
        fired(self.open_store().keys.seal_anew())
        self.keys.chmod(0o644)
        self.assertRaises(CannotDecrypt, fired, running.keys.keys())
        self.assertEqual(2, len(fired(running.secrets.secrets("x"))))
        self.keys.chmod(0o600)
        self.assertEqual([KEY], fired(running.keys.keys()))

    def test_when_the_key_is_lost_the_store_opens_and_the_secrets_can_be_replaced(self) -> None:
        self.write_keys(OLD)
        store = self.open_store()
        fired(store.keys.add(KEY))
        fired(store.secrets.secrets("x"))
        self.write_keys(NEW)
        with captured_logs() as events:
            store = self.open_store()
        self.assertIn("store.encryption_key_missing", [event.get("event") for event in events])
        self.assertRaises(CannotDecrypt, fired, store.keys.keys())
        self.assertRaises(CannotDecrypt, fired, store.secrets.secrets("x"))
        fired(store.keys.remove(KEY.domain, KEY.selector))
        new = fired(store.secrets.rotate("x", 0.0))
        self.assertEqual([new], fired(store.secrets.secrets("x")))

    def test_a_file_that_is_not_private_or_holds_no_keys_is_refused(self) -> None:
        self.write_keys(NEW)
        for mode, text in (
            (0o644, None),
            (0o600, b"# nothing"),
            (0o600, b"short"),
            (0o600, b"\xff\xfe"),
            (0o600, b"#" * 70_000),
        ):
            if text is not None:
                self.keys.write_bytes(text)
            self.keys.chmod(mode)
            self.assertRaises(ConfigError, read_encryption, self.keys)
        self.assertRaises(ConfigError, read_encryption, self.folder / "absent")

    def test_a_new_key_stands_before_the_others_in_a_file_of_the_same_owner_and_mode(self) -> None:
        first = add_encryption_key(self.keys)
        self.assertEqual(0o600, os.stat(self.keys).st_mode & 0o777)
        self.keys.chmod(0o640)
        second = add_encryption_key(self.keys)
        self.assertEqual(0o640, os.stat(self.keys).st_mode & 0o777)
        self.assertEqual(second, read_encryption(self.keys).key_name)
        self.assertNotEqual(first, second)
        self.assertEqual(["keys"], os.listdir(self.folder))
