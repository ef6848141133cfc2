"""`taximeter policy replay`: what the stored calls would have met under other policies."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    PageFormat,
    PageFormatOption,
    fail,
    help_text,
    running_settings_or_fail,
)
from proxy.cli.policy_explain import compiled_or_fail

if TYPE_CHECKING:
    from policies.replay import Replayed
    from proxy.app_replay import Comparison

HELP = help_text(
    "What the stored calls of a period would have met under other policies: refused, downgraded, saved, and how full "
    "each budget became; beside it, what the policies in force make of the same calls.\n\n"
    "Nothing is sent or changed. Calls hold what they used, so that the refusals are the least there would have been.",
    "taximeter policy replay --since 30d --with new.yaml",
    "taximeter policy replay --since 2026-11-01 --until 2026-12-01 --tz Europe/Berlin --with a.yaml --with b.yaml",
    "taximeter policy replay --with new.yaml --format json",
)
_SHOWN_DAYS = 7
NOTES = (
    "A call holds what it used: bodies are not stored, and with them the worst case that it would have held.",
    "Refused calls save what they cost, downgraded ones the difference in price; what else apps had done nobody knows.",
    "Top-ups are not counted, and calls whose cost is not known spend nothing.",
)


def replay_calls(
    *,
    files: Annotated[list[Path], typer.Option("--with", metavar="FILE", help="The other policies. Repeatable.")],
    since: Annotated[str, typer.Option("--since", "-s", metavar="WHEN", help="Start, as for reports.")] = "30d",
    until: Annotated[str | None, typer.Option("--until", "-u", metavar="WHEN", help="End; now, if not given.")] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of the period's days.")] = "UTC",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Replay, and print both outcomes beside each other."""
    # Imported here: see proxy.cli.
    from proxy.app_replay import ReplayError, period_of, replay

    settings = running_settings_or_fail(config, data_dir)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        fail(f"there is no file {missing}")
    try:
        period = period_of(since, until, tz)
        # Prices that ended within the period are wanted, too.
        now = compiled_or_fail(settings, None, period.since_ns)
        new = compiled_or_fail(settings, [file.absolute() for file in files], period.since_ns)
        with _bar() as progress:
            found = replay(settings, period, now, new, progress=progress)
    except ReplayError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps(as_json(found), indent=2))
    else:
        typer.echo(as_text(found))


def as_json(found: "Comparison") -> dict[str, Any]:
    """Everything, for programs; amounts are decimal text."""
    # Imported here: see proxy.cli.
    import msgspec

    told = {"since": found.since, "until": found.until, "now": found.now, "new": found.new, "notes": NOTES}
    plain: dict[str, Any] = msgspec.to_builtins(told, enc_hook=str)
    return plain


def as_text(found: "Comparison") -> str:
    """Both outcomes beside each other, for people."""
    # Imported here: see proxy.cli.
    from policies.replay import money_text

    now, new = found.now, found.new
    rows: list[tuple[str, ...]] = [
        ("", "in force", "new"),
        ("calls", f"{now.calls:,}", f"{new.calls:,}"),
        ("refused", f"{now.refused:,}", f"{new.refused:,}"),
        ("cost of all", money_text(now.costs), money_text(new.costs)),
        ("cost of the refused", money_text(now.saved), money_text(new.saved)),
    ]
    rows += _beside("downgraded to", now.downgraded, new.downgraded)
    if now.saved_by_downgrades or new.saved_by_downgrades:
        rows.append(("saved by downgrades", money_text(now.saved_by_downgrades), money_text(new.saved_by_downgrades)))
    rows += _beside("by route", now.routes, new.routes)
    rows += _beside("left out:", now.left_out, new.left_out)
    lines = [f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M %Z}", "", *_table(rows)]
    for title, one in (("in force", now), ("new", new)):
        lines += ["", f"{title}:", *(_rules(one) or ["  no rule refused anything"]), *_budgets(one)]
    return "\n".join([*lines, "", *NOTES])


def _beside(what: str, now: dict[str, int], new: dict[str, int]) -> list[tuple[str, ...]]:
    names = sorted(now.keys() | new.keys())
    return [(f"{what} {name.replace('_', ' ')}", f"{now.get(name, 0):,}", f"{new.get(name, 0):,}") for name in names]


def _rules(one: "Replayed") -> list[str]:
    # Imported here: see proxy.cli.
    from policies.replay import money_text

    rows: list[tuple[str, ...]] = [("  rule", "refused", "saved", "would refuse", "clamped")]
    for name, rule in sorted(one.rules.items(), key=lambda item: -item[1].refused):
        figures = (f"{rule.refused:,}", money_text(rule.saved), f"{rule.would_refuse:,}", f"{rule.clamped:,}")
        rows.append((f"  {name}", *figures))
    return _table(rows) if len(rows) > 1 else []


def _budgets(one: "Replayed") -> list[str]:
    lines: list[str] = []
    for name, curve in one.budgets.items():
        days = list(curve.by_day.items())
        shown = ", ".join(f"{day[5:]} {amount}" for day, amount in days[-_SHOWN_DAYS:])
        lines.append(
            f"  {name}: {curve.passed:,} of {curve.counters:,} counters full; fullest {curve.fullest or '-'}: "
            f"{curve.fullest_spent} of {curve.fullest_limit} {curve.unit} ({curve.fullest_percent} %)"
        )
        if shown:
            lines.append(f"    {curve.unit} by day{', the last' if len(days) > _SHOWN_DAYS else ''}: {shown}")
    return lines


def _table(rows: "Sequence[tuple[str, ...]]") -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, on stderr; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    # Imported here: see proxy.cli.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("calls", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
