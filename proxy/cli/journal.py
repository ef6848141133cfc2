"""`taximeter journal`: what waits, what was put aside, and the journals of machines that are gone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli import journal_quarantine
from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    PageFormat,
    PageFormatOption,
    command_app,
    fail,
    help_text,
    load_settings_or_fail,
    on_terminal,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from exporters.recorder.report import JournalReport
    from exporters.recorder.ship import Shipped

app = command_app()
app.add_typer(journal_quarantine.app, name="quarantine")


@app.callback()
def journal() -> None:
    """Look after the journal: what waits in it, what was put aside, and journals of machines that are gone."""


@app.command(
    help=help_text(
        "Show what waits in the journal: by process, and by sink.\n\n"
        "Told from the disk, whether Taximeter runs or not; changes nothing.",
        "taximeter journal status",
        "taximeter journal status --format json | jq .sinks",
    )
)
def status(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Print the report."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_journal import journal_state

    report = journal_state(load_settings_or_fail(config, data_dir))
    if answer_format is PageFormat.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        return
    for line in _summary(report):
        typer.echo(line)
    if on_terminal() and report.instances:
        _print_instances(report)
    else:
        for one in report.instances:
            cursors = ", ".join(f"{sink} {number}" for sink, number in one.cursors.items()) or "-"
            said = f"{'alive' if one.alive else 'dead'}, {one.sealed + one.open} segments, {one.bytes:,} bytes"
            typer.echo(f"instance   {one.instance}  {said}, {one.oldest_s:.0f} s, read {one.read}, has: {cursors}")


@app.command(
    help=help_text(
        "Deliver the journal of a machine that is gone to the store that is configured here.\n\n"
        "DIR is its data folder, or the folder `journal` of it, copied or mounted; nothing in it is changed. What the "
        "store has already is left out, and calls that were under way are closed as interrupted. It works while "
        "Taximeter runs here and without it. Cut short, it goes on when it is run again.",
        "taximeter journal ship /mnt/old-machine/data --dry-run",
        "taximeter journal ship /mnt/old-machine/data",
        "taximeter journal ship /mnt/old-machine/data --kept",
    )
)
def ship(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data or journal folder of the other machine.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    kept: Annotated[
        bool, typer.Option("--kept", help="Also what it had delivered and still keeps: when its store is gone too.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Ship, or say what shipping would do."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_journal import JournalError, ship_folder, try_shipping

    settings = running_settings_or_fail(config, data_dir)
    try:
        if dry_run:
            shipped = try_shipping(settings, folder, kept_too=kept)
        else:
            shipped = ship_folder(settings, folder, kept_too=kept, progress=_tell_progress)
    except JournalError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(shipped), indent=2))
    else:
        for line in _result(shipped, dry_run=dry_run):
            typer.echo(line)
    if shipped.errors:
        raise typer.Exit(1)


def _tell_progress(done: int, total: int) -> None:
    if on_terminal():
        typer.echo(f"\r{done:,} of {total:,} segments", nl=done >= total, err=True)


def _result(shipped: "Shipped", *, dry_run: bool) -> list[str]:
    verb = "would be" if dry_run else "were"
    lines = [
        f"{shipped.calls:,} calls {verb} delivered, {shipped.known:,} more were in the store already",
        f"{shipped.segments:,} segments of {shipped.instances:,} processes, {shipped.bytes:,} bytes",
    ]
    if shipped.interrupted:
        lines.append(f"{shipped.interrupted:,} calls were under way and {verb} closed as interrupted")
    if not shipped.with_state:
        lines.append("its run/recorder.sqlite was not used: the store was asked for every call")
    else:
        lines.append(
            "what it had delivered itself was left out; if its store is gone with it, run this with --kept too"
        )
    lines += [f"lost before: {count:,} {reason}" for reason, count in sorted(shipped.losses.items())]
    lines += [f"trouble: {error}" for error in shipped.errors]
    return lines


def _summary(report: "JournalReport") -> list[str]:
    free = "unknown" if report.free_bytes is None else f"{report.free_bytes:,}"
    full = f"FULL ({report.full}): calls {'are refused' if report.on_full == 'refuse' else 'go on unrecorded'}"
    waiting = f"{report.segments:,} segments, {report.bytes:,} of {report.max_bytes:,} bytes"
    lines = [
        f"journal    {report.journal_dir}",
        f"waiting    {waiting}, oldest {report.oldest_s:.0f} s",
        f"room       {full if report.full else 'yes'}; disk {free} bytes free, {report.min_free_bytes:,} kept free",
        f"kept       {report.kept_segments:,} delivered segments, {report.kept_bytes:,} bytes",
        f"under way  {report.open_calls:,} calls, as far as was read",
    ]
    for name, sink in report.sinks.items():
        said = f"{sink.waiting_segments:,} segments to come, {sink.under_way:,} under way"
        said += f", {sink.given_up:,} calls given up" if sink.given_up else ""
        lines.append(f"sink       {name}: {said}")
    lines += [f"quarantine {count:,} lines {reason}" for reason, count in sorted(report.quarantine.items())]
    lines += [f"lost       {count:,} {reason}" for reason, count in sorted(report.losses.items())]
    return lines


def _print_instances(report: "JournalReport") -> None:
    # Imported here: see proxy.cli.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("instance", "process"):
        table.add_column(name, no_wrap=True)
    for name in ("segments", "bytes", "oldest", "read"):
        table.add_column(name, justify="right")
    for sink in report.sinks:
        table.add_column(Text(sink), justify="right")
    for one in report.instances:
        table.add_row(
            Text(one.instance),
            "alive" if one.alive else "dead",
            f"{one.sealed + one.open:,}",
            f"{one.bytes:,}",
            f"{one.oldest_s:.0f} s",
            f"{one.read:,}",
            *(f"{one.cursors.get(sink, 0):,}" for sink in report.sinks),
        )
    Console(highlight=False).print(table)
