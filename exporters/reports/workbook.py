"""A document as an Excel workbook: a sheet for each part, with totals that are formulas.

Excel counts in binary floats of 15 to 17 digits, so a cell of money is the amount rounded to 15, and the exact amount
stands as text in a column of its own ("cost exact"). A total of calls, tokens or money is a SUM over the rows of its
section; the value that the file carries for programs that do not work formulas out is that same sum of the cells. The
exact total beside it is that of the report. Text is only ever text: nothing that came from outside becomes a formula,
a number or a link.

What is not known is an empty cell, never 0.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from exporters.reports.document import Document, Part
from exporters.reports.formats import exact_text, heading, printable
from exporters.reports.report import Cell, Column, Report

DIGITS = 15
"""That Excel keeps of a number."""
_SUMMED = frozenset({"money", "count"})
_FIRST_ROW = 4
"""Above the headings: title, period, and an empty line."""
_MOST_CHARS = 32_000
_NUMBER_FORMATS = {
    "money": "#,##0.00####;[Red]-#,##0.00####",
    "price": "#,##0.00####",
    "count": "#,##0",
    "number": "#,##0.0",
    "ratio": "0.0%",
    "time": "yyyy-mm-dd hh:mm:ss",
    "hour": "yyyy-mm-dd hh:mm",
}
_SAFE = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "nan_inf_to_errors": True,
}


class _Place(msgspec.Struct, frozen=True):
    """A column of a report on its sheet."""

    number: int
    """In the rows of the report."""
    column: Column
    at: int
    exact_at: int | None
    """Where the exact text of money stands."""


def to_workbook(document: Document) -> bytes:
    """The file."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, _SAFE)
    book.set_properties({"title": document.title, "created": document.made_at.astimezone(UTC).replace(tzinfo=None)})
    writer = _Writer(book)
    for part in document.parts:
        writer.sheet(document, part)
    writer.notes(document)
    book.close()
    return out.getvalue()


class _Writer:
    def __init__(self, book: Any) -> None:
        self._book = book
        self._bold = book.add_format({"bold": True})
        self._heading = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._text = book.add_format({"num_format": "@"})
        self._formats = {kind: book.add_format({"num_format": code}) for kind, code in _NUMBER_FORMATS.items()}
        total = {"bold": True, "top": 1}
        self._totals = {kind: book.add_format(total | {"num_format": code}) for kind, code in _NUMBER_FORMATS.items()}
        self._total = book.add_format(total)

    def sheet(self, document: Document, part: Part) -> None:
        """The sheet of a part."""
        report = part.report
        sheet: Worksheet = self._book.add_worksheet(part.title[:31])
        places = _places(report)
        sheet.write_string(0, 0, f"{document.title}: {part.title}", self._bold)
        period = f"{report.period.since:%Y-%m-%d %H:%M} up to {report.period.until:%Y-%m-%d %H:%M}, {report.period.tz}"
        sheet.write_string(1, 0, period)
        sheet.write_string(2, 0, "Rounded to 15 digits; the exact amounts stand in the columns named so.")
        for place in places:
            sheet.write_string(_FIRST_ROW - 1, place.at, heading(place.column), self._heading)
            sheet.set_column(place.at, place.at, 24 if place.column.type == "text" else 14)
            if place.exact_at is not None:
                sheet.write_string(_FIRST_ROW - 1, place.exact_at, f"{heading(place.column)} exact", self._heading)
                sheet.set_column(place.exact_at, place.exact_at, 26)
        sheet.freeze_panes(_FIRST_ROW, 1)
        at = self._sections(sheet, report, places)
        for number, text in enumerate(report.notes):
            sheet.write_string(at + 1 + number, 0, printable(text))

    def notes(self, document: Document) -> None:
        """The sheet of what holds for the whole document."""
        if not document.notes:
            return
        sheet: Worksheet = self._book.add_worksheet("Notes")
        sheet.set_column(0, 0, 120)
        for number, text in enumerate((f"Made at {document.made_at:%Y-%m-%d %H:%M %Z}.", *document.notes)):
            sheet.write_string(number, 0, printable(text))

    def _sections(self, sheet: Worksheet, report: Report, places: Sequence[_Place]) -> int:
        """The rows of each section and the total below them; the number of the next row."""
        totals = {report.section_of(row): row for row in report.totals}
        at = _FIRST_ROW
        for section, rows in groupby(report.rows, key=report.section_of):
            first, members = at, list(rows)
            for row in members:
                for place in places:
                    self._cell(sheet, at, place, row[place.number])
                at += 1
            if total := totals.get(section):
                for place in places:
                    self._total_cell(
                        sheet, (first, at), place, total[place.number], [row[place.number] for row in members]
                    )
                at += 2
        return at

    def _cell(self, sheet: Worksheet, at: int, place: _Place, cell: Cell) -> None:
        form = self._formats.get(place.column.type, self._text)
        _write(sheet, at, place.at, cell, form)
        if place.exact_at is not None and isinstance(cell, Decimal):
            sheet.write_string(at, place.exact_at, exact_text(cell), self._text)

    def _total_cell(
        self, sheet: Worksheet, rows: tuple[int, int], place: _Place, total: Cell, cells: Sequence[Cell]
    ) -> None:
        first, at = rows
        form = self._totals.get(place.column.type, self._total)
        known = [to_float(cell) for cell in cells if isinstance(cell, Decimal | int)]
        if place.column.type in _SUMMED and known and total is not None:
            ends = ":".join(xl_rowcol_to_cell(row, place.at) for row in (first, at - 1))
            formula = f"=SUM({ends})"
            sheet.write_formula(at, place.at, formula, form, added(known))
        else:
            _write(sheet, at, place.at, total, form)
        if place.exact_at is not None and isinstance(total, Decimal):
            sheet.write_string(at, place.exact_at, exact_text(total), self._total)


def to_float(amount: Decimal | int) -> float:
    """A number as Excel keeps it: rounded to 15 digits."""
    with localcontext(prec=DIGITS):
        return float(+Decimal(amount))


def added(numbers: Sequence[float]) -> float:
    """What Excel makes of a SUM over numbers: one after the other, as floats."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def _places(report: Report) -> list[_Place]:
    places, at = [], 0
    for number, column in enumerate(report.columns):
        exact = column.type in {"money", "price"}
        places.append(_Place(number, column, at, at + 1 if exact else None))
        at += 2 if exact else 1
    return places


def _write(sheet: Worksheet, row: int, column: int, cell: Cell, form: Format) -> None:
    match cell:
        case None | "":
            sheet.write_blank(row, column, None, form)
        case datetime():
            # Excel knows no zone: the clock is that of the report, which the sheet names.
            sheet.write_datetime(row, column, cell.replace(tzinfo=None), form)
        case Decimal() | int():
            sheet.write_number(row, column, to_float(cell), form)
        case str():
            sheet.write_string(row, column, printable(cell)[:_MOST_CHARS], form)
