"""What is in effect, and what was set."""

from __future__ import annotations

from pymailsuite.config.show import effective_options
from tests.config.test_loader import THREE, ConfigFileCase


class EffectiveOptionTests(ConfigFileCase):
    """Options as they take effect."""

    def test_what_was_set_is_told_from_defaults(self) -> None:
        options = {option.key: option for option in effective_options(self.load(THREE + "[dns]\ncache_size = 7\n"))}
        self.assertEqual(options["dns.cache_size"].value, 7)
        self.assertFalse(options["dns.cache_size"].is_default)
        self.assertFalse(options["server.hostname"].is_default)
        self.assertTrue(options["dns.timeout"].is_default)
        self.assertEqual(options["listeners.imap"].value, ["tcp:143", "tcp6:143"])
