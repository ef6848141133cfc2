"""The report for whoever pays: a month (or any period) on one page.

What: per currency and kind of billing what was spent, which parts of it are estimated, unpriced or of interrupted
calls, what it was in the period before, and a forecast to the period's end with a range; the same by a dimension; day
by day, with the days that are odd; budgets against what was used of them; the top callers; what caches saved. Every
figure of money is one of the report `costs` over the same period: nothing is worked out a second way.

Config: none of its own; `--month`, `--since`, `--until`, `--timezone`, `--by`, `--where`, `--top`.

Example: `taximeter report month --month 2026-11 --timezone Europe/Berlin --by team --format html --output report.html`

Source: the reports `costs` and `savings`; the ledger for budgets.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from exporters.reports.anomalies import Judged, judge
from exporters.reports.before import note
from exporters.reports.dimensions import parse_by
from exporters.reports.document import Bar, Chart, Document, Figure, Part
from exporters.reports.forecast import Forecast, forecast
from exporters.reports.formats import cell_text, money_text
from exporters.reports.period import Period, unix_ns
from exporters.reports.report import Cell, Column, Report, Row
from exporters.reports.savings import net_of

NAME = "month"
HISTORY = timedelta(weeks=8)
"""Before the period: what a forecast and the odd days rest on."""
CALLERS = parse_by("team,project,user,key_id")
TOP_CALLERS = 10
WITH_SAVINGS = frozenset({"", "totals", "savings"})
"""The parts (`""` is all of them) that say what caches saved, which is worked out from single rows."""
Section = tuple[Cell, Cell]
"""Currency and kind of billing."""

_SUBSCRIPTION = "subscription"
_TOTAL_COLUMNS = (
    Column(name="forecast_low", type="money"),
    Column(name="forecast", type="money"),
    Column(name="forecast_high", type="money"),
    Column(name="saved_by_caches", type="money"),
)
_FROM_COSTS = (
    "currency", "billing", "calls", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost",
    "estimated", "unpriced", "interrupted", "estimated_cost", "interrupted_cost",
    "cost_before", "change", "change_ratio",
)  # fmt: skip
_SHOWN = frozenset({"estimated", "unpriced", "interrupted", "estimated_cost", "interrupted_cost"})
_ODD_COLUMNS = (
    Column(name="usual", type="money"),
    Column(name="score", type="number"),
    Column(name="odd", type="text"),
)
_DAY_COLUMNS = ("day", "currency", "billing", "calls", "errors", "cost", "estimated", "unpriced", "interrupted")


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the store and the ledger say."""

    whole: Period
    """As asked for; its end may be to come."""
    elapsed: Period
    """Of it, what is over."""
    before: Period
    days: Report
    """Costs by day, from `HISTORY` before the period on."""
    groups: Report
    """Costs by the dimensions asked for, compared with the period before."""
    callers: Report
    savings: Report
    budgets: Report


def document(answers: Answers, made_at: datetime) -> Document:
    """The document."""
    days = _days_of(answers)
    sections = [(one["currency"], one["billing"]) for one in answers.groups.records(answers.groups.totals)]
    found = {section: judge(_known(days.get(section, {}), answers), _in(answers)) for section in sections}
    forecasts = {section: _forecast(answers, section, days.get(section, {})) for section in sections}
    totals = _totals(answers, forecasts)
    daily = _daily(answers, found)
    parts = (
        Part(name="totals", title="Totals", report=totals),
        Part(name="costs", title="Costs", report=_unsaid(answers.groups, note(answers.before))),
        Part(name="budgets", title="Budget against actual", report=answers.budgets),
        Part(name="callers", title="Top callers", report=_callers(answers.callers)),
        Part(name="anomalies", title="Odd days", report=_odd(daily)),
        Part(name="savings", title="What prompt caches saved", report=answers.savings),
        Part(name="days", title="Day by day", report=daily),
    )
    return Document(
        name=NAME,
        title="Cost report",
        period=answers.whole,
        made_at=made_at,
        parts=parts,
        figures=tuple(_figure(one) for one in totals.records(totals.rows) if one["currency"] or one["unpriced"]),
        charts=tuple(_chart(section, daily, found[section]) for section in sections if section[0]),
        notes=_notes(answers, forecasts),
    )


def _unsaid(report: Report, *notes: str) -> Report:
    """Without what the totals say already."""
    return msgspec.structs.replace(report, notes=notes)


