"""``--resolver HOST:PORT``."""

import click
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli.resolver import ServerType


class ServerTypeTests(SynchronousTestCase):
    def test_addresses_stay_as_they_are(self) -> None:
        for server in ("192.0.2.1", "127.0.0.1:5353", "[::1]:5353", "2001:db8::1"):
            self.assertEqual(ServerType().convert(server, None, None), server)

    def test_a_name_is_looked_up_by_the_system(self) -> None:
        self.assertIn(ServerType().convert("localhost:5353", None, None), ("127.0.0.1:5353", "[::1]:5353"))

    def test_anything_else_is_refused(self) -> None:
        for server in ("127.0.0.1:0", "127.0.0.1:x", "no such host"):
            with self.assertRaises(click.BadParameter):
                ServerType().convert(server, None, None)
