"""Budgets beside what was used of them, from the ledger's books; of windows that those have dropped, from the store.

What: each budget and scope in the window of an instant: the limit with grace, carry and top-ups, what is booked, what
is held for calls under way, what is left, and when it will be spent at the pace of the last days. A budget counts in
its own unit and window, which need not be those of the report.

Config: none of its own.

Example: `taximeter report month --part budgets`

Source: the ledger (`taximeter budget status` tells the same); column `draws` of the table `calls`.
"""

from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from exporters.ledger.standing import Standing
from exporters.reports.period import Period, from_unix_ns
from exporters.reports.report import Cell, Column, Report, Row, ratio
from policies.demand import scale_of

_COLUMNS = (
    Column(name="budget", type="text"),
    Column(name="scope", type="text"),
    Column(name="window", type="text"),
    Column(name="since", type="time", detail=True),
    Column(name="until", type="time", detail=True),
    Column(name="unit", type="text"),
    Column(name="allowed", type="money"),
    Column(name="spent", type="money"),
    Column(name="held", type="money", detail=True),
    Column(name="remaining", type="money"),
    Column(name="used", type="ratio"),
    Column(name="spent_at_this_pace", type="time"),
    Column(name="shadow", type="text", detail=True),
)


def build(period: Period, standings: Sequence[Standing], problem: str = "") -> Report:
    """The report; the fullest first. `problem` says why the ledger did not answer, where it did not."""
    notes = [problem] if problem else []
    if not standings and not problem:
        notes = ["There is no budget: docs/policies.md says how one is made."]
    elif standings:
        notes.append("Spent is what the ledger has booked in the budget's own window; calls under way are held.")
    rows = [_row(period, one) for one in standings]
    rows.sort(key=lambda row: (-(row[10] if isinstance(row[10], Decimal) else Decimal(0)), str(row[0]), str(row[1])))
    return Report(name="budgets", period=period, columns=_COLUMNS, rows=tuple(rows), notes=tuple(notes))


def _row(period: Period, one: Standing) -> Row:
    zone = ZoneInfo(period.tz)

    def amount(whole: int) -> Decimal:
        return Decimal(whole).scaleb(-scale_of(one.unit))

    def instant(at_ns: int | None) -> Cell:
        return from_unix_ns(at_ns, zone) if at_ns else None

    return (
        one.budget,
        one.scope,
        f"{one.window} ({one.zone})" if one.zone else one.window,
        instant(one.begins_ns),
        instant(one.ends_ns),
        one.unit,
        amount(one.allowed),
        amount(one.spent),
        amount(one.held),
        amount(one.remaining),
        ratio(one.spent + one.held, one.allowed),
        instant(one.exhausted_at_ns),
        "yes" if one.shadow else "",
    )
