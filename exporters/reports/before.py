"""The period before a period, and a report beside the same report of then.

A period that begins with a month is held against the month before (several against as many), up to the same day and
time of the month where it is not over; one that begins with a day against as many days before; any other against the
same length of time. All by the reader's calendar. PURE.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from exporters.reports.costs import OTHERS, SECTIONS
from exporters.reports.errors import BadQuestionError
from exporters.reports.period import Period
from exporters.reports.report import Cell, Column, Report, Row, exact_difference, exact_sum, ratio

NO_COMPARING = frozenset({"day", "hour"})
"""Of another period there are other days."""
COMPARED = (
    Column(name="cost_before", type="money"),
    Column(name="change", type="money"),
    Column(name="change_ratio", type="ratio"),
)
_UNSUMMED = frozenset({"share", *(column.name for column in COMPARED)})


def period_before(period: Period) -> Period:
    """The period that this one is held against; it ends where this one begins, or before."""
    since, until = period.since, period.until
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if since == midnight and since.day == 1:
        months = (until.year - since.year) * 12 + until.month - since.month
        months += not _starts_month(until)
        start = _months_back(since, months)
        return msgspec.structs.replace(period, since=start, until=_same_moment(until, months, latest=since))
    if since == midnight:
        days = (until.replace(tzinfo=None) - since.replace(tzinfo=None)) / timedelta(days=1)
        back = timedelta(days=int(days) + (days != int(days)))
        return msgspec.structs.replace(period, since=since - back, until=until - back)
    length = until.astimezone(UTC) - since.astimezone(UTC)
    start = (since.astimezone(UTC) - length).astimezone(since.tzinfo)
    return msgspec.structs.replace(period, since=start, until=since)


def compared(report: Report, before: Report, limit: int | None = None) -> Report:
    """A report of costs with the columns `COMPARED`: the dearest rows, the others as one, and totals.

    Args:
        report: With all its rows.
        before: The same question of the period before, with all its rows.
        limit: So many rows of each section; None for all.

    Raises:
        BadQuestionError: it is grouped by something that no two periods share.
    """
    keys = _keys(report)
    if names := sorted(NO_COMPARING & set(keys)):
        raise BadQuestionError(
            f"A period cannot be compared with the one before by {names[0]}: other days, other rows."
        )
    rows = _paired(report, report.rows, before.rows, keys)
    totals = _paired(report, report.totals, before.totals, SECTIONS)
    for one in totals:
        if keys[0] not in SECTIONS:
            one[keys[0]] = "total"
    whole = {(one["currency"], one["billing"]): _money(one["cost"]) for one in totals}
    shown: list[dict[str, Cell]] = []
    for section in whole:
        members = [one for one in rows if (one["currency"], one["billing"]) == section]
        members.sort(key=lambda one: (_money(one["cost"]) is None, -(_money(one["cost"]) or 0)))
        cut = len(members) if limit is None else limit
        shown += members[:cut]
        if members[cut:]:
            shown.append(_summed(report, members[cut:], keys))
    for one in (*shown, *totals):
        cost, then = _money(one["cost"]), _money(one["cost_before"])
        one["share"] = ratio(cost, whole[one["currency"], one["billing"]])
        one["change"] = exact_difference(cost, then) if then is not None else None
        one["change_ratio"] = ratio(_money(one["change"]), then)
    columns = (*report.columns, *COMPARED)
    return msgspec.structs.replace(
        report,
        columns=columns,
        rows=tuple(_row(columns, one) for one in shown),
        totals=tuple(_row(columns, one) for one in totals),
        notes=(*report.notes, note(before.period)),
    )


def note(before: Period) -> str:
    """What was compared with."""
    return f"Compared with {before.since:%Y-%m-%d %H:%M} up to {before.until:%Y-%m-%d %H:%M} ({before.tz})."


def _starts_month(at: datetime) -> bool:
    return (at.day, at.hour, at.minute, at.second, at.microsecond) == (1, 0, 0, 0, 0)


def _months_back(start: datetime, months: int) -> datetime:
    """The first instant of the month so many months before that of `start`."""
    year, month = divmod(start.year * 12 + start.month - 1 - months, 12)
    return start.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)


def _same_moment(until: datetime, months: int, *, latest: datetime) -> datetime:
    """`until` so many months before; where that month has no such day, its end."""
    first = _months_back(until, months)
    moved = first + (until.replace(tzinfo=None) - datetime(until.year, until.month, 1))  # noqa: DTZ001 - on one clock
    return min(moved, _months_back(until, months - 1), latest, key=lambda at: at.astimezone(UTC))


def _keys(report: Report) -> tuple[str, ...]:
    names = [column.name for column in report.columns]
    return tuple(names[: names.index("calls")])


def _paired(report: Report, now: Sequence[Row], then: Sequence[Row], keys: Sequence[str]) -> list[dict[str, Cell]]:
    """Rows with what they cost before; what there was only before costs nothing now."""
    before = {tuple(one[key] for key in keys): one for one in report.records(then)}
    found = report.records(now)
    for one in found:
        past = before.pop(tuple(one[key] for key in keys), None)
        one["cost_before"] = past["cost"] if past is not None else _no_money(one)
    for past in before.values():
        gone = {column.name: _nothing(column, past) for column in report.columns}
        found.append(gone | {key: past[key] for key in keys} | {"cost_before": past["cost"]})
    return found


def _nothing(column: Column, record: Mapping[str, Cell]) -> Cell:
    return _no_money(record) if column.type == "money" else 0 if column.type == "count" else None


def _no_money(record: Mapping[str, Cell]) -> Decimal | None:
    """What no call cost; without a currency that is nothing that anybody knows."""
    return Decimal(0) if record["currency"] else None


def _summed(report: Report, rows: Sequence[dict[str, Cell]], keys: Sequence[str]) -> dict[str, Cell]:
    """Rows of one section as one."""
    summed: dict[str, Cell] = {}
    for column in (*report.columns, *COMPARED):
        cells = [one.get(column.name) for one in rows]
        if column.name in _UNSUMMED - {"cost_before"}:
            summed[column.name] = None
        elif column.type == "money":
            summed[column.name] = exact_sum([_money(cell) for cell in cells])
        elif column.type == "count":
            known = [cell for cell in cells if isinstance(cell, int)]
            summed[column.name] = sum(known) if known else None
    sections = {name: rows[0][name] for name in report.sections}
    first = {keys[0]: OTHERS} if keys[0] not in report.sections else {}
    return dict.fromkeys(keys) | summed | sections | first


def _row(columns: Sequence[Column], record: dict[str, Cell]) -> Row:
    return tuple(record.get(column.name) for column in columns)


def _money(cell: Cell) -> Decimal | None:
    return cell if isinstance(cell, Decimal) else None
