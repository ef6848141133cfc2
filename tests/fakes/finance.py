"""Documents and reports made up for tests of the writers, with texts that mean harm."""

from datetime import UTC, datetime
from decimal import Decimal

from exporters.reports.document import Bar, Chart, Document, Figure, Part
from exporters.reports.period import Period
from exporters.reports.report import Column, Report

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC), tz="UTC")
MADE_AT = datetime(2026, 12, 2, 8, 30, tzinfo=UTC)
FORMULA = "=cmd|' /C calc'!A1"
MARKUP = "<script>alert('x')</script>\"&"
COLUMNS = (
    Column(name="model", type="text"),
    Column(name="currency", type="text"),
    Column(name="calls", type="count", unit="calls"),
    Column(name="cost", type="money"),
    Column(name="share", type="ratio"),
    Column(name="time", type="time"),
)


def costs(rows, totals):
    """Of `(model, currency, calls, cost)`, and totals of the same."""
    return Report(
        name="costs",
        period=PERIOD,
        columns=COLUMNS,
        rows=tuple((*row, Decimal("0.5"), datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)) for row in rows),
        totals=tuple((*row, None, None) for row in totals),
        sections=("currency",),
        notes=("So it is.",),
    )


NASTY = costs(
    [
        (FORMULA, "CNY", 1, Decimal("7.000000000000000001")),
        (MARKUP, "USD", 2, Decimal("0.1")),
        ("+1", "USD", 3, Decimal("123456789012.123456789012345678")),
        ("unpriced", "USD", 4, None),
        ("", "USD", 0, Decimal("0.2")),
    ],
    [
        ("total", "CNY", 1, Decimal("7.000000000000000001")),
        ("total", "USD", 9, Decimal("123456789012.423456789012345678")),
    ],
)


def document(*reports):
    parts = tuple(
        Part(name=f"part{n}", title=f"Part {n}", report=report) for n, report in enumerate(reports or (NASTY,))
    )
    bars = tuple(Bar(label=f"2026-11-{n:02d}", amount=Decimal(n), usual=Decimal(5), odd=n == 30) for n in range(1, 31))
    return Document(
        name="made-up",
        title="Cost report",
        period=PERIOD,
        made_at=MADE_AT,
        parts=parts,
        figures=(Figure(title="USD spent", amount=Decimal("12.5"), unit="USD", lines=(MARKUP,)),),
        charts=(Chart(title="USD a day", unit="USD", bars=bars),),
        notes=("A note.",),
    )


def rated(model="m", currency="USD", billing="metered", *, per=1_000_000, tokens=1000, cached=0, written=0):
    """A row of what the store says of savings: fresh input for 3, cached for 0.3, a write for 3.75."""
    rates = [Decimal(rate) for rate in ("3", "0.3", "3.75", "0")]
    return (model, currency, billing, *rates, 1, 1, 0, per, tokens, Decimal(cached), Decimal(written), Decimal(0))
