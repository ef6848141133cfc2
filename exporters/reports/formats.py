"""How a report is written: exact for machines (JSON, CSV), readable for people (texts of the cells, plain lines).

Machines get amounts as decimal strings with every digit, times as ISO 8601 with their offset, and null (in CSV:
nothing) for what is not known. People get thousands separators, units and "-" for what is not known.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby

import msgspec

from exporters.reports.document import Document
from exporters.reports.period import Period
from exporters.reports.report import Cell, Column, Report, Row

UNKNOWN = "-"
_SHOWN_UNITS = frozenset({"ms", "tokens/s"})
"""Units that stand in a heading; those of counts are in the name, those of money in the currency column and a note."""
_SMALLEST_SHOWN = Decimal("0.000001")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a formula of a cell in some spreadsheet; the last four are the wide forms of the first."""


class Section(msgspec.Struct, frozen=True):
    """Rows that belong together, as texts for people, and the line of their totals, if there is one."""

    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] | None


class Table(msgspec.Struct, frozen=True):
    """A report as texts: what a terminal table and the plain one are made of."""

    title: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    """Which columns are set flush right."""
    foldable: tuple[bool, ...]
    """Which columns may take several lines where there is no room."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def to_json(report: Report) -> str:
    """One JSON object: report, period, columns, rows and totals as objects by column name, notes."""
    return _dumped(_plain_report(report))


def document_to_json(document: Document) -> str:
    """One JSON object: report, period, when it was made, notes, and `parts`, each as `to_json` writes it, by name."""
    return _dumped(
        {
            "report": document.name,
            "period": _plain_period(document.period),
            "made_at": document.made_at,
            "notes": list(document.notes),
            "parts": {part.name: _plain_report(part.report) for part in document.parts},
        }
    )


def _dumped(value: object) -> str:
    return json.dumps(value, default=_exact_text, ensure_ascii=False, indent=2)


def _plain_report(report: Report) -> dict[str, object]:
    return {
        "report": report.name,
        "period": _plain_period(report.period),
        "columns": [{"name": column.name, "type": column.type, "unit": column.unit} for column in report.columns],
        "sections": list(report.sections),
        "rows": report.records(report.rows),
        "totals": report.records(report.totals),
        "notes": list(report.notes),
    }


def _plain_period(period: Period) -> dict[str, object]:
    return {"since": period.since, "until": period.until, "tz": period.tz}


def to_csv(report: Report) -> str:
    """A header of column names, then the rows; the totals and notes are left to the other formats."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.name for column in report.columns)
    writer.writerows([_csv_text(cell) for cell in row] for row in report.rows)
    return out.getvalue()


def to_table(report: Report) -> Table:
    """The report as texts for people, without the columns that are only for machines.

    Where a currency is no section it stands behind the amounts; an estimated cost is marked with "~".
    """
    names = [column.name for column in report.columns]
    apart = "currency" not in names or "currency" in report.sections
    columns = [column for column in report.columns if not column.detail and (apart or column.name != "currency")]

    def texts(row: Row) -> tuple[str, ...]:
        cells = dict(zip(names, row, strict=True))
        currency = "" if apart else f" {cells['currency'] or ''}".rstrip()
        return tuple(_text(column, cells, currency) for column in columns)

    totals = {report.section_of(row): texts(row) for row in report.totals}
    sections = []
    for key, rows in groupby(report.rows, key=report.section_of):
        lines = tuple(texts(row) for row in rows)
        # The total of a single row would be the same line again.
        sections.append(Section(lines, totals.get(key) if len(lines) > 1 else None))
    return Table(
        title=title_of(report),
        headings=tuple(heading(column) for column in columns),
        numeric=tuple(column.type not in {"text", "time", "hour"} for column in columns),
        foldable=tuple(column.type == "text" for column in columns),
        sections=tuple(sections),
        notes=report.notes,
    )


def _text(column: Column, cells: Mapping[str, Cell], currency: str) -> str:
    text = cell_text(column, cells[column.name])
    if column.type not in {"money", "price"} or text == UNKNOWN:
        return text
    return f"{'~' if column.name == 'cost' and cells.get('estimated') == 'yes' else ''}{text}{currency}"


def to_plain(report: Report) -> str:
    """Aligned lines of text without any colour or drawing, for files and pipes."""
    return plain_table(to_table(report))


def plain_table(table: Table) -> str:
    """The same of a table."""
    lines = [row for section in table.sections for row in (*section.rows, *([section.total] if section.total else []))]
    widths = [max(map(len, cells)) for cells in zip(table.headings, *lines, strict=True)]
    out = [table.title, "", _line(table.headings, widths, table.numeric)]
    rule = "  ".join("-" * width for width in widths)
    for section in table.sections:
        out += [rule, *(_line(row, widths, table.numeric) for row in section.rows)]
        if section.total:
            out += [rule, _line(section.total, widths, table.numeric)]
    return "\n".join([*out, "", *table.notes]) + "\n"


def cell_text(column: Column, cell: Cell) -> str:
    """One cell for people."""
    if cell is None or cell == "":
        return UNKNOWN
    match column.type, cell:
        case "time", datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%S")
        case "hour", datetime():
            # With the zone: in autumn one hour comes twice.
            return cell.strftime("%Y-%m-%d %H:%M %Z")
        case "ratio", Decimal():
            return f"{cell * 100:.1f} %"
        case "money", Decimal():
            return money_text(cell)
        case "price", Decimal():
            return price_text(cell)
        case _, int():
            return f"{cell:,}"
        case _, Decimal():
            return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:,.1f}"
        case _:
            return printable(str(cell))


def money_text(amount: Decimal) -> str:
    """An amount rounded to what a reader can use: cents, or for less than a unit six decimals.

    An amount that would be rounded to nothing says so.
    """
    step = Decimal("0.01") if abs(amount) >= 1000 else Decimal("0.0001") if abs(amount) >= 1 else _SMALLEST_SHOWN
    rounded = amount.quantize(step, rounding=ROUND_HALF_EVEN)
    return f"<{_SMALLEST_SHOWN}" if amount and not rounded else f"{rounded:,f}"


def price_text(price: Decimal) -> str:
    """A price with at least two decimals and no more than it needs, at most six."""
    whole, _, decimals = exact_text(price.quantize(_SMALLEST_SHOWN, rounding=ROUND_HALF_EVEN)).partition(".")
    return f"{whole}.{decimals:0<2}"


def exact_text(amount: Decimal) -> str:
    """A decimal with all its digits, without exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def printable(text: str) -> str:
    """A text of foreign origin without what could steer a terminal: control characters become U+FFFD."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _exact_text(cell: object) -> str:
    """What JSON has no type for."""
    if isinstance(cell, Decimal):
        return exact_text(cell)
    if isinstance(cell, datetime):
        return cell.isoformat()
    raise TypeError(type(cell))


def _csv_text(cell: Cell) -> str | int | None:
    """A cell of a CSV file: what a spreadsheet would take for a formula gets an apostrophe, which says it is text."""
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return f"'{cell}"
    return _exact_text(cell) if isinstance(cell, Decimal | datetime) else cell


def title_of(report: Report) -> str:
    """Name, period and time zone."""
    since, until = (moment.strftime("%Y-%m-%d %H:%M") for moment in (report.period.since, report.period.until))
    return f"{report.name}: {since} up to {until} ({report.period.tz})"


def heading(column: Column) -> str:
    """Of a column, for people."""
    words = column.name.replace("_", " ")
    return f"{words} {column.unit}" if column.unit in _SHOWN_UNITS else words


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(parts).rstrip()
