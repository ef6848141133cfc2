"""`taximeter report`: what the calls cost, what the last ones were, what the providers deliver."""

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
from proxy.cli.report_output import show

if TYPE_CHECKING:
    from exporters.reports.writing import Format


class CallFormat(StrEnum):
    """How a call is told."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"
    HTML = "html"


_PERIOD = (
    "\n\nDays are days of the calendar in the time zone of --timezone, a date is the start of its day, and the end of "
    "a period does not belong to it."
)
"""A paragraph of its own: lists of commands show the first one only."""

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", "-s", metavar="WHEN", help="Start: 24h, 7d, 2w, today, 2026-11, 2026-11-01, ...T08:30.",
        show_default="7d",
    ),
]  # fmt: skip
UntilOption = Annotated[str | None, typer.Option("--until", "-u", metavar="WHEN", help="End; now, if not given.")]
MonthOption = Annotated[
    str | None, typer.Option("--month", "-m", metavar="YYYY-MM", help="A whole month, in place of --since and --until.")
]
ZoneOption = Annotated[
    str, typer.Option("--timezone", "--tz", metavar="ZONE", help="Time zone of days and hours: Europe/Berlin.")
]
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
    typer.Option("--format", "-f", help="A table (plain text where no terminal is), exact for programs, or a file."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, not to the standard output.")
]
TopOption = Annotated[int | None, typer.Option("--top", "-n", min=1, help="Only so many rows of each currency.")]

app = command_app()


@app.callback(no_args_is_help=True)
def report() -> None:
    """Ask the store what happened: costs, a month on one page, the last calls, how the providers did."""


@app.command(
    help=help_text(
        "What the calls cost, dearest first. Every currency and kind of billing is a table of its own, never added up; "
        f"totals say how many calls are estimated, unpriced, interrupted.{_PERIOD}\n\n"
        "--by takes model, model_requested, team, project, user, key_id, session, provider, dialect, operation, "
        "outcome, error_class, finish_class, status, streaming, usage_source, cost_source, price_id, billing, "
        "currency, day, hour, tag:NAME.",
        "taximeter report costs",
        "taximeter report costs --by team,model --since 7d --top 10",
        "taximeter report costs --by team --month 2026-11 --compare",
        "taximeter report costs --by day --since 2026-11-01 --until 2026-12-01 --timezone Europe/Berlin",
        "taximeter report costs --by tag:feature --where team=search --where outcome!=ok",
        "taximeter report costs --by user --since 2026-11 --format xlsx --output november.xlsx",
    )
)
def costs(  # noqa: PLR0913 - one parameter per option
    *,
    by: Annotated[str, typer.Option("--by", "-b", metavar="NAME,NAME", help="What to group by.")] = "model",
    since: SinceOption = None,
    until: UntilOption = None,
    month: MonthOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    top: TopOption = None,
    compare: Annotated[bool, typer.Option("--compare", help="Beside the period before.")] = False,
    answer_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the costs."""
    asked = _asked("costs", since=since, until=until, month=month, tz=tz, where=where, limit=top)
    _answer(asked | {"by": by, "compare": compare}, answer_format, output, config, data_dir)


