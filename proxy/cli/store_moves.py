"""`taximeter store backup`, `restore` and `copy`: the data out of the store, back into it, on to a real server."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    PageFormat,
    PageFormatOption,
    command_app,
    fail,
    help_text,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from exporters.moving.copying import Step
    from exporters.moving.result import CopyResult
    from exporters.store.gap import Gap
    from proxy.settings import Settings

app = command_app()

_PORTS = {"http": 8123, "https": 8443}
_VERDICTS = {"same": "same", "more": "all there, and others"}
_STAGES = {
    "write": "writing",
    "count": "counting",
    "check": "checking the files",
    "move": "moving to the other disk",
    "restore": "restoring",
    "switch": "putting it in place",
}


@app.command(
    help=help_text(
        "Back the embedded store up while everything runs.\n\n"
        "The backup is a folder: all tables as they were at one moment, with a manifest of counts, sums and digests. "
        "Without PATH it is made in the data folder, under backups. Calls, inserts and queries go on meanwhile.",
        "taximeter store backup",
        "taximeter store backup /mnt/safe/taximeter-monday --compress",
    )
)
def backup(
    path: Annotated[Path | None, typer.Argument(help="The folder to be made; it must not be there yet.")] = None,
    compress: Annotated[bool, typer.Option("--compress", help="Pack it once more with zstd: some 10 % less.")] = False,
    answer_format: PageFormatOption = PageFormat.TEXT,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Take a backup, and say what is in it."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app import RefusedError, back_up_store

    settings = running_settings_or_fail(config, data_dir)
    if not settings.store.embedded:
        fail("the store is a ClickHouse of your own: back it up with its own BACKUP statement")
    stamp = time.strftime("taximeter-%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.expanduser().absolute() if path else settings.data_dir / "backups" / stamp
    try:
        with _bar() as progress:
            manifest = back_up_store(settings, target, compress=compress, progress=progress)
    except RefusedError as error:
        fail(f"{error}{_hint(settings)}")
    if answer_format is PageFormat.JSON:
        _print_json({"path": str(target), "bytes": manifest.bytes, "manifest": msgspec.to_builtins(manifest)})
    else:
        rows = ", ".join(f"{f.rows:,} {table}" for table, f in manifest.tables.items() if f.rows is not None)
        typer.echo(f"{target}\nthe store as of {manifest.at}: {rows}; {manifest.bytes / 1e6:,.1f} MB")


@app.command(
    help=help_text(
        "Put a backup into the data folder, and check it by counts and sums.\n\n"
        "Taximeter may run meanwhile: calls go on, and the store is started again on what was restored. Where there "
        "are data already it does so only with --force, and keeps them in a folder beside. Says what is missing.",
        "taximeter store restore /mnt/safe/taximeter-monday",
        "taximeter store restore ./data/backups/taximeter-20261124T101500Z --force",
    )
)
def restore(
    path: Annotated[Path, typer.Argument(help="The folder of the backup.")],
    force: Annotated[bool, typer.Option("--force", help="Also where there are data already.")] = False,
    answer_format: PageFormatOption = PageFormat.TEXT,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Restore, and say what was restored and what is not in it."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app import RefusedError, restore_store

    settings = running_settings_or_fail(config, data_dir)
    try:
        with _bar() as progress:
            restored = restore_store(settings, path.expanduser(), force=force, progress=progress)
    except RefusedError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json(msgspec.to_builtins(restored))
        return
    manifest = restored.manifest
    rows = ", ".join(f"{f.rows:,} {table}" for table, f in manifest.tables.items() if f.rows is not None)
    lines = [f"restored the store as of {manifest.at}: {rows}; counts and sums are those of the backup"]
    lines.append("the store was started again on it" if restored.restarted else "taximeter serve starts with it")
    if restored.former:
        lines.append(f"what was there before lies in {restored.former}: remove it when you are sure")
    typer.echo("\n".join([*lines, *gap_lines(restored.gap, manifest.at)]))


def gap_lines(gap: "Gap", at: str) -> list[str]:
    """What a store that was restored as of `at` is short of, for people: where it is, and what to do."""
    lines = []
    if gap.archived_calls:
        lines.append(
            f"{gap.archived_calls:,} calls were delivered after that and are not in it. Deliver their "
            f"{gap.archived_segments:,} segments once more: taximeter journal ship {gap.folder}"
        )
    if not gap.reaches_back:
        since = f"goes back to {gap.oldest_archived} only" if gap.oldest_archived else "is empty"
        lines.append(f"the archive of delivered segments {since}: what was delivered between {at} and then is missing")
    if gap.unreadable_segments:
        lines.append(f"{gap.unreadable_segments:,} archived segments cannot be read")
    if gap.waiting_segments:
        lines.append(f"{gap.waiting_segments:,} segments wait in the journal and are delivered as usual")
    return lines


@app.command(
    help=help_text(
        "Copy the embedded store to a ClickHouse server.\n\n"
        "Taximeter may run meanwhile. The tables are made there first; then rows are brought day by day, and both ends "
        "are compared by counts, keys and sums. Run it again after a failure, or for what came since: it brings what "
        "is missing, and nothing twice. Ends with status 1 when something is not as it should be.",
        "taximeter store copy --to https://clickhouse.example:8443 --user taximeter --password-env CLICKHOUSE_PASSWORD",
        "taximeter store copy --to http://10.0.0.7:8123 --password-file /run/secrets/ch --since 2026-11-01",
    )
)
def copy(  # noqa: PLR0913, PLR0917 - one for every option
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The server's HTTP interface.")],
    user: Annotated[str, typer.Option("--user", help="Its account.")] = "default",
    password_env: Annotated[
        str, typer.Option("--password-env", metavar="NAME", help="Variable with its password.")
    ] = "",
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="File with its password.")
    ] = None,
    database: Annotated[str, typer.Option("--database", help="The database there.")] = "taximeter",
    cluster: Annotated[str, typer.Option("--cluster", help="The cluster to spread the tables over, if any.")] = "",
    ca_file: Annotated[str, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust.")] = "",
    since: Annotated[str, typer.Option("--since", metavar="DAY", help="First day (UTC), as 2026-11-01.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="DAY", help="Day after the last one.")] = "",
    anew: Annotated[bool, typer.Option("--anew", help="Also what was copied before and deleted there.")] = False,
    answer_format: PageFormatOption = PageFormat.TEXT,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Copy, compare, and say how to switch."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app import RefusedError, copy_store
    from proxy.settings import StoreSettings

    target = StoreSettings(
        url=_url(to),
        user=user,
        password=_password(password_env, password_file),
        database=database,
        embedded=False,
        tls_ca_file=ca_file or None,
        cluster=cluster or None,
    )
    settings = running_settings_or_fail(config, data_dir)
    try:
        with _rows_bar() as tell:
            result = copy_store(settings, target, tell, since=_day(since), until=_day(until), anew=anew)
    except RefusedError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json({"good": result.good, **msgspec.to_builtins(result)})
    else:
        _print_result(result, target.url, embedded=settings.store.embedded)
    if not result.good:
        raise typer.Exit(1)


def _print_result(result: "CopyResult", url: str, *, embedded: bool) -> None:
    # Imported here: see proxy.cli.
    from datetime import UTC, datetime

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("table", "day", "rows", "rows there", "cost", "verdict"):
        table.add_column(column, justify="right" if column.startswith("rows") else "left", overflow="fold")
    for day in (*result.days, *(one for one in result.rollups if one.verdict == "wrong")):
        money = ", ".join(f"{amount.normalize():f} {currency}" for currency, amount in sorted(day.money.items()))
        said = "; ".join(day.problems) or _VERDICTS[day.verdict]
        table.add_row(day.table, str(day.day), f"{day.rows:,}", f"{day.rows_there:,}", money, said)
    Console(highlight=False).print(table)
    cut = datetime.fromtimestamp(result.at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    lines = [f"{result.sent_rows:,} rows ({result.sent_bytes / 1e6:,.1f} MB) sent; the cut is {cut}"]
    lines.append(f"{len(result.rollups):,} days of sums compared with their rows")
    if result.others:
        lines.append(f"not of Taximeter, and not copied: {', '.join(result.others)}")
    if not result.good:
        lines.append("NOT everything is there as it should be: run it again, and look at the lines above")
    elif embedded:
        lines.append(
            f"To switch: set store.url to {url} in the configuration, start taximeter serve again, and run this "
            "command once more for what came since the cut."
        )
    typer.echo("\n".join(lines))


def _url(text: str) -> str:
    # Imported here: see proxy.cli.
    from urllib.parse import urlsplit

    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        fail(f"--to: {text!r} is no URL")
    if url.scheme not in {"http", "https"} or not url.hostname:
        fail(f"--to: {text!r} is not of the form https://host:port")
    if url.username or url.password:
        fail(
            "--to: no password in the URL, others may read it there: use --user with --password-env or --password-file"
        )
    return f"{url.scheme}://{url.netloc}" if port else f"{url.scheme}://{url.netloc}:{_PORTS[url.scheme]}"


def _password(variable: str, file: Path | None) -> str:
    if variable and file:
        fail("--password-env and --password-file: one of them")
    if variable:
        if variable not in os.environ:
            fail(f"--password-env: there is no variable {variable}")
        return os.environ[variable]
    if file is None:
        return ""
    try:
        return file.expanduser().read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--password-file: {file} cannot be read ({error})")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        fail(f"{text!r} is no day: write it as 2026-11-01")


@contextlib.contextmanager
def _rows_bar() -> "Iterator[Callable[[Step], None]]":
    """A progress bar of rows on a terminal, on stderr; elsewhere nothing."""
    # Imported here: see proxy.cli.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[sent]}"))
    began = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("look", total=None, sent="")

        def show(step: "Step") -> None:
            rate = step.sent_rows / max(0.1, time.monotonic() - began)
            sent = f"{step.sent_bytes / 1e6:,.1f} MB, {rate:,.0f} rows/s"
            bar.update(task, description=step.doing, completed=step.rows, total=step.all_rows or None, sent=sent)

        yield show


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal, on stderr; elsewhere nothing."""
    # Imported here: see proxy.cli.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(_STAGES.get(stage, stage), total=None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield show


def _print_json(value: Any) -> None:
    # Imported here: see proxy.cli.
    import json

    typer.echo(json.dumps(value, indent=2))


def _hint(settings: "Settings") -> str:
    # Imported here: see proxy.cli.
    from proxy.runstate import read_state

    return "" if read_state(settings) else "\nIs it running? Start it with: taximeter serve"
