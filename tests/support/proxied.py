"""An SMTP client that comes from any address, as a proxy tells the server."""

from __future__ import annotations

import smtplib
import socket
from typing import Any

from tests.support.patience import PATIENCE_S


class ProxiedSmtp(smtplib.SMTP):
    """Connects to loopback; a PROXY header goes in front of everything. ``greeting`` is the text behind 220."""

    greeting = b""

    def __init__(self, ip: str, port: int) -> None:
        self._client_ip = ip
        super().__init__("127.0.0.1", port, local_hostname="mx.client.example", timeout=PATIENCE_S)

    def connect(self, *where: Any, **options: Any) -> tuple[int, bytes]:
        """As SMTP does, and keeps what was said."""
        code, self.greeting = super().connect(*where, **options)
        return code, self.greeting

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        connection = socket.create_connection((host, port), timeout)
        connection.sendall(f"PROXY TCP4 {self._client_ip} 127.0.0.1 4711 25\r\n".encode())
        return connection