def _callers(report: Report) -> Report:
    """Those whose calls have a currency: the others cost nothing, or nobody knows."""
    found = _unsaid(report)
    currency = [column.name for column in report.columns].index("currency")
    rows, totals = (tuple(row for row in part if row[currency]) for part in (report.rows, report.totals))
    return msgspec.structs.replace(found, rows=rows, totals=totals)


def history_of(whole: Period, elapsed: Period) -> Period:
    """The period to ask for days in."""
    since = (whole.since - HISTORY).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return msgspec.structs.replace(elapsed, since=since)


def _days_of(answers: Answers) -> dict[Section, dict[date, Decimal]]:
    """What each day cost, by section; a day without a known cost is left out."""
    found: dict[Section, dict[date, Decimal]] = {}
    for one in answers.days.records(answers.days.rows):
        if isinstance(one["cost"], Decimal):
            section = found.setdefault((one["currency"], one["billing"]), {})
            section[date.fromisoformat(str(one["day"]))] = one["cost"]
    return found


def _known(days: Mapping[date, Decimal], answers: Answers) -> dict[date, Decimal]:
    """The whole days since there are calls at all, those without any as 0; the first may not have been whole."""
    if not days:
        return {}
    first = max(min(days) + timedelta(days=1), answers.days.period.since.date())
    last = answers.elapsed.until.date()
    return {day: days.get(day, Decimal(0)) for day in _dates(first, last)}


def _in(answers: Answers) -> list[date]:
    """The days of the period that are over."""
    return _dates(answers.elapsed.since.date(), answers.elapsed.until.date())


def _dates(first: date, end: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((end - first).days)]


def _forecast(answers: Answers, section: Section, days: Mapping[date, Decimal]) -> Forecast | None:
    totals = answers.groups.records(answers.groups.totals)
    spent = next((one["cost"] for one in totals if (one["currency"], one["billing"]) == section), None)
    if not isinstance(spent, Decimal):
        return None
    return forecast(spent, _known(days, answers), to_come(answers.elapsed, answers.whole))


def to_come(elapsed: Period, whole: Period) -> list[tuple[date, Decimal]]:
    """The days from the end of one period to that of the other, each with the part of it that is left."""
    zone = ZoneInfo(whole.tz)
    found = []
    for day in _dates(elapsed.until.date(), whole.until.date() + timedelta(days=1)):
        start, end = (unix_ns(datetime.combine(one, time(), zone)) for one in (day, day + timedelta(days=1)))
        left_ns = min(end, whole.until_ns) - max(start, elapsed.until_ns)
        if left_ns > 0:
            found.append((day, Decimal(left_ns) / Decimal(end - start)))
    return found


def _totals(answers: Answers, forecasts: Mapping[Section, Forecast | None]) -> Report:
    """One row per section."""
    saved = net_of(answers.savings)
    own = {column.name: column for column in answers.groups.columns}
    columns = [
        msgspec.structs.replace(own[name], detail=own[name].detail and name not in _SHOWN) for name in _FROM_COSTS
    ]
    rows: list[Row] = []
    for one in answers.groups.records(answers.groups.totals):
        section = (one["currency"], one["billing"])
        known = forecasts[section]
        ahead = (known.low, known.expected, known.high) if known else (None, None, None)
        rows.append((*(one[name] for name in _FROM_COSTS), *ahead, saved.get(section)))
    return Report(
        name="totals",
        period=answers.elapsed,
        columns=(*columns, *_TOTAL_COLUMNS),
        rows=tuple(rows),
        sections=answers.groups.sections,
        notes=answers.groups.notes,
    )


def _daily(answers: Answers, found: Mapping[Section, Sequence[Judged]]) -> Report:
    """Day by day, with what such days usually cost where that is known."""
    own = {column.name: column for column in answers.days.columns}
    judged = {(section, one.day): one for section, each in found.items() for one in each}
    first = str(answers.elapsed.since.date())
    rows: list[Row] = []
    missed = dict(judged)
    for one in answers.days.records(answers.days.rows):
        if str(one["day"]) >= first:
            section = (one["currency"], one["billing"])
            beside = missed.pop((section, date.fromisoformat(str(one["day"]))), None)
            rows.append((*(one[name] for name in _DAY_COLUMNS), *_beside(beside)))
    # A day without a single call may be the oddest of all.
    for (section, day), beside in missed.items():
        if beside.odd:
            rows.append((str(day), *section, 0, 0, Decimal(0), 0, 0, 0, *_beside(beside)))
    rows.sort(key=lambda row: (not row[1], str(row[1]), str(row[2]), str(row[0])))
    return Report(
        name="days",
        period=answers.elapsed,
        columns=(*(own[name] for name in _DAY_COLUMNS), *_ODD_COLUMNS),
        rows=tuple(rows),
        totals=_daily_totals(answers),
        sections=answers.days.sections,
        notes=() if _begins_a_day(answers) else ("The first day is whole, though the period begins within it.",),
    )


