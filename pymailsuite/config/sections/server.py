"""Settings of the server as a whole: the three that have no default, and how many processes it is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import FilePath, Section

# Letters, digits and hyphens, or anything above ASCII (U-labels, RFC 5890 §2.3.2.1); at least two labels are not
# demanded: "localhost" and "mail" are names of test machines.
_LABEL: Final = r"(?!-)[0-9a-z_\-\u0080-\U0010ffff]{1,63}(?<!-)"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def domain_name(text: str) -> str:
    """A domain name in lower case without the final dot. ValueError if it is none."""
    name = text.strip().rstrip(".").lower()
    if len(name) > 253 or _DOMAIN.fullmatch(name) is None:
        raise ValueError(f"not a domain name: {text!r}")
    return name


class ServerSettings(Section):
    """``[server]``: the identity of this server. The first three settings are enough for a working server."""

    hostname: str = Field(examples=["mail.example.com"])
    """The full name of this host, as the world finds it: in greetings, in ``Received``, in our EHLO, in reports."""

    domains: tuple[str, ...] = Field(examples=[["example.com"]])
    """Domains whose mail is ours to keep. They are created at start; more can be added while the server runs with
    ``pymailsuite domain add``. A domain that is removed from this list stays until ``pymailsuite domain remove``."""

    data_dir: FilePath = Field(examples=["/var/lib/pymailsuite"])
    """The folder that holds everything: the store, and the self-signed certificate if none is configured. Created at
    start. A relative path, here and in every other setting, is taken from the folder of the configuration file."""

    user: str = Field(default="", examples=["mail"])
    """The user that the server runs as, for commands that root runs: they become that user, so that the server can open
    every file they make, and ``config check`` looks with that user's rights. Empty: the owner of ``data_dir``. The
    server itself becomes another user by twistd's ``--uid``, or is started as one."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that serve connections and work on the queue; ``"auto"``: as many as there are processor cores. With
    more than one, the process that was started keeps the others and serves no client itself; SIGHUP makes it read the
    configuration anew. Limits in this file are for all workers together, except those of memory and of database
    connections in ``[store]``, ``[dns]`` and ``[directory]``, which are for each."""

    @field_validator("hostname")
    @classmethod
    def _is_name(cls, hostname: str) -> str:
        return domain_name(hostname)

    @field_validator("domains")
    @classmethod
    def _are_names(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(domain_name(domain) for domain in domains)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"named twice: {', '.join(doubled)}")
        return names

    @property
    def worker_count(self) -> int:
        """``workers`` as a number."""
        return len(os.sched_getaffinity(0)) if self.workers == "auto" else self.workers

    @property
    def tls_dir(self) -> Path:
        """Where the self-signed certificate is kept."""
        return self.data_dir / "tls"
