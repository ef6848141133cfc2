"""`taximeter budget`: how full budgets are, what they spent, and top-ups."""

import csv
import io
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.command import ConfigOption, DataDirOption, command_app, fail, help_text, running_settings_or_fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.ledger.past import Past
    from exporters.ledger.standing import Standing

app = command_app()


class RowsFormat(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[RowsFormat, typer.Option("--format", "-f", help="For people or for programs.")]
ByOption = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="FIELD=VALUE", help="Only scopes with this value, such as team=search. Repeatable."),
]


@app.callback(invoke_without_command=False)
def budget() -> None:
    """See how full budgets are and what they spent, and add to one."""


@app.command(
    help=help_text(
        "How every budget stands: its window, limit, what is spent, held and left, and when it will be exhausted.",
        "taximeter budget status",
        "taximeter budget status search --by team=search",
        "taximeter budget status --format csv > budgets.csv",
    )
)
def status(
    name: Annotated[str, typer.Argument(metavar="[BUDGET]", help="Only this one.")] = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: FormatOption = RowsFormat.TABLE,
) -> None:
    """Print it."""
    # Imported here: see proxy.cli.
    from proxy.app_ledger_asks import LedgerError, budgets_in_force
    from proxy.app_ledger_budgets import budget_named, budget_status

    settings = running_settings_or_fail(config, data_dir)
    try:
        name = budget_named(budgets_in_force(settings), name).name if name else ""
        told = budget_status(settings)
    except LedgerError as error:
        fail(str(error))
    shown = [one for one in told.standings if name in ("", one.budget) and _has(one.scope, by or [])]
    if answer_format is RowsFormat.JSON:
        typer.echo(json.dumps([standing_json(one) for one in shown], indent=2))
    elif answer_format is RowsFormat.CSV:
        typer.echo(_csv([_flat(standing_json(one)) for one in shown]), nl=False)
    elif not shown:
        typer.echo("no budget of a scope like that" if told.standings else "no policy has a budget")
    else:
        typer.echo("\n".join(standing_lines(shown)))
    if told.without_forecast and told.standings:
        typer.echo(f"no forecasts: {told.without_forecast}", err=True)


@app.command(
    help=help_text(
        "What a budget spent in each of its windows, the newest first.\n\nThe ledger keeps twelve windows at least; "
        "the store says what was before. Each line names who says it.",
        "taximeter budget history search --by team=search",
        "taximeter budget history search --format json",
    )
)
def history(
    name: Annotated[str, typer.Argument(metavar="BUDGET")],
    by: ByOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The newest so many; 0: all.")] = 40,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: FormatOption = RowsFormat.TABLE,
) -> None:
    """Print it."""
    # Imported here: see proxy.cli.
    from proxy.app_ledger_asks import LedgerError
    from proxy.app_ledger_budgets import budget_history

    settings = running_settings_or_fail(config, data_dir)
    try:
        found, past, without_store = budget_history(settings, name)
    except LedgerError as error:
        fail(str(error))
    shown = [past_json(one, found.unit) for one in past if _has(one.scope, by or [])]
    shown = shown[:limit] if limit else shown
    if answer_format is RowsFormat.JSON:
        typer.echo(json.dumps(shown, indent=2))
    elif answer_format is RowsFormat.CSV:
        typer.echo(_csv(shown), nl=False)
    else:
        rows = [("window", "scope", "spent", "", "calls", "by")]
        for one in shown:
            calls = "-" if one["calls"] is None else f"{one['calls']:,}"
            rows.append((one["window"] or "-", one["scope"] or "-", one["spent"], one["unit"], calls, one["by"]))
        typer.echo("\n".join(_table(rows, left=2)) if shown else "nothing was spent yet")
    if without_store:
        typer.echo(f"by the ledger alone: {without_store}", err=True)


