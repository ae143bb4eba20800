"""An outside egress transform: a header field for one destination."""

from __future__ import annotations

import smtplib
import tempfile
import unittest
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from pymailsuite.config.sections.egress import EgressSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.egress import EgressContext
from pymailsuite.relay.egress import make_transforms
from tests.support.patience import PATIENCE_S, until
from tests.support.server import TunedServer, running
from tests.support.socket_sink import SocketSink
from tests.support.stores import make_store
from tests.support.wheels import installed

MESSAGE = b"From: ann@example.test\r\nMessage-ID: <1@example.test>\r\nDate: x\r\nSubject: x\r\n\r\nHello\r\n"


class EgressHeaderTests(unittest.TestCase):
    def test_what_leaves_for_the_domain_has_the_field_and_nothing_else_has(self) -> None:
        with (
            installed("egress_header") as environment,
            tempfile.TemporaryDirectory() as folder,
            SocketSink() as sink,
        ):
            settings: dict[str, Any] = {
                "relay": {"relayhost": f"[127.0.0.1]:{sink.port}", "tls": "off"},
                "egress": {
                    "transforms": ["stamp"],
                    "plugins": {"stamp": {"domains": ["partner.example"], "field": "X-Contract: 4711"}},
                },
            }
            server = TunedServer(Path(folder), ["ann"], settings, environment=environment)
            with running(server):
                with smtplib.SMTP("127.0.0.1", server.port(587), timeout=PATIENCE_S) as client:
                    client.login("ann@example.test", "test")
                    client.sendmail("ann@example.test", ["bob@partner.example", "eve@other.example"], MESSAGE)
                until(lambda: len(sink.messages) == 2)
            contents = {message.recipients[0]: message.octets for message in sink.messages}
        self.assertTrue(contents["bob@partner.example"].startswith(b"X-Contract: 4711\r\n"))
        stored = contents["bob@partner.example"].removeprefix(b"X-Contract: 4711\r\n")
        self.assertEqual(contents["eve@other.example"], stored)

    def test_wrong_options_are_an_error_of_the_settings(self) -> None:
        with installed("egress_header"):
            context = EgressContext("mx.test", Clock(), make_store(), FakeResolver(), maybeDeferred)
            with self.assertRaisesRegex(ConfigError, "egress.plugins.stamp.field: expected a header field"):
                make_transforms(EgressSettings(transforms=("stamp",)), context)
