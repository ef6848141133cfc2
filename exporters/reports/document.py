"""A document: one report, or several that belong together, with what a page, a workbook or a file makes of them."""

from datetime import datetime
from decimal import Decimal

import msgspec

from exporters.reports.errors import BadQuestionError
from exporters.reports.period import Period
from exporters.reports.report import Report


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a chart."""

    label: str
    amount: Decimal
    usual: Decimal | None = None
    odd: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What a section cost, day by day."""

    title: str
    unit: str
    bars: tuple[Bar, ...]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One of the large figures that a page begins with."""

    title: str
    amount: Decimal | None
    unit: str
    lines: tuple[str, ...]
    """What belongs beside it: its parts that are not sure, the change, the forecast."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A report with its place in a document."""

    name: str
    title: str
    report: Report


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Reports of one period, the most important first."""

    name: str
    title: str
    period: Period
    made_at: datetime
    """In the zone of the reader."""
    parts: tuple[Part, ...]
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> Part:
        """The part of that name; the first for none. Raises `BadQuestionError`."""
        for part in self.parts:
            if name in {"", part.name}:
                return part
        raise BadQuestionError(f"There is no part {name!r}: choose from {', '.join(part.name for part in self.parts)}.")


def single(report: Report, made_at: datetime) -> Document:
    """A document of one report."""
    return Document(
        name=report.name,
        title=report.name.capitalize(),
        period=report.period,
        made_at=made_at,
        parts=(Part(name=report.name, title=report.name.capitalize(), report=report),),
    )
