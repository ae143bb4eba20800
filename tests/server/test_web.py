"""What programs fetch by HTTPS, from whole servers: of one process, and of workers."""

from __future__ import annotations

import http.client
import tempfile
import unittest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance import acceptance
from tests.server.test_twistd import insecure_context
from tests.support.patience import PATIENCE_S
from tests.support.server import Server, running

_PORT = 80
"""Instead of 443, which would be the 143 of another test's server."""


class WebServer(Server):
    def _more_settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {"listeners": {"https": [f"tcp:{self.port(_PORT)}:interface=127.0.0.1"]}}


class WebTests(unittest.TestCase):
    def fetch(self, *options: str) -> None:
        with tempfile.TemporaryDirectory() as folder, running(WebServer(Path(folder), ["ann"], *options)) as server:
            client = http.client.HTTPSConnection(
                "127.0.0.1", server.port(_PORT), timeout=PATIENCE_S, context=insecure_context()
            )
            for path, host in (
                ("/mail/config-v1.1.xml?emailaddress=ann@example.test", "autoconfig.example.test"),
                ("/.well-known/mta-sts.txt", "mta-sts.example.test"),
            ):
                client.request("GET", path, headers={"Host": host})
                answer = client.getresponse()
                self.assertEqual(answer.status, 200)
                self.assertIn(b"mail.example.test", answer.read())
            client.close()

    @acceptance("S266")
    def test_mail_programs_find_their_settings_and_servers_the_policy(self) -> None:
        self.fetch()

    def test_workers_serve_them_too(self) -> None:
        self.fetch("--workers", "2")
