"""From a question to its report: the query goes to the store, the rows become the report."""

from typing import Any, Protocol

import msgspec

from exporters.reports import REPORTS
from exporters.reports.errors import BadQuestionError, EmptyStoreError
from exporters.reports.providers import ListPrices
from exporters.reports.question import Query, Question
from exporters.reports.report import Report

_LATEST = Query("SELECT count(), max(toUnixTimestamp64Nano(`started_at`)) FROM calls", {})
_KINDS = {kind.name: kind for kind in REPORTS}


class RowReader(Protocol):
    """Whoever runs a query: `exporters.reports.store.StoreReader`."""

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """The rows of the answer. Raises `ReportError`."""


class Reports:
    """Answers questions."""

    def __init__(self, reader: RowReader, list_prices: ListPrices) -> None:
        self._reader = reader
        self._list_prices = list_prices

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
        report = kind.build(question, self._reader.rows(kind.query(question)), self._list_prices)
        return report if report.rows else self._without_rows(report)

    def _without_rows(self, report: Report) -> Report:
        """An empty report that says when the last call was, so that nobody looks for a fault that is none."""
        count, latest_ns = self._reader.rows(_LATEST)[0]
        if not count:
            raise EmptyStoreError("The store holds no calls yet: send one through the proxy first.")
        latest = report.period.local(latest_ns).strftime("%Y-%m-%d %H:%M:%S %Z")
        note = f"Nothing in this period passes the filters; the latest call of the store started at {latest}."
        return msgspec.structs.replace(report, notes=(*report.notes, note))
