"""``account quota`` and ``domain quota``: limits, and what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
from pydantic import TypeAdapter, ValidationError

from pymailsuite.cli.output import print_json, print_rows
from pymailsuite.config.base import Size
from pymailsuite.interfaces.quota import AccountQuota, FolderRule, Limits, Quota, QuotaRoot

DEFAULT: Final = -1
"""In place of a limit: what is more general counts."""

_SHORT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])", re.IGNORECASE)
_RESOURCES: Final = ("storage", "messages", "mailboxes")


def _octets(text: str) -> int:
    """``2G``, ``500 MB``, or octets. ValidationError."""
    if text.isdecimal():
        return int(text)
    short = _SHORT.fullmatch(text.strip())
    return TypeAdapter[int](Size).validate_python(f"{short[1]} {short[2].upper()}iB" if short else text)


class LimitType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A limit, ``none``, or ``default``."""

    def __init__(self, name: str, read: Callable[[str], int]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A number; 0 for ``none``, DEFAULT for ``default``."""
        if value in ("none", "default"):
            return 0 if value == "none" else DEFAULT
        try:
            limit = self._read(str(value))
        except (ValidationError, ValueError):
            limit = 0
        if limit <= 0:
            self.fail(f"expected a number above 0, none or default, not {value!r}", param, ctx)
        return limit


class FolderRuleType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """``ignored``, ``+100M``, or ``default``."""

    name = "rule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FolderRule | None:
        """The rule; None to have none."""
        if isinstance(value, FolderRule) or value == "default":
            return value if isinstance(value, FolderRule) else None
        if value == "ignored":
            return FolderRule(counted=False)
        try:
            if str(value).startswith("+"):
                return FolderRule(extra=_octets(str(value)[1:]))
        except ValidationError:
            pass
        self.fail(f"expected ignored, +SIZE or default, not {value!r}", param, ctx)


SIZE: Final = LimitType("size", _octets)
NUMBER: Final = LimitType("number", int)


def limit_options(prefix: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options for three limits, by the names of the arguments."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        begin = f"--{prefix}-" if prefix else "--"
        for option in (
            click.option(f"{begin}mailboxes", type=NUMBER, help=f"Mailboxes of {what}."),
            click.option(f"{begin}messages", type=NUMBER, help=f"Messages of {what}."),
            click.option(f"{begin}storage", type=SIZE, help=f"Octets of the messages of {what}, such as 2G."),
        ):
            function = option(function)
        return function

    return add


folder_option = click.option(
    "--folder",
    "folders",
    nargs=2,
    type=click.Tuple([str, FolderRuleType()]),
    multiple=True,
    metavar="NAME RULE",
    help="A rule for mailboxes, by special use (\\Trash) or name (* and % stand for anything): ignored, or +SIZE for a"
    " higher limit on storage there, or default.",
)
default_option = click.option("--default", "to_default", is_flag=True, help="Have no quota of its own any more.")


def with_limits(old: Any, given: Mapping[str, int | None]) -> dict[str, Any]:
    """The limits of ``old`` with those that were given."""
    limits = {name: getattr(old, name) for name in _RESOURCES}
    limits |= {name: None if value == DEFAULT else value for name, value in given.items() if value is not None}
    return limits


def with_folders(old: Quota, folders: tuple[tuple[str, FolderRule | None], ...]) -> dict[str, FolderRule]:
    """The rules of ``old`` with those that were given."""
    wanted: dict[str, FolderRule | None] = {**old.folders, **dict(folders)}
    return {name: rule for name, rule in wanted.items() if rule is not None}


def changed_quota(old: Quota, given: Mapping[str, int | None], folders: Any) -> Quota:
    """The quota with what was given."""
    return Quota(**with_limits(old, given), folders=with_folders(old, folders))


def changed_limits(old: Limits, given: Mapping[str, int | None]) -> Limits:
    """The limits with what was given."""
    return Limits(**with_limits(old, given))


# --- output


def root_row(root: QuotaRoot) -> dict[str, Any]:
    """Usage, limit and percentage of each resource; None where there is no limit."""
    row: dict[str, Any] = {}
    for name in _RESOURCES:
        used, limit = getattr(root.usage, name), getattr(root.limits, name) or None
        row[name] = {"used": used, "limit": limit, "percent": None if limit is None else used * 100 // limit}
    return row


def _table(root: QuotaRoot, of: str) -> list[dict[str, Any]]:
    return [{"quota_of": of, "resource": name, **row} for name, row in root_row(root).items()]


def print_account(quota: AccountQuota, as_json: bool) -> None:
    """All about one account's quota."""
    folders = [
        {
            "folder": one.name,
            "storage": one.storage,
            "messages": one.messages,
            "counted": one.counted,
            "extra": one.extra,
        }
        for one in quota.folders
    ]
    total = quota.domain_total
    if as_json:
        told = {"account": quota.login_name, **root_row(quota.account)}
        print_json({**told, "domain_total": None if total is None else root_row(total), "folders": folders})
        return
    rows = _table(quota.account, quota.login_name)
    if total is not None:
        rows += _table(total, f"all accounts of {quota.domain}")
    print_rows(rows, list(rows[0]), False)
    click.echo()
    print_rows(folders, ["folder", "storage", "messages", "counted", "extra"], False)


def print_domain(name: str, defaults: Quota, total: QuotaRoot, as_json: bool) -> None:
    """The defaults of a domain's accounts, and what all of them hold."""
    limits = {resource: getattr(defaults, resource) for resource in _RESOURCES}
    rules = {folder: rule.model_dump() for folder, rule in defaults.folders.items()}
    if as_json:
        print_json({"domain": name, "accounts": {**limits, "folders": rules}, "total": root_row(total)})
        return
    rows = _table(total, f"all accounts of {name}")
    print_rows(rows, list(rows[0]), False)
    click.echo()
    shown = [{"each_account": resource, "limit": "none" if limit == 0 else limit} for resource, limit in limits.items()]
    print_rows(
        [*shown, *[{"each_account": folder, "limit": rule} for folder, rule in rules.items()]], list(shown[0]), False
    )
