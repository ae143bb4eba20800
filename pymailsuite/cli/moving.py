"""``pymailsuite store copy``, ``backup``, ``backups`` and ``restore``: whole stores on the move."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.filesize import decimal

from pymailsuite.cli.account import login_of
from pymailsuite.cli.moment import MomentType
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store, settings_of
from pymailsuite.cli.output import moment, print_facts, print_json, print_rows
from pymailsuite.cli.progress import shown_progress
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.config.settings import Settings
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.store import IStoreMaintenance, needed
from pymailsuite.server.data_folder import enter_data_folder, store_url
from pymailsuite.store.mail_store import open_engine
from pymailsuite.store.moving import BackupFolder, back_up, copy_store, restore_store, verify_backup
from pymailsuite.store.moving.session import StoreSession
from pymailsuite.values import Address

_LEAST_TIME_S: Final = 0.001

folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong is said in a line."""
    try:
        yield
    except MailError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")) from None


@contextmanager
def _session(url: str, settings: StoreSection, *, writable: bool) -> Iterator[StoreSession]:
    with closing(StoreSession(open_engine(url, settings), settings, writable=writable)) as session:
        yield session


@contextmanager
def _configured_store(config_file: Path, *, writable: bool) -> Iterator[StoreSession]:
    """The server's own store, as the user the server runs as."""
    settings = settings_of(config_file)
    enter_data_folder(settings)
    with _session(store_url(settings), settings.store, writable=writable) as session:
        yield session


def _rates(rows: int, octets: int, seconds: float) -> str:
    seconds = max(seconds, _LEAST_TIME_S)
    rate = f"{rows / seconds:,.0f} rows/s, {decimal(int(octets / seconds))}/s"
    return f"{rows:,} rows and {decimal(octets)} in {seconds:.1f} s ({rate})"


def _tell(faults: list[str]) -> None:
    for fault in faults:
        click.echo(fault, err=True)


@click.command()
@click.argument("source_url")
@click.argument("target_url")
@click.option("--deep", is_flag=True, help="In the end read all octets in the target and compare digests.")
@json_option
def copy(source_url: str, target_url: str, deep: bool, as_json: bool) -> None:
    """Copy a whole store to another database: UIDs, modseqs, queue and all. It is verified in the end.

    URLs are those of [store] url. Run it first while the server is in use, then once more with the server stopped: that
    copies later changes, and is quick. It may be stopped at any moment and run again. It exits with 1 as long as the
    source has moved on since; no server opens the target before it is complete.
    """
    settings = StoreSection()
    with (
        _failures(),
        _session(source_url, settings, writable=False) as source,
        _session(target_url, settings, writable=True) as target,
        shown_progress() as progress,
    ):
        result = copy_store(source, target, progress, now=time.time(), deep=deep)
    if as_json:
        print_json(
            {
                "complete": result.is_current,
                "state_of": moment(result.taken_at),
                "resumed": result.resumed,
                "rows": result.rows,
                "octets": result.octets,
                "seconds": round(result.seconds, 3),
                "faults": result.faults,
                "source_faults": result.source_faults,
            }
        )
    else:
        _tell(result.faults + result.source_faults)
        click.echo(f"wrote {_rates(result.rows, result.octets, result.seconds)}")
        if result.is_current:
            click.echo("the target is whole and verified")
    if not result.is_current:
        if result.faults:
            raise click.ClickException("the target is not what the source is; run the command again")
        raise click.ClickException(
            f"the target is verified as the source was at {moment(result.taken_at)}, but the source has changed since:"
            " stop its server and run the command again to bring over the rest"
        )


@click.command()
@folder_argument
@click.option("--keep", type=click.IntRange(min=1), help="Then drop all but this many of the newest sets.")
@click.option("--verify", "only_verify", is_flag=True, help="Write nothing: compare all files with their digests.")
@config_option
@json_option
def backup(folder: Path, keep: int | None, only_verify: bool, config_file: Path, as_json: bool) -> None:
    """Add a set to the backup in FOLDER, while the server is in use.

    A set is the whole store at one moment; only octets that no earlier set has are written. FOLDER holds plain files
    that never change under their names, so any other backup may copy it at any time.
    """
    with _failures(), shown_progress() as progress:
        if only_verify:
            faults = verify_backup(BackupFolder(folder), progress)
        else:
            with _configured_store(config_file, writable=False) as source:
                result = back_up(source, BackupFolder(folder), progress, keep=keep)
            faults = result.faults
    if as_json:
        print_json(faults if only_verify else {**_set_facts(result), "faults": faults})
    else:
        _tell(faults)
        if only_verify:
            click.echo(f"{len(faults)} faults" if faults else "no faults")
        else:
            print_facts(_set_facts(result), as_json=False)
    if faults:
        raise SystemExit(1)