def _daily_totals(answers: Answers) -> tuple[Row, ...]:
    """Those of the whole period; none where it begins within a day, of which the rows have more."""
    if not _begins_a_day(answers):
        return ()
    return tuple(
        ("total", *(one[name] for name in _DAY_COLUMNS[1:]), None, None, "")
        for one in answers.groups.records(answers.groups.totals)
        if one["calls"]
    )


def _begins_a_day(answers: Answers) -> bool:
    return answers.elapsed.since.time() == time()


def _beside(judged: Judged | None) -> Row:
    return (None, None, "") if judged is None else (judged.usual, judged.score, "odd" if judged.odd else "")


def _odd(daily: Report) -> Report:
    rows = tuple(row for row in daily.rows if row[-1] == "odd")
    text = (
        "A day is odd when it lies more than 3.5 robust deviations from the median of the same weekday in the "
        "eight weeks before it; four such days have to be known. The score says how many it is."
    )
    return msgspec.structs.replace(
        daily, name="anomalies", rows=rows, totals=(), notes=(text,) if rows else (f"None. {text}",)
    )


def _figure(one: Mapping[str, Cell]) -> Figure:
    """The large figure of a section."""
    unit = str(one["currency"])
    ahead = [one[name] for name in ("forecast_low", "forecast", "forecast_high")]
    sure = ", ".join(f"{one[name]:,} {name}" for name in ("estimated", "unpriced", "interrupted"))
    lines = [f"{one['calls']:,} calls: {sure}"]
    if any(isinstance(one[name], Decimal) for name in ("estimated_cost", "interrupted_cost")):
        lines.append(
            f"of it estimated {_amount(one['estimated_cost'])}, interrupted {_amount(one['interrupted_cost'])}"
        )
    if isinstance(one["cost_before"], Decimal):
        change = cell_text(Column(name="change_ratio", type="ratio"), one["change_ratio"])
        lines.append(f"before: {money_text(one['cost_before'])} (change {change})")
    if isinstance(ahead[1], Decimal) and ahead[1] != one["cost"]:
        low, expected, high = map(_amount, ahead)
        lines.append(f"by the end about {expected} ({low} to {high})")
    if isinstance(one["saved_by_caches"], Decimal):
        lines.append(f"caches saved {money_text(one['saved_by_caches'])}")
    title = f"{unit} spent" if unit else "Not priced"
    if one["billing"] == _SUBSCRIPTION:
        title = f"{unit} list-price equivalent of subscriptions"
    elif unit and one["billing"] != "metered":
        title = f"{unit} ({one['billing']})"
    return Figure(
        title=title, amount=one["cost"] if isinstance(one["cost"], Decimal) else None, unit=unit, lines=tuple(lines)
    )


def _amount(cell: Cell) -> str:
    return money_text(cell) if isinstance(cell, Decimal) else "0"


def _chart(section: Section, daily: Report, judged: Sequence[Judged]) -> Chart:
    beside = {str(one.day): one for one in judged}
    bars = []
    for one in daily.records(daily.rows):
        if (one["currency"], one["billing"]) == section:
            known = beside.get(str(one["day"]))
            cost = one["cost"] if isinstance(one["cost"], Decimal) else Decimal(0)
            bars.append(
                Bar(label=str(one["day"]), amount=cost, usual=known.usual if known else None, odd=bool(one["odd"]))
            )
    kind = " (list-price equivalent)" if section[1] == _SUBSCRIPTION else ""
    return Chart(title=f"{section[0]} a day{kind}", unit=str(section[0]), bars=tuple(bars))


def _notes(answers: Answers, forecasts: Mapping[Section, Forecast | None]) -> tuple[str, ...]:
    elapsed = answers.elapsed
    notes = [
        f"Days and months in {elapsed.tz}. Currencies and kinds of billing are never added up.",
        note(answers.before),
    ]
    if answers.whole.until_ns > elapsed.until_ns:
        notes.append(
            f"Figures are up to {elapsed.until:%Y-%m-%d %H:%M}. Forecast: what is spent, and the days to come as the "
            "same weekdays were in the weeks before; the range is meant to hold in four of five cases."
        )
        if any(one is None and section[0] for section, one in forecasts.items()):
            notes.append("Where there is no forecast, fewer than three whole days are known.")
    return tuple(notes)
