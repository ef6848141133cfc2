"""`taximeter report`: what the calls cost, what the last ones were, what the providers deliver."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    command_app,
    help_text,
    on_terminal,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from exporters.reports.answers import Format
    from exporters.reports.formats import Table


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


_PERIOD = (
    "\n\nDays are days of the calendar in the time zone of --tz, a date is the start of its day, and the end of a "
    "period does not belong to it."
)
"""A paragraph of its own: lists of commands show the first one only."""

SinceOption = Annotated[
    str,
    typer.Option("--since", "-s", metavar="WHEN", help="Start: 24h, 7d, 2w, today, 2026-11, 2026-11-01, ...T08:30."),
]
UntilOption = Annotated[str | None, typer.Option("--until", "-u", metavar="WHEN", help="End; now, if not given.")]
ZoneOption = Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of days and hours: Europe/Berlin.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="NAME=VALUE",
        help="Only these calls: team=a, tag:env!=test. Repeatable; several values of one name mean any of them.",
    ),
]
FormatOption = Annotated[
    ReportFormat,
    typer.Option("--format", "-f", help="A table (plain text where no terminal is), or exact for programs."),
]
TopOption = Annotated[int | None, typer.Option("--top", "-n", min=1, help="Only so many rows of each currency.")]

app = command_app()


@app.callback(no_args_is_help=True)
def report() -> None:
    """Ask the store what happened: costs, the last calls, how the providers did."""


@app.command(
    help=help_text(
        "What the calls cost, dearest first. Every currency and kind of billing is a table of its own, never added up; "
        f"totals say how many calls are estimated, unpriced, interrupted.{_PERIOD}\n\n"
        "--by takes model, model_requested, team, project, user, key_id, session, provider, dialect, operation, "
        "outcome, error_class, finish_class, status, streaming, usage_source, cost_source, price_id, billing, "
        "currency, day, hour, tag:NAME.",
        "taximeter report costs",
        "taximeter report costs --by team,model --since 7d --top 10",
        "taximeter report costs --by day --since 2026-11-01 --until 2026-12-01 --tz Europe/Berlin",
        "taximeter report costs --by tag:feature --where team=search --where outcome!=ok",
        "taximeter report costs --by user --since 2026-11 --format csv > november.csv",
    )
)
def costs(  # noqa: PLR0913 - one parameter per option
    *,
    by: Annotated[str, typer.Option("--by", "-b", metavar="NAME,NAME", help="What to group by.")] = "model",
    since: SinceOption = "7d",
    until: UntilOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    top: TopOption = None,
    answer_format: FormatOption = ReportFormat.TABLE,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the costs."""
    asked = _asked("costs", since=since, until=until, tz=tz, where=where, limit=top)
    _answer(asked | {"by": by}, answer_format, config, data_dir)


@app.command(
    help=help_text(
        f"The last calls, newest first, each with its cost and where that figure comes from.{_PERIOD}",
        "taximeter report calls",
        "taximeter report calls --limit 100 --where team=search --where outcome!=ok",
        "taximeter report calls --since 2026-11-24T08:00 --until 2026-11-24T09:00 --tz Asia/Shanghai --format json",
        "taximeter report calls --where call_id=019ac2f0c1d87bd0",
    )
)
def calls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many calls.")] = 20,
    since: SinceOption = "7d",
    until: UntilOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    answer_format: FormatOption = ReportFormat.TABLE,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the last calls."""
    asked = _asked("calls", since=since, until=until, tz=tz, where=where, limit=limit)
    _answer(asked, answer_format, config, data_dir)


@app.command(
    help=help_text(
        "What each provider and model delivers, measured: success, uptime, latency, time to first token, output tokens "
        f"per second; beside it the list price, the price in effect, and the context size.{_PERIOD}",
        "taximeter report providers",
        "taximeter report providers --since 24h --where provider=minimax --where provider=openai",
        "taximeter report providers --since 2026-11 --format csv",
    )
)
def providers(
    since: SinceOption = "7d",
    until: UntilOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    top: Annotated[int | None, typer.Option("--top", "-n", min=1, help="Only the busiest.")] = None,
    answer_format: FormatOption = ReportFormat.TABLE,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print how the providers did."""
    asked = _asked("providers", since=since, until=until, tz=tz, where=where, limit=top)
    _answer(asked, answer_format, config, data_dir)


def _asked(
    name: str, *, since: str, until: str | None, tz: str, where: list[str] | None, limit: int | None
) -> dict[str, Any]:
    return {"name": name, "since": since, "until": until, "tz": tz, "where": where or [], "limit": limit}


def _answer(asked: dict[str, Any], answer_format: ReportFormat, config: Path | None, data_dir: Path | None) -> None:
    """Ask, and print the answer; what is wrong goes to stderr and ends with status 1, or 2 for a wrong question."""
    # Imported here: see proxy.cli.
    from proxy.app import told_report

    table: Format = "table" if on_terminal() else "text"
    formats: dict[ReportFormat, Format] = {
        ReportFormat.TABLE: table,
        ReportFormat.JSON: "json",
        ReportFormat.CSV: "csv",
    }
    told = told_report(running_settings_or_fail(config, data_dir), asked, formats[answer_format])
    if told.problem:
        typer.echo(told.problem, err=True)
        raise typer.Exit(told.exit_status)
    if told.table is not None:
        _draw(told.table)
        return
    try:
        sys.stdout.write(told.text if told.text.endswith("\n") else told.text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough (`| head`); Python would complain of it once more when it flushes at the end.
        sys.stderr.close()
        raise typer.Exit(0) from None


def _draw(table: "Table") -> None:
    # Imported here: see proxy.cli.
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    drawn = RichTable(
        title=table.title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    lines = [row for section in table.sections for row in (*section.rows, section.total or ())]
    for number, heading in enumerate(table.headings):
        room = max((len(line[number]) for line in lines if line), default=0)
        drawn.add_column(
            _broken(heading, room),
            justify="right" if table.numeric[number] else "left",
            overflow="fold",
            no_wrap=not table.foldable[number],
        )
    for section in table.sections:
        for row in section.rows:
            drawn.add_row(*map(Text, row))
        if section.total is not None:
            drawn.add_row(*map(Text, section.total), style="bold")
        drawn.add_section()
    if table.sections:
        console.print(drawn)
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _broken(heading: str, room: int) -> str:
    """A heading in lines that are no longer than its column's cells, as far as its words allow."""
    # Imported here: see proxy.cli.
    import textwrap

    widest = max(room, *map(len, heading.split()))
    return "\n".join(textwrap.wrap(heading, widest))
