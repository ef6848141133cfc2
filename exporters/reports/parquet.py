"""A report as a Parquet file, written by the store's own engine: the rows go to it as JSON lines, the file comes back.

So the file holds exactly the figures of the report, those too that no query has (shares, forecasts), and no library
for Parquet is needed. Money is Decimal(38, 18), times are UTC to the microsecond, what is not known is null. As in
CSV, totals and notes are left to the other formats.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from exporters.reports.formats import exact_text
from exporters.reports.report import Cell, CellType, Report

_TYPES: dict[CellType, str] = {
    "text": "String",
    "time": "String",
    "hour": "String",
    "count": "Int64",
    "money": "Decimal(38, 18)",
    "price": "Decimal(38, 18)",
    "number": "Decimal(38, 6)",
    "ratio": "Decimal(38, 6)",
}
_TIMES = frozenset({"time", "hour"})
TABLE = "report"


class Handed(msgspec.Struct, frozen=True):
    """What the engine is handed."""

    sql: str
    structure: str
    """Of the table `TABLE`, as the engine writes it."""
    lines: bytes
    """Its rows, JSON objects, one a line."""


def handed(report: Report) -> Handed:
    """The rows, and the query that makes the file of them; `FORMAT Parquet` is for whoever sends it."""
    names = [_quoted(column.name) for column in report.columns]
    structure = ", ".join(
        f"`c{number}` Nullable({_TYPES[column.type]})" for number, column in enumerate(report.columns)
    )
    selected = ", ".join(
        f"parseDateTime64BestEffortOrNull(`c{number}`, 6, 'UTC') AS {name}"
        if column.type in _TIMES
        else f"`c{number}` AS {name}"
        for number, (column, name) in enumerate(zip(report.columns, names, strict=True))
    )
    lines = b"".join(
        json.dumps({f"c{number}": _plain(cell) for number, cell in enumerate(row)}).encode() + b"\n"
        for row in report.rows
    )
    return Handed(f"SELECT {selected} FROM {TABLE}", structure, lines)


def _quoted(name: str) -> str:
    """A name of a column, which may be a tag of anybody's, for the engine."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _plain(cell: Cell) -> str | int | None:
    if isinstance(cell, Decimal):
        return exact_text(cell)
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat()
    return cell
