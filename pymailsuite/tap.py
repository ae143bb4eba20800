"""``twistd pymailsuite``: the options, and what belongs to a process rather than to the server in it."""

from __future__ import annotations

import atexit
import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError, MailError
from pymailsuite.server.data_folder import make_folder
from pymailsuite.server.logs import Descriptor, LogFile, log_observer
from pymailsuite.server.process import allow_many_files, share_one_heap, tell_ready
from pymailsuite.server.reload import ReloadOnHangup
from pymailsuite.server.service import MailService
from pymailsuite.server.start_check import faults_of_store, warnings_of
from pymailsuite.workers import WorkersService
from pymailsuite.workers.channel import LogPlace

log = Logger()


class StartRefused(SystemExit, Exception):
    """The server cannot start, and why, for the terminal.

    An Exception, so that a daemon tells the process that started it; a SystemExit, so that Python prints its text and
    no traceback.
    """


class Options(UsageOptions, AuthOptionMixin):
    """What stands behind ``twistd pymailsuite``."""

    supportedInterfaces = (IUsernamePassword,)

    optParameters = [["config", "c", "/etc/pymailsuite.toml", "The configuration file."]]

    synopsis = "[options]"
    longdesc = "A mail server: SMTP, submission, IMAP and POP3 over one transactional store."

    settings: Settings

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.auth: list[str] = []
        """What was given to ``--auth``: workers make their checkers from it anew."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read what was given. StartRefused with what is wrong in it: older releases of twistd end with 0 then."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except UsageError as error:
            raise StartRefused(f"pymailsuite: {error}") from None

    def opt_auth(self, description: str) -> None:
        """Specify an authentication method for the server."""
        super().opt_auth(description)  # type: ignore[no-untyped-call]
        self.auth.append(description)

    def postOptions(self) -> None:
        """Read the configuration. UsageError with what is wrong in it."""
        # A daemon may have left the folder that a relative path starts from when it reads the file again.
        self["config"] = os.path.abspath(self["config"])
        try:
            self.settings = self.read_settings()
        except ConfigError as error:
            raise UsageError(error.public) from None

    def read_settings(self) -> Settings:
        """The configuration as it is now. ConfigError with what is wrong in it."""
        return load_settings(Path(self["config"]))


class _RefusesAsExpected:
    """A service whose privileged start fails as twistd and the terminal expect."""

    def privilegedStartService(self) -> None:
        """Bind the ports."""
        try:
            super().privilegedStartService()  # type: ignore[misc]
        except ConfigError as error:
            raise StartRefused(f"pymailsuite: {error.public}") from None


class TwistdService(_RefusesAsExpected, MailService):
    """The server in this one process."""


class TwistdParent(_RefusesAsExpected, WorkersService):
    """The server in processes of its own, kept by this one."""


def makeService(options: Options) -> IService:
    """The server that ``twistd pymailsuite`` runs. StartRefused if the settings ask for what cannot be had."""
    from twisted.internet import reactor

    parent: Any = options.parent or {}
    settings = options.settings
    owner = _owner(parent)
    allow_many_files()
    share_one_heap()
    place = _log_place(settings, parent)
    _refuse_if_faulty(settings, owner)
    has_parent = settings.server.worker_count > 1 or settings.workers.parent
    for line in warnings_of(settings, Path(options["config"])):
        log.warn("{event}: {reason}", event="config.warning", reason=line)
    try:
        common: dict[str, Any] = {
            "checkers": options.get("credCheckers", ()),
            "owner": owner,
            "on_ready": tell_ready,
            "on_failure": give_up,
            "log_observer": _observer(settings, place, owner, shared=has_parent),
        }
        if not has_parent:
            service = TwistdService(settings, reactor, **common)
            ReloadOnHangup(settings, options.read_settings, service.tls, reactor).setServiceParent(service)  # type: ignore[no-untyped-call]
            return service
        return TwistdParent(
            settings,
            reactor,
            **common,
            read_settings=options.read_settings,
            auth=options.auth,
            log_place=place,
        )
    except ConfigError as error:
        # twistd shows a UsageError of the options only.
        raise StartRefused(f"pymailsuite: {error.public}") from None


def _refuse_if_faulty(settings: Settings, owner: tuple[int, int] | None) -> None:
    """StartRefused if the store cannot be used. Later the starter of a daemon has been told that all is well."""
    try:
        if owner is not None:
            make_folder(settings.server.data_dir, owner)
    except ConfigError as error:
        raise StartRefused(f"pymailsuite: {error.public}") from None
    # A database of its own may be starting as we do; a file is there or not.
    faults = faults_of_store(settings, owner, settings.store.away_limit if settings.store.url else 0.0)
    if faults:
        raise StartRefused("\n".join(f"pymailsuite: {fault}" for fault in faults))


def _owner(parent: Any) -> tuple[int, int] | None:
    """Whom twistd's ``--uid`` and ``--gid`` make of the process, or None if it stays what it is."""
    uid, gid = parent.get("uid"), parent.get("gid")
    if uid is None and gid is None:
        return None
    if gid is None:
        gid = pwd.getpwuid(uid).pw_gid
    return os.getuid() if uid is None else uid, gid


def _log_place(settings: Settings, parent: Any) -> LogPlace:
    """Where the log goes: where ``[log]`` says, else twistd's ``--logfile``, else twistd's habit."""
    if parent.get("logger"):
        return LogPlace(logger=parent["logger"])
    path = settings.log.file
    if path is None:
        named = parent.get("logfile")
        if named == "-" or (not named and parent.get("nodaemon")):
            return LogPlace()
        path = Path(named or "twistd.log")
    return LogPlace(path.absolute())


def _observer(
    settings: Settings, place: LogPlace, owner: tuple[int, int] | None, *, shared: bool
) -> ILogObserver | None:
    """The observer for ``[log]``, which other processes may write to (``shared``); None: twistd has one of its own."""
    if place.logger:
        return None
    if place.file is None:
        return log_observer(settings.log, Descriptor(shared=shared))
    try:
        return log_observer(settings.log, LogFile(place.file, owner))
    except OSError as error:
        raise ConfigError(f"log.file: {place.file}: {error.strerror or error}") from None


# --- the process ----------------------------------------------------------------------------------------------------


def give_up(failure: Failure) -> None:
    """End the process with code 1: a supervisor must see that the server did not come up."""
    from twisted.internet import reactor

    error = failure.value
    said = str(error) if isinstance(error, MailError) else f"cannot start: {type(error).__name__}: {error}"
    os.write(2, f"pymailsuite: {said}\n".encode())
    # twistd itself has no way to end with a code of ours. Registered now, it runs before what was registered earlier.
    atexit.register(os._exit, 1)
    reactor.stop()
