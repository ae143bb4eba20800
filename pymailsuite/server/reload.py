"""Reload by SIGHUP in a server of one process, which has no parent to replace it.

A new certificate is used at once, and a log file that was moved away is opened anew. All other settings are in use all
over the server, so the log names those that wait for a restart.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError
from pymailsuite.server.process import tell_supervisor
from pymailsuite.server.tls import Renewal, ServerTls

log = Logger()


def changed_settings(old: Settings, new: Settings) -> list[str]:
    """The settings that differ, as ``section.key``."""
    return [
        f"{section}.{key}"
        for section in type(old).model_fields
        for key in type(getattr(old, section)).model_fields
        if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
    ]


class ReloadOnHangup(Service):
    """Listens to SIGHUP, from before the server drops its privileges until it stops.

    ``running`` is what the server was made from, ``read_settings`` reads the configuration as it is now.
    """

    def __init__(self, running: Settings, read_settings: Callable[[], Settings], tls: ServerTls, reactor: Any) -> None:
        self.setName("hang-up")  # type: ignore[no-untyped-call]
        self._running_with = running
        self._read_settings = read_settings
        self._tls = tls
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """From now on SIGHUP does not end the process."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))

    def stopService(self) -> Deferred[None]:
        """From now on SIGHUP does nothing."""
        super().stopService()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return succeed(None)

    def reload(self) -> None:
        """Use a new certificate, and log which settings have changed."""
        log.info("{event}", event="server.reloading")
        tell_supervisor(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        renewal = self._tls.renew()
        try:
            changed = changed_settings(self._running_with, self._read_settings())
        except ConfigError as error:
            log.error("{event} {reason}", event="server.reload_refused", reason=error.public)
        else:
            if changed:
                log.warn(
                    "{event}: {settings} will be in use after a restart ([workers] parent = true lets SIGHUP do it)",
                    event="server.restart_needed",
                    settings=", ".join(changed),
                )
            elif renewal is Renewal.FAILED:
                log.error("{event}: the old certificate stays in use", event="server.reload_incomplete")
            else:
                log.info("{event}: certificate {renewal}", event="server.reloaded", renewal=renewal.value)
        tell_supervisor("READY=1")