@app.command(
    name="month",
    help=help_text(
        "A month on one page, for whoever pays: totals of each currency with their estimated, unpriced and interrupted "
        "parts, the month before, a forecast to the end with a range, costs by --by, budget against actual, top "
        f"callers, odd days, what caches saved. This month, if no period is given.{_PERIOD}\n\n"
        "--part is one of totals, costs, budgets, callers, anomalies, savings, days; CSV and Parquet hold one part "
        "(costs, if none is named), the other formats all of them.",
        "taximeter report month",
        "taximeter report month --month 2026-11 --by team,model --timezone Europe/Berlin",
        "taximeter report month --month 2026-11 --format html --output november.html",
        "taximeter report month --month 2026-11 --format xlsx --output november.xlsx",
        "taximeter report month --part days --format csv > days.csv",
        "taximeter report month --since 2026-10-01 --until 2027-01-01 --where project=shop",
    ),
)
def month_(  # noqa: PLR0913 - one parameter per option
    *,
    by: Annotated[str, typer.Option("--by", "-b", metavar="NAME,NAME", help="What to group the costs by.")] = "team",
    since: Annotated[
        str | None, typer.Option("--since", "-s", metavar="WHEN", help="Start of any other period; see report costs.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", "-u", metavar="WHEN", help="Its end, which may be to come; else now.")
    ] = None,
    month: MonthOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    top: TopOption = 20,
    part: Annotated[str, typer.Option("--part", metavar="NAME", help="This part alone.")] = "",
    answer_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the month."""
    asked = _asked("month", since=since, until=until, month=month, tz=tz, where=where, limit=top)
    _answer(asked | {"by": by, "part": part}, answer_format, output, config, data_dir)


@app.command(
    help=help_text(
        f"The last calls, newest first, each with its cost and where that figure comes from.{_PERIOD}",
        "taximeter report calls",
        "taximeter report calls --limit 100 --where team=search --where outcome!=ok",
        "taximeter report calls --since 2026-11-24T08:00 --until 2026-11-24T09:00 --tz Asia/Shanghai --format json",
        "taximeter report calls --where call_id=019ac2f0c1d87bd0",
    )
)
def calls(  # noqa: PLR0913 - one parameter per option
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many calls.")] = 20,
    since: SinceOption = None,
    until: UntilOption = None,
    month: MonthOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    answer_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the last calls."""
    asked = _asked("calls", since=since, until=until, month=month, tz=tz, where=where, limit=limit)
    _answer(asked, answer_format, output, config, data_dir)


@app.command(
    help=help_text(
        "What each provider and model delivers, measured: success, uptime, latency, time to first token, output tokens "
        f"per second; beside it the list price, the price in effect, and the context size.{_PERIOD}",
        "taximeter report providers",
        "taximeter report providers --since 24h --where provider=minimax --where provider=openai",
        "taximeter report providers --since 2026-11 --format csv",
    )
)
def providers(  # noqa: PLR0913 - one parameter per option
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    month: MonthOption = None,
    tz: ZoneOption = "UTC",
    where: WhereOption = None,
    top: Annotated[int | None, typer.Option("--top", "-n", min=1, help="Only the busiest.")] = None,
    answer_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print how the providers did."""
    asked = _asked("providers", since=since, until=until, month=month, tz=tz, where=where, limit=top)
    _answer(asked, answer_format, output, config, data_dir)


@app.command(
    help=help_text(
        "One call as a whole: who called, what was decided, every try with its waits, how it ended, and the arithmetic "
        "of its price.",
        "taximeter report call 019ac2f0c1d87bd0a3f4c1e05b7d9f12",
        "taximeter report call 019ac2f0c1d87bd0a3f4c1e05b7d9f12 --format json",
    )
)
def call(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="As the answer's x-taximeter-call-id says.")],
    *,
    tz: ZoneOption = "UTC",
    answer_format: Annotated[
        CallFormat, typer.Option("--format", "-f", help="For people, or for programs.")
    ] = CallFormat.TEXT,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the story of a call."""
    # Imported here: see proxy.cli.
    from proxy.app import told_call

    show(told_call(running_settings_or_fail(config, data_dir), call_id, tz, as_json=answer_format == "json"), None)


def _asked(
    name: str,
    *,
    since: str | None,
    until: str | None,
    month: str | None,
    tz: str,
    where: list[str] | None,
    limit: int | None,
) -> dict[str, Any]:
    asked: dict[str, Any] = {"name": name, "until": until, "tz": tz, "where": where or [], "limit": limit}
    return asked | {"since": since or "", "month": month or ""}


def _answer(
    asked: dict[str, Any], answer_format: ReportFormat, output: Path | None, config: Path | None, data_dir: Path | None
) -> None:
    """Ask, and show the answer."""
    # Imported here: see proxy.cli.
    from proxy.app import told_report

    table: Format = "table" if on_terminal() and output is None else "text"
    formats: dict[ReportFormat, Format] = {
        ReportFormat.TABLE: table,
        ReportFormat.JSON: "json",
        ReportFormat.CSV: "csv",
        ReportFormat.PARQUET: "parquet",
        ReportFormat.XLSX: "xlsx",
        ReportFormat.HTML: "html",
    }
    wanted = formats[answer_format]
    show(told_report(running_settings_or_fail(config, data_dir), asked, wanted), output)
