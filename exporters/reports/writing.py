"""A document in the form that somebody asked for."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from exporters.reports.document import Document
from exporters.reports.formats import Table, document_to_json, plain_table, to_csv, to_json, to_table
from exporters.reports.page import to_page
from exporters.reports.parquet import Handed, handed

Format = Literal["table", "text", "json", "csv", "parquet", "xlsx", "html"]
"""`table` is for somebody who draws it on a terminal, `text` is aligned lines."""

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain",
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
}
"""What the admin port says of each format that it has."""
_ONE_TABLE = frozenset({"csv", "parquet"})
_MAIN_PART = {"month": "costs"}
"""Of a report of several parts, the one that a format for a single table gets if none is named."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for whoever asked: something to show, or what is wrong."""

    text: str = ""
    body: bytes = b""
    """Of a format that is no text."""
    tables: tuple[Table, ...] = ()
    problem: str = ""
    """One sentence, empty when all is well."""
    exit_status: int = 0


class ParquetMaker(Protocol):
    """Whoever has an engine: `exporters.reports.store.StoreReader`."""

    def parquet(self, rows: Handed) -> bytes:
        """The file. Raises `ReportError`."""


def part_for(name: str, answer_format: Format) -> str:
    """The part of the report `name` that a format has if none is asked for; empty for all."""
    return _MAIN_PART.get(name, "") if answer_format in _ONE_TABLE else ""


def write(document: Document, part: str, answer_format: Format, engine: ParquetMaker) -> Told:
    """The document, or a part of it.

    Args:
        document: All of it.
        part: The name of a part; empty for all, or for the first where a format holds a single table.
        answer_format: How to write it.
        engine: Makes Parquet files.

    Raises:
        ReportError: there is no such part, or the engine does not answer.
    """
    if part:
        document = msgspec.structs.replace(document, parts=(document.part(part),), figures=(), charts=())
    if answer_format == "table":
        return Told(tables=tuple(_titled(document)))
    if answer_format == "parquet":
        return Told(body=engine.parquet(handed(document.parts[0].report)))
    if answer_format == "xlsx":
        # Imported here: only who asks for a workbook waits for the library.
        from exporters.reports.workbook import to_workbook  # noqa: PLC0415

        return Told(body=to_workbook(document))
    return Told(text=_WRITERS[answer_format](document))


def _titled(document: Document) -> list[Table]:
    """The tables of the parts; where there are several, each says what it is."""
    tables = [to_table(part.report) for part in document.parts]
    if len(tables) == 1:
        return tables
    titled = [
        msgspec.structs.replace(table, title=f"{part.title}, {table.title.partition(': ')[2]}")
        for part, table in zip(document.parts, tables, strict=True)
    ]
    return [*titled[:-1], msgspec.structs.replace(titled[-1], notes=(*titled[-1].notes, *document.notes))]


def _text(document: Document) -> str:
    return "\n".join(map(plain_table, _titled(document)))


def _json(document: Document) -> str:
    return to_json(document.parts[0].report) if len(document.parts) == 1 else document_to_json(document)


def _csv(document: Document) -> str:
    return to_csv(document.parts[0].report)


_WRITERS: dict[Format, Callable[[Document], str]] = {"text": _text, "json": _json, "csv": _csv, "html": to_page}