@app.command(
    "top-up",
    help=help_text(
        "Add an amount to the limit of a budget, once, for the present window or until an instant.\n\n"
        "It counts at once, also while the proxy runs, and stands in `taximeter audit` and `taximeter budget status`.",
        'taximeter budget top-up search --scope team=search --amount 5USD --reason "launch week"',
        'taximeter budget top-up all --amount "200k tokens" --until 2026-12-01T00:00:00+01:00 --reason migration',
    ),
)
def top_up(
    *,
    name: Annotated[str, typer.Argument(metavar="BUDGET")],
    amount: Annotated[str, typer.Option(help="How much, in the budget's unit: 5USD, 200k tokens.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    scope: Annotated[str, typer.Option(help="Whose: team=search, or several with commas.")] = "",
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Until when, with its zone.")] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Also for a scope that has not called yet.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make it."""
    # Imported here: see proxy.cli.
    from policies.wording import amount_text, instant_text
    from proxy import app_ledger_budgets as budgets
    from proxy.app_ledger_asks import LedgerError, person

    settings = running_settings_or_fail(config, data_dir)
    until_ns = _instant(until)
    wish = budgets.TopUpWish(budget=name, scope=scope, amount=amount, reason=reason, until_ns=until_ns, unseen=unseen)
    try:
        found, made = budgets.top_up(settings, wish, by=person())
    except LedgerError as error:
        fail(str(error))
    ends = "to the end of its present window" if until_ns is None else f"until {instant_text(until_ns)}"
    typer.echo(f"{made.family} has {amount_text(made.amount, found.unit)} more, {ends}")


def standing_json(one: "Standing") -> dict[str, Any]:
    """One budget for programs: amounts are exact decimal text, instants ISO 8601 in UTC."""
    # Imported here: see proxy.cli.
    from policies.wording import instant_text, number_text

    amounts = ("limit", "grace", "carry", "topped_up", "allowed", "spent", "held", "remaining")
    return {
        "budget": one.budget,
        "scope": one.scope,
        "counter": one.counter,
        "window": one.window,
        "zone": one.zone,
        "begins": instant_text(one.begins_ns) if one.begins_ns else None,
        "ends": instant_text(one.ends_ns) if one.ends_ns is not None else None,
        "unit": one.unit,
        **{name: number_text(getattr(one, name), one.unit) for name in amounts},
        "thresholds_passed": [f"{at / 100:g}%" for at in one.passed],
        "enforce": one.enforce,
        "shadow": one.shadow,
        "exhausted_at": instant_text(one.exhausted_at_ns) if one.exhausted_at_ns is not None else None,
        "top_ups": [
            {
                "amount": number_text(each.amount, one.unit),
                "reason": each.reason,
                "by": each.by,
                "at": instant_text(each.at_ns),
                "until": instant_text(each.until_ns) if each.until_ns is not None else None,
            }
            for each in one.top_ups
        ],
    }


def standing_lines(shown: "Sequence[Standing]") -> list[str]:
    """A table for people, and below it what needs a sentence."""
    # Imported here: see proxy.cli.
    from policies.wording import amount_text, instant_text, number_text

    rows: list[tuple[str, ...]] = [
        ("budget", "scope", "window", "ends", "spent", "held", "left", "of", "", "passed", "enforce")
    ]
    notes = []
    for one in shown:
        whole, who = one.unit, f"{one.budget} {one.scope}".rstrip()
        figures = tuple(number_text(each, whole) for each in (one.spent, one.held, one.remaining, one.allowed))
        passed = ",".join(f"{at / 100:g}%" for at in one.passed) or "-"
        enforce = "shadow" if one.shadow else one.enforce
        rows.append(
            (one.budget, one.scope or "-", one.window, _local(one.ends_ns, one.zone), *figures, whole, passed, enforce)
        )
        made = [("grace", one.grace), ("carried over", one.carry)]
        notes += [f"{who}: {amount_text(amount, whole)} {said}" for said, amount in made if amount]
        for each in one.top_ups:
            said = f"topped up by {each.by} at {instant_text(each.at_ns)}: {each.reason}"
            notes.append(f"{who}: {amount_text(each.amount, whole)} {said}")
        if one.exhausted_at_ns is not None:
            day = _local(one.exhausted_at_ns, one.zone)
            notes.append(f"{who}: will be exhausted on {day}, at the pace of the last days")
    return [*_table(rows, left=4), *([""] if notes else []), *notes]


def past_json(one: "Past", unit: str) -> dict[str, Any]:
    """One window of a budget."""
    # Imported here: see proxy.cli.
    from policies.wording import number_text

    return {
        "window": one.window,
        "scope": one.scope,
        "spent": number_text(one.spent, unit),
        "unit": unit,
        "calls": one.calls,
        "by": one.by,
    }


def _has(scope: str, wanted: list[str]) -> bool:
    return set(wanted) <= set(scope.split("|"))


def _local(at_ns: int | None, zone: str) -> str:
    # Imported here: see proxy.cli.
    from zoneinfo import ZoneInfo

    if at_ns is None:
        return "-"
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail("--until must be an instant such as 2026-12-01T00:00:00+01:00")
    if moment.tzinfo is None:
        fail("--until needs its zone, such as 2026-12-01T00:00:00+01:00")
    return int(moment.timestamp()) * 10**9


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "thresholds_passed": " ".join(row["thresholds_passed"]),
        "top_ups": "; ".join(f"{one['amount']} {one['reason']}" for one in row["top_ups"]),
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(rows: "Sequence[tuple[str, ...]]", *, left: int) -> list[str]:
    """Columns side by side, the first ones to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
