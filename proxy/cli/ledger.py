"""`taximeter ledger`: how the ledger stands, against the store, and what mends it."""

import json
import time
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
    from collections.abc import Iterable

    from exporters.ledger.comparing import Line
    from policies.ledger.books import Lender
    from proxy.app_ledger_asks import LedgerStatus, Rebuilt

app = command_app()


@app.callback(invoke_without_command=False)
def ledger() -> None:
    """See how the ledger of the budgets stands, compare it with the store, and put it right."""


@app.command(
    help=help_text(
        "How the ledger stands: where it is, whether it answers, and what each process has on lease.",
        "taximeter ledger status",
        "taximeter ledger status --format json | jq .processes",
    )
)
def status(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Print it; status 1 where the ledger does not answer."""
    # Imported here: see proxy.cli.
    from proxy.app_ledger_asks import ledger_status

    found = ledger_status(running_settings_or_fail(config, data_dir))
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps(status_json(found), indent=2))
    else:
        typer.echo("\n".join(status_text(found)))
    if found.error:
        raise typer.Exit(1)


@app.command(
    help=help_text(
        "Compare the ledger with the store, each counter to the last digit. Status 1 when they differ.\n\nSegments "
        "that one of both does not have yet are no difference; processes of which the store lacks some are named.",
        "taximeter ledger compare",
        "taximeter ledger compare --budget search --format json",
    )
)
def compare(
    budget: Annotated[str, typer.Option(help="Only this budget.")] = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Compare and print."""
    # Imported here: see proxy.cli.
    from proxy.app_ledger_asks import LedgerError, compared

    settings = running_settings_or_fail(config, data_dir)
    try:
        found = compared(settings, f"budget:{budget.removeprefix('budget:')}" if budget else "")
    except LedgerError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        told = {
            "equal": not found.proven,
            "lines": [_line(one) for one in found.lines],
            "drifting": [one.counter for one in found.proven],
            "under_way": list(found.behind),
            "left_out": found.left,
        }
        typer.echo(json.dumps(told, indent=2))
    else:
        shown = found.drifting
        lines = _table([("counter", "ledger", "store", "drift", ""), *map(_row, shown)]) if shown else []
        equal = len(found.lines) - len(shown)
        typer.echo("\n".join([*lines, f"{equal:,} of {len(found.lines):,} counters are equal to the last digit"]))
        if found.behind:
            typer.echo(f"under way: the store does not have yet what is booked of {', '.join(found.behind)}")
        if found.left:
            typer.echo(f"left out: {found.left:,} counters that began before the oldest rows of the store")
        if found.proven:
            typer.echo("put it right with: taximeter ledger rebuild")
    if found.proven:
        raise typer.Exit(1)


@app.command(
    help=help_text(
        "Set what counters have spent to what the store has, and this machine's journal beyond it. Top-ups that stand "
        "in the audit log and not in the ledger are put back.\n\nCalls may go on meanwhile; their leases stay.",
        "taximeter ledger rebuild --dry-run",
        "taximeter ledger rebuild",
    )
)
def rebuild(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even where the store never gets what is booked; that is then lost.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Print the difference, then do it."""
    # Imported here: see proxy.cli.
    from proxy.app import pricer_of
    from proxy.app_ledger_asks import LedgerError, person, rebuilding, rebuilt

    settings = running_settings_or_fail(config, data_dir)
    pricer = pricer_of(settings)
    try:
        found = rebuilding(settings, pricer)
        if answer_format is PageFormat.TEXT:
            typer.echo("\n".join(rebuild_text(found)))
        if not dry_run:
            found = rebuilt(settings, pricer, by=person(), force=force)
    except LedgerError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps(_rebuild_json(found, done=not dry_run and not found.ahead), indent=2))
    if found.ahead:
        fail(
            f"nothing was changed: neither the store nor this machine's journal has what is booked of "
            f"{', '.join(found.ahead)}. Wait until its recorder has delivered; if it never will, add --force."
        )
    if answer_format is PageFormat.TEXT:
        typer.echo("nothing was changed" if dry_run else f"done: {len(found.plan.lines):,} counters are set")


@app.command(
    help=help_text(
        "Free the leases of a process whose machine is gone for good.\n\nA process of this machine needs no such help: "
        "the recorder frees its leases. What a lost journal held is on no books.",
        "taximeter ledger forget worker-0.host7.20261124T101500.1f2e",
    )
)
def forget(
    name: Annotated[str, typer.Argument(metavar="PROCESS", help="As `taximeter ledger status` names it.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Even where it was heard of a moment ago.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Forget it."""
    # Imported here: see proxy.cli.
    from proxy import app_ledger_asks as asks

    settings = running_settings_or_fail(config, data_dir)
    try:
        gone = asks.forget(settings, name, by=asks.person(), force=force)
    except asks.LedgerError as error:
        fail(str(error))
    typer.echo(f"{name} is forgotten, with its leases of {gone.leases:,} counters")


def status_text(found: "LedgerStatus") -> list[str]:
    """For people."""
    lines = [f"ledger     {found.backend}"]
    if found.error:
        return [*lines, f"not good   {found.error}"]
    leases = sum(one.leases for one in found.processes)
    lines.append(f"good       {len(found.counters):,} counters, {leases:,} leases, {len(found.processes):,} processes")
    rows = [("process", "leases", "booked up to", "journal read up to", "last heard of")]
    for one in found.processes:
        read = found.read.get(one.instance)
        told = str(read) if read is not None else "-"
        rows.append((one.instance, f"{one.leases:,}", str(_booked(found, one)), told, _ago(one.seen_ns)))
    return [*lines, *(["", *_table(rows)] if found.processes else [])]


def status_json(found: "LedgerStatus") -> dict[str, Any]:
    """For programs."""
    # Imported here: see proxy.cli.
    from policies.wording import number_text

    return {
        "backend": found.backend,
        "reachable": not found.error,
        "error": found.error,
        "lost": found.is_lost,
        "counters": [
            {
                "counter": one.counter,
                "unit": one.unit,
                "spent": number_text(one.spent, one.unit),
                "leased": number_text(one.leased, one.unit),
                "allowed": number_text(one.allowed, one.unit),
            }
            for one in found.counters
        ],
        "processes": [
            {
                "process": one.instance,
                "leases": one.leases,
                "booked_up_to": _booked(found, one),
                "journal_read_up_to": found.read.get(one.instance),
                "last_heard_of_s": one.seen_ns / 1e9,
            }
            for one in found.processes
        ],
    }


def rebuild_text(found: "Rebuilt") -> list[str]:
    """What would change, for people."""
    # Imported here: see proxy.cli.
    from policies.wording import instant_text

    changes = found.plan.changes
    lines = _table([("counter", "ledger", "store", "drift", ""), *map(_row, changes)]) if changes else []
    lines.append(f"{len(changes):,} of {len(found.plan.lines):,} counters change")
    if found.plan.left:
        lines.append(f"{found.plan.left:,} began before the oldest rows of the store and stay as they are")
    for one in found.top_ups:
        lines.append(f"a top-up of {one.family} from {instant_text(one.at_ns)} comes back: {one.reason}")
    return lines


def _rebuild_json(found: "Rebuilt", *, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        "counters": len(found.plan.lines),
        "changes": [_line(one) for one in found.plan.changes],
        "left_out": found.plan.left,
        "top_ups": [one.family for one in found.top_ups],
        "ahead": list(found.ahead),
    }


def _booked(found: "LedgerStatus", one: "Lender") -> int:
    return max(one.counted_up_to, found.booked.get(one.instance, 0))


def _line(line: "Line") -> dict[str, Any]:
    # Imported here: see proxy.cli.
    from policies.wording import number_text

    amounts = {"ledger": line.ledger, "store": line.store, "drift": line.drift}
    told = {name: number_text(amount, line.unit) for name, amount in amounts.items()}
    return {"counter": line.counter, "unit": line.unit, **told}


def _row(line: "Line") -> tuple[str, ...]:
    told = _line(line)
    return (line.counter, told["ledger"], told["store"], told["drift"], line.unit)


def _ago(at_ns: int) -> str:
    age_s = max(0, int(time.time() - at_ns / 1e9))
    for length_s, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if age_s >= 2 * length_s:
            return f"{age_s // length_s} {unit} ago"
    return f"{age_s} s ago"


def _table(rows: "Iterable[tuple[str, ...]]") -> list[str]:
    cells = list(rows)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
