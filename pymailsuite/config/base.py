"""What all sections share: frozen, unknown keys refused, durations and sizes read into plain numbers at load time."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo


class Section(BaseModel):
    """The base of every section. An attribute's docstring is its documentation in the option reference.

    Only the reference reads them (``config.reference``): finding them in the source would be a tenth of each start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_OCTETS = {
    **{"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def _quantity(value: Any, units: dict[str, float] | dict[str, int]) -> Any:
    """A number as it is; text such as ``"5m"`` or ``"25 MiB"`` as its value in the base unit."""
    if not isinstance(value, str):
        return value
    match = _QUANTITY.fullmatch(value)
    if match is None or match[2] not in units:
        raise ValueError(f"expected a number or a number with one of the units {', '.join(units)}")
    return float(match[1]) * units[match[2]]


Duration = Annotated[float, BeforeValidator(lambda value: _quantity(value, _SECONDS))]
"""Seconds; written as a number or as text with a unit: ``"90s"``, ``"5m"``, ``"4h"``, ``"5d"``."""


def _octets(value: Any) -> Any:
    quantity = _quantity(value, _OCTETS)
    return int(quantity) if isinstance(quantity, float) and quantity.is_integer() else quantity


Size = Annotated[int, BeforeValidator(_octets)]
"""Octets; written as a number or as text with a unit: ``"64 KiB"``, ``"50MB"``."""


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    """The path as it stands if absolute, else from the folder the validation context names."""
    folder = info.context.get("folder") if info.context else None
    return Path(folder) / path if folder is not None else path


FilePath = Annotated[Path, AfterValidator(_from_folder)]
"""A path; a relative one is taken from the folder of the configuration file."""


Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def _networks(value: Any) -> Any:
    if isinstance(value, bool):
        return tuple(map(str, LOOPBACK)) if value else ()
    return tuple(value) if isinstance(value, list) else value


PlaintextLogin = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
"""Networks from which passwords are taken without TLS; ``true`` for loopback addresses, ``false`` for none."""
