"""How name servers are written in the configuration."""

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.dns import DnsSettings, split_server


class ServerTests(SynchronousTestCase):
    def test_addresses_stand_with_or_without_a_port(self) -> None:
        for text, expected in [
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("192.0.2.1:5353", ("192.0.2.1", 5353)),
            ("2001:db8::1", ("2001:db8::1", 53)),
            ("[2001:db8::1]", ("2001:db8::1", 53)),
            ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ]:
            self.assertEqual(split_server(text), expected)

    def test_anything_else_is_refused_when_the_settings_are_read(self) -> None:
        for text in ("ns.example.com", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "[2001:db8::1", ""):
            with self.assertRaises(ValidationError, msg=text):
                DnsSettings(servers=(text,))
