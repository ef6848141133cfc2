"""`taximeter journal quarantine`: what could not be read or was refused: look at it, put it back, or give it up."""

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
    load_settings_or_fail,
    on_terminal,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from exporters.journal.quarantine import Entry
    from exporters.recorder.resubmit import Resubmitted

app = command_app()

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it; its beginning will do.")]


@app.callback()
def quarantine() -> None:
    """Lines that could not be read or were refused: look at them, put them back, or give them up."""


@app.command(
    name="list",
    help=help_text(
        "Show everything that was put aside: what, when, and why.",
        "taximeter journal quarantine list",
        "taximeter journal quarantine list --format json | jq '.[].id'",
    ),
)
def list_entries(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """One line, or row, for each entry."""
    # Imported here: see proxy.cli.
    from proxy.app_journal import quarantine_entries

    entries = quarantine_entries(load_settings_or_fail(config, data_dir))
    if answer_format is PageFormat.JSON:
        _print_json([_entry(entry) for entry in entries])
    elif on_terminal() and entries:
        _print_table(entries)
    else:
        for entry in entries:
            typer.echo(f"{entry.id}  {_when(entry)}  {entry.lines:,} lines  {entry.reason}")


@app.command(
    help=help_text(
        "Show one entry: why it was put aside, and its lines as far as they can be read.\n\n"
        "Words in unreadable lines that may be keys are left out.",
        "taximeter journal quarantine show worker-0-20261124T101500-1a2b3c4d.00000007",
    )
)
def show(
    entry_id: IdArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines at most.")] = 20,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """What it is, and what is in it."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_journal import JournalError, quarantine_entry, quarantine_lines

    try:
        entry = quarantine_entry(load_settings_or_fail(config, data_dir), entry_id)
        found = quarantine_lines(entry, lines)
    except JournalError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json({**_entry(entry), "content": msgspec.to_builtins(found)})
        return
    typer.echo(f"{entry.id}\n{entry.lines:,} lines {entry.reason}, of segment {entry.number} of {entry.instance}")
    typer.echo(f"put aside {_when(entry)}")
    for said in entry.why.splitlines():
        typer.echo(f"refused   {said}")
    for line in found:
        problem = f": {line.problem}" if line.problem else ""
        typer.echo(f"\n{line.kind}, {line.size_bytes:,} bytes{problem}")
        text = line.content if isinstance(line.content, str) else _json(line.content)
        typer.echo(text)
    if entry.lines > len(found):
        typer.echo(f"\n... and {entry.lines - len(found):,} lines more")


@app.command(
    help=help_text(
        "Put entries back, after an upgrade or a repair: each is on the books once, or stays where it is.\n\n"
        "Lines of the journal go back into it, and every sink gets them; rows that the store refused go to the store. "
        "What the store has already is left out. Ends with status 1 when something stays.",
        "taximeter journal quarantine resubmit worker-0-20261124T101500-1a2b3c4d.00000007.newer.3",
        "taximeter journal quarantine resubmit --all",
    )
)
def resubmit(
    entry_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="As `list` shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every entry.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Put back, and say what became of each."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_journal import JournalError, quarantine_entries, quarantine_entry, resubmit_entries

    if (entry_id is None) != every:
        fail("say which: an ID, or --all")
    settings = running_settings_or_fail(config, data_dir)
    results: list[Resubmitted] = []
    try:
        entries = [quarantine_entry(settings, entry_id)] if entry_id else quarantine_entries(settings)
        for result in resubmit_entries(settings, entries) if entries else ():
            results.append(result)
            if answer_format is PageFormat.TEXT:
                typer.echo(_became(result))
    except JournalError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json(msgspec.to_builtins(results))
    if not all(result.done for result in results):
        raise typer.Exit(1)


@app.command(
    help=help_text(
        "Give an entry up for good. It is counted as lost (quarantine_dropped) and noted in the quarantine folder.",
        "taximeter journal quarantine drop worker-0-20261124T101500-1a2b3c4d.00000007.torn.1 --yes",
    )
)
def drop(
    entry_id: IdArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Ask, then drop."""
    # Imported here: see proxy.cli.
    from proxy.app_journal import JournalError, drop_entry, quarantine_entry

    settings = load_settings_or_fail(config, data_dir)
    try:
        entry = quarantine_entry(settings, entry_id)
        if not yes:
            typer.confirm(f"Give up {entry.lines:,} lines for good ({entry.id})?", abort=True)
        drop_entry(settings, entry)
    except JournalError as error:
        fail(str(error))
    typer.echo(f"{entry.id}: dropped, {entry.lines:,} lines")


def _became(result: "Resubmitted") -> str:
    if not result.done:
        return f"{result.id}: stays: {result.why}"
    said = [f"{result.put_back:,} put back"]
    if result.known:
        said.append(f"{result.known:,} were in the store already")
    if result.unreadable:
        said.append(f"{result.unreadable:,} of them can still not be read and will come back")
    return f"{result.id}: {', '.join(said)}"


def _entry(entry: "Entry") -> dict[str, Any]:
    return {
        "id": entry.id,
        "instance": entry.instance,
        "segment": entry.number,
        "reason": entry.reason,
        "lines": entry.lines,
        "put_at": _when(entry),
        "why": entry.why,
    }


def _when(entry: "Entry") -> str:
    # Imported here: see proxy.cli.
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.put_at_s))


def _json(value: Any) -> str:
    # Imported here: see proxy.cli.
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def _print_json(value: Any) -> None:
    typer.echo(_json(value))


def _print_table(entries: "list[Entry]") -> None:
    # Imported here: see proxy.cli.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("id", overflow="fold")
    for name in ("put aside", "reason", "why"):
        table.add_column(name)
    table.add_column("lines", justify="right")
    for entry in entries:
        why = entry.why.partition("\n")[0]
        table.add_row(Text(entry.id), _when(entry), entry.reason, Text(why), f"{entry.lines:,}")
    Console(highlight=False).print(table)