def _set_facts(result: Any) -> Mapping[str, Any]:
    return {
        "set": result.name,
        "state_of": moment(result.taken_at),
        "messages_stored": result.contents,
        "octets": result.octets,
        "new_octets": result.new_octets,
        "sets_dropped": result.sets_dropped,
        "segments_dropped": result.segments_dropped,
        "seconds": round(result.seconds, 3),
    }


@click.command()
@folder_argument
@json_option
def backups(folder: Path, as_json: bool) -> None:
    """The sets of the backup in FOLDER, oldest first."""
    with _failures():
        rows = [
            {
                "set": one.name,
                "state_of": moment(one.manifest.taken_at),
                "accounts": one.manifest.tables["accounts"].rows,
                "messages": one.manifest.tables["messages"].rows,
                "octets": one.manifest.octets,
                "new_octets": one.manifest.new_octets,
                "faults": len(one.manifest.faults),
            }
            for one in BackupFolder(folder).all_sets()
        ]
    print_rows(rows, ["state_of", "accounts", "messages", "octets", "new_octets", "faults", "set"], as_json)


@click.command()
@folder_argument
@click.option("--at", type=MomentType(), help="The newest set no younger than this: 2d, 2026-11-22T14:00.")
@click.option("--account", type=AddressType(), help="Bring back mail of this account only, into the store in use.")
@click.option("--mailbox", help="Of this mailbox only.")
@click.option("--to", type=AddressType(), help="Into this account instead.")
@click.option("--dry-run", is_flag=True, help="Only show what would be restored.")
@click.option("--exact", is_flag=True, help="The whole store, with all numbers as they were: nothing happened since.")
@click.option("--deep", is_flag=True, help="The whole store: in the end read all octets and compare digests.")
@config_option
@json_option
def restore(
    folder: Path,
    at: float | None,
    account: Address | None,
    mailbox: str | None,
    to: Address | None,
    dry_run: bool,
    exact: bool,
    deep: bool,
    config_file: Path,
    as_json: bool,
) -> None:
    """Restore from the backup in FOLDER: the whole store, which must be empty, or mail of one account.

    With --account the server may be in use: messages that are not there come back, nothing is taken away. Without it
    the server must be stopped; the command may be stopped at any moment and run again.
    """
    if account is None:
        if mailbox is not None or to is not None or dry_run:
            raise click.UsageError("--mailbox, --to and --dry-run go with --account")
        _restore_whole(folder, at, exact, deep, config_file, as_json)
        return
    if exact or deep:
        raise click.UsageError("--exact and --deep are for the whole store")
    _restore_account(folder, at, account, mailbox, to, dry_run, config_file, as_json)


def _restore_whole(folder: Path, at: float | None, exact: bool, deep: bool, config_file: Path, as_json: bool) -> None:
    with (
        _failures(),
        _configured_store(config_file, writable=True) as target,
        closing(BackupFolder(folder).set_at(at)) as one,
        shown_progress() as progress,
    ):
        result = restore_store(target, one, progress, now=time.time(), exact=exact, deep=deep)
    if as_json:
        print_json(
            {
                "complete": result.is_complete,
                "set": result.name,
                "state_of": moment(result.taken_at),
                "resumed": result.resumed,
                "rows": result.rows,
                "octets": result.octets,
                "seconds": round(result.seconds, 3),
                "faults": result.faults,
            }
        )
    else:
        _tell(result.faults)
        click.echo(f"wrote {_rates(result.rows, result.octets, result.seconds)}")
        if result.is_complete:
            click.echo(f"the store is as it was at {moment(result.taken_at)}")
            if not exact:
                click.echo("messages in the queue are held: pymailsuite queue list, release, delete")
    if not result.is_complete:
        raise click.ClickException("the store is not what the set is")
    if result.faults:
        raise SystemExit(1)


def _restore_account(
    folder: Path,
    at: float | None,
    account: Address,
    mailbox: str | None,
    to: Address | None,
    dry_run: bool,
    config_file: Path,
    as_json: bool,
) -> None:
    async def operation(store: IMailStore, settings: Settings) -> Any:
        return await needed(store, IStoreMaintenance).restore_mail(
            folder, at, login_of(account), mailbox, None if to is None else login_of(to), dry_run
        )

    restored = on_store(config_file, operation)
    if as_json:
        print_json(
            {
                "account": restored.account,
                "account_made": restored.account_made,
                "restored": restored.messages,
                "there_already": restored.there,
                "octets": restored.octets,
                "dry_run": dry_run,
            }
        )
        return
    would = "would be " if dry_run else ""
    if restored.account_made:
        click.echo(f"account {restored.account} {would}made")
    rows = [{"mailbox": name, "messages": number} for name, number in sorted(restored.messages.items())]
    if rows:
        print_rows(rows, ["mailbox", "messages"], as_json=False)
    total = sum(restored.messages.values())
    click.echo(f"{total} messages {would}restored, {restored.there} were there already")
