"""A report as data: columns with units, rows, totals and notes. How it looks is not its business."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Literal

import msgspec

from exporters.reports.period import Period

Cell = str | int | Decimal | datetime | None
"""None is "not known", which is not nothing: it is never shown as 0."""
Row = tuple[Cell, ...]
CellType = Literal["text", "time", "hour", "count", "money", "price", "number", "ratio"]
"""`money` was spent, a `price` is for so many tokens; both are in the currency of their row."""

EXACT_DIGITS = 76
"""Digits that sums and quotients of money are worked out with: twice the 38 of the store's widest amount."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a report."""

    name: str
    type: CellType
    unit: str = ""
    """`tokens`, `ms`, `calls` ...; empty where the value has none. Money is in the currency of its row."""
    detail: bool = False
    """Only for machines: a table for people leaves it out."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question."""

    name: str
    period: Period
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    totals: tuple[Row, ...] = ()
    """Rows of the same columns, one for each section; empty where adding up makes no sense."""
    sections: tuple[str, ...] = ()
    """Names of the columns whose values part the rows into sections that are never added up, e.g. the currency."""
    notes: tuple[str, ...] = ()
    """Whole sentences: what the figures leave out, and how they were measured."""

    def section_of(self, row: Row) -> Row:
        """The values that say to which section a row belongs."""
        return tuple(cell for column, cell in zip(self.columns, row, strict=True) if column.name in self.sections)

    def records(self, rows: Sequence[Row]) -> list[dict[str, Cell]]:
        """Rows as dictionaries by column name."""
        return [dict(zip((column.name for column in self.columns), row, strict=True)) for row in rows]


def exact_sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of the known amounts, without rounding; None when none is known."""
    known = [amount for amount in amounts if amount is not None]
    with localcontext(prec=EXACT_DIGITS):
        return sum(known, Decimal(0)) if known else None


def exact_difference(amount: Decimal | None, less: Decimal | None) -> Decimal | None:
    """`amount - less` without rounding; None when the first is not known."""
    if amount is None or less is None:
        return amount
    with localcontext(prec=EXACT_DIGITS):
        return amount - less


def ratio(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """`part / whole` to six decimals; None when it is not known or the whole is nothing."""
    if part is None or not whole:
        return None
    with localcontext(prec=EXACT_DIGITS):
        return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.000001"))
