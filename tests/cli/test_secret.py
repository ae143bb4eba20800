"""``pymailsuite secret``."""

from __future__ import annotations

from pymailsuite.directory.return_paths import SECRET
from tests.cli.base import CommandCase


class SecretCommandTests(CommandCase):
    def test_a_secret_is_rotated_and_never_shown(self) -> None:
        (first,) = self.answer("secret", "list")
        self.assertEqual(("return-paths", "current"), (first["name"], first["state"]))
        self.run_command("secret", "rotate", "return-paths")
        self.assertEqual(["current", "retired"], [one["state"] for one in self.answer("secret", "list")])
        shown = self.run_command("secret", "list").output
        for secret in self.on_store(lambda store: store.secrets.secrets(SECRET)):
            self.assertNotIn(secret.octets.hex(), shown)
            self.assertNotIn(repr(secret.octets), repr(secret))
        self.run_command("secret", "rotate", "nothing", code=2)

    def test_keys_and_secrets_are_encrypted_with_a_key_from_a_file(self) -> None:
        self.run_command("dkim", "key", "add", "--domain", "example.test", "--selector", "s1", "--algorithm", "ed25519")
        self.run_command("secret", "rotate", "return-paths")
        self.assertIn("no key to encrypt with", self.run_command("secret", "encrypt", code=2).output)
        self.run_command("secret", "keygen", str(self.folder / "keys"), config=False)
        text = self.config_file.read_text()
        self.config_file.write_text(f'{text}[store]\nencryption_keys = "keys"\n')
        self.assertEqual({"signing_keys": 1, "secrets": 1}, self.answer("secret", "encrypt"))
        self.assertEqual({"signing_keys": 0, "secrets": 0}, self.answer("secret", "encrypt"))
        self.assertEqual("s1", self.answer("dkim", "key", "list")[0]["selector"])
        (self.folder / "keys").unlink()
        self.run_command("secret", "keygen", str(self.folder / "keys"), config=False)
        self.assertIn("has no key", self.run_command("dkim", "key", "list", code=1).output)
        (self.folder / "keys").chmod(0o644)
        self.assertIn("chmod 600", self.run_command("dkim", "key", "list", code=2).output)
        self.run_command("secret", "keygen", str(self.folder / "keys"), config=False, code=2)
