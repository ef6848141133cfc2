"""From a question to its report: the query goes to the store, the rows become the report."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Literal, Protocol

import msgspec

from exporters.reports import REPORTS
from exporters.reports.dimensions import parse_by, parse_where
from exporters.reports.errors import BadQuestionError, EmptyStoreError, ReportError
from exporters.reports.formats import Table, to_csv, to_json, to_plain, to_table
from exporters.reports.period import parse_period
from exporters.reports.providers import ListPrices
from exporters.reports.question import Query, Question
from exporters.reports.report import Report

_LATEST = Query("SELECT count(), max(toUnixTimestamp64Nano(`started_at`)) FROM calls", {})
_UNROLLED = Query("SELECT `day` FROM unrolled_days", {})
_KINDS = {kind.name: kind for kind in REPORTS}


Format = Literal["table", "text", "json", "csv"]
"""`table` is for somebody who draws it on a terminal, `text` is aligned lines."""
_WRITERS: dict[Format, Callable[[Report], str]] = {"text": to_plain, "json": to_json, "csv": to_csv}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question in the words of whoever asks."""

    name: str
    since: str
    until: str | None = None
    tz: str = "UTC"
    by: str = ""
    where: Sequence[str] = ()
    limit: int | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for whoever asked: something to show, or what is wrong."""

    text: str = ""
    table: Table | None = None
    problem: str = ""
    """One sentence, empty when all is well."""
    exit_status: int = 0


class RowReader(Protocol):
    """Whoever runs a query: `exporters.reports.store.StoreReader`."""

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """The rows of the answer. Raises `ReportError`."""


class Reports:
    """Answers questions."""

    def __init__(self, reader: RowReader, list_prices: ListPrices) -> None:
        self._reader = reader
        self._list_prices = list_prices

    def tell(self, asked: Asked, answer_format: Format, now: datetime) -> Told:
        """The report in a format; what is wrong with the question or the store is part of the answer.

        Args:
            asked: The question.
            answer_format: How to write the report.
            now: The present, aware; where a period without an end ends.
        """
        try:
            question = Question(
                period=parse_period(asked.since, asked.until, asked.tz, now),
                by=parse_by(asked.by),
                where=parse_where(asked.where),
                limit=asked.limit,
            )
            report = self.answer(asked.name, question)
        except ReportError as error:
            return Told(problem=str(error), exit_status=error.exit_status)
        if answer_format == "table":
            return Told(table=to_table(report))
        return Told(text=_WRITERS[answer_format](report))

    def answer(self, name: str, question: Question) -> Report:
        """The report of that name.

        Raises:
            BadQuestionError: there is no such report.
            EmptyStoreError: the store has never seen a call.
            StoreUnreachableError: nobody answers at the store's address.
            StoreRefusedError: the store would not run the query.
        """
        kind = _KINDS.get(name)
        if kind is None:
            raise BadQuestionError(f"There is no report {name!r}: choose from {', '.join(_KINDS)}.")
        if kind.rolled:
            question = msgspec.structs.replace(question, unrolled=self._unrolled())
        report = kind.build(question, self._reader.rows(kind.query(question)), self._list_prices)
        return report if report.rows else self._without_rows(report)

    def _unrolled(self) -> frozenset[date] | None:
        """Days that the roll-ups lack; None where the store is of an older version and has none at all."""
        try:
            return frozenset(day for (day,) in self._reader.rows(_UNROLLED))
        except EmptyStoreError:
            return None

    def _without_rows(self, report: Report) -> Report:
        """An empty report that says when the last call was, so that nobody looks for a fault that is none."""
        count, latest_ns = self._reader.rows(_LATEST)[0]
        if not count:
            raise EmptyStoreError("The store holds no calls yet: send one through the proxy first.")
        latest = report.period.local(latest_ns).strftime("%Y-%m-%d %H:%M:%S %Z")
        note = f"Nothing in this period passes the filters; the latest call of the store started at {latest}."
        return msgspec.structs.replace(report, notes=(*report.notes, note))
