"""From a question to its report: the query goes to the store, the rows become the report."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import msgspec

from exporters.ledger.standing import Standing
from exporters.reports import REPORTS, ReportKind, budgets, month, savings
from exporters.reports.before import compared, period_before
from exporters.reports.dimensions import parse_by, parse_where
from exporters.reports.document import Document, single
from exporters.reports.errors import BadQuestionError, EmptyStoreError, ReportError
from exporters.reports.period import Period, elapsed_of, parse_month, parse_period
from exporters.reports.providers import ListPrices
from exporters.reports.question import Query, Question
from exporters.reports.report import Report
from exporters.reports.writing import Format, ParquetMaker, Told, part_for, write

_LATEST = Query("SELECT count(), max(toUnixTimestamp64Nano(`started_at`)) FROM calls", {})
_UNROLLED = Query("SELECT `day` FROM unrolled_days", {})
_KINDS = {kind.name: kind for kind in REPORTS}
_SINCE = "7d"
_MONTH_BY = "team"
_MONTH_ROWS = 20


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question in the words of whoever asks."""

    name: str
    since: str = ""
    """The last seven days if empty; of the report `month` this month."""
    until: str | None = None
    month: str = ""
    """`2026-11`, in place of a start and an end."""
    tz: str = "UTC"
    by: str = ""
    where: Sequence[str] = ()
    limit: int | None = None
    compare: bool = False
    """Costs only: beside the period before."""
    part: str = ""
    """Of a report of several parts, this one alone."""


class RowReader(Protocol):
    """Whoever runs a query: `exporters.reports.store.StoreReader`."""

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """The rows of the answer. Raises `ReportError`."""


class Engine(RowReader, ParquetMaker, Protocol):
    """Whoever does both."""


class Budgets(msgspec.Struct, frozen=True):
    """How budgets stood, or why nobody can tell."""

    standings: Sequence[Standing] = ()
    problem: str = ""


BudgetsAt = Callable[[int], Budgets]
"""How budgets stood at a Unix time in nanoseconds."""


def no_ledger(_at_ns: int) -> Budgets:
    """Of whoever has no ledger at hand."""
    return Budgets(problem="The ledger was not asked.")


class Reports:
    """Answers questions.

    Args:
        reader: Asks the store.
        list_prices: Knows what models cost by the price lists.
        budgets_at: Asks the ledger.
    """

    def __init__(self, reader: Engine, list_prices: ListPrices, budgets_at: BudgetsAt = no_ledger) -> None:
        self._reader = reader
        self._list_prices = list_prices
        self._budgets_at = budgets_at

    def tell(self, asked: Asked, answer_format: Format, now: datetime) -> Told:
        """The report in a format; what is wrong with the question or the store is part of the answer.

        Args:
            asked: The question.
            answer_format: How to write the report.
            now: The present, aware; where a period without an end ends.
        """
        asked = msgspec.structs.replace(asked, part=asked.part or part_for(asked.name, answer_format))
        try:
            return write(self.document(asked, now), asked.part, answer_format, self._reader)
        except ReportError as error:
            return Told(problem=str(error), exit_status=error.exit_status)

    def document(self, asked: Asked, now: datetime) -> Document:
        """The report as a document. Raises `ReportError`."""
        whole = _period(asked, now)
        question = Question(
            period=whole,
            by=parse_by(asked.by),
            where=parse_where(asked.where),
            limit=asked.limit,
        )
        made_at = now.astimezone(whole.since.tzinfo)
        if asked.name == month.NAME:
            return self._month(question, now, made_at, saved=asked.part in month.WITH_SAVINGS)
        if asked.compare:
            if asked.name != "costs":
                raise BadQuestionError("Only costs can be compared with the period before.")
            return single(self._compared(question, elapsed_of(whole, now)), made_at)
        return single(self.answer(asked.name, question), made_at)

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
            names = ", ".join((*_KINDS, month.NAME))
            raise BadQuestionError(f"There is no report {name!r}: choose from {names}.")
        report = self._built(kind, question)
        return report if report.rows else self._without_rows(report)

    def _built(self, kind: ReportKind, question: Question) -> Report:
        if kind.rolled and question.unrolled is None:
            question = msgspec.structs.replace(question, unrolled=self._unrolled())
        return kind.build(question, self._reader.rows(kind.query(question)), self._list_prices)

    def _costs(self, question: Question, **changes: Any) -> Report:
        return self._built(_KINDS["costs"], msgspec.structs.replace(question, **changes))

    def _compared(self, question: Question, elapsed: Period) -> Report:
        """Costs up to now beside those of the period before."""
        question = msgspec.structs.replace(question, unrolled=self._unrolled())
        found = compared(
            self._costs(question, period=elapsed, limit=None),
            self._costs(question, period=period_before(elapsed), limit=None),
            question.limit,
        )
        return found if found.rows else self._without_rows(found)

    def _month(self, question: Question, now: datetime, made_at: datetime, *, saved: bool) -> Document:
        """All of the month; without `saved` the single rows that tell what caches saved are not read."""
        whole = question.period
        elapsed = elapsed_of(whole, now)
        question = msgspec.structs.replace(
            question,
            period=elapsed,
            by=question.by or parse_by(_MONTH_BY),
            limit=question.limit or _MONTH_ROWS,
            unrolled=self._unrolled(),
        )
        known = self._budgets_at(elapsed.until_ns - 1)
        answers = month.Answers(
            whole=whole,
            elapsed=elapsed,
            before=period_before(elapsed),
            days=self._costs(question, period=month.history_of(whole, elapsed), by=parse_by("day"), limit=None),
            groups=self._compared(question, elapsed),
            callers=self._costs(question, by=month.CALLERS, limit=month.TOP_CALLERS),
            savings=savings.build(question, self._reader.rows(savings.query(question)) if saved else ()),
            budgets=budgets.build(elapsed, known.standings, known.problem),
        )
        return month.document(answers, made_at)

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


def _period(asked: Asked, now: datetime) -> Period:
    """The period asked for. Raises `BadQuestionError`."""
    if asked.month and (asked.since or asked.until):
        raise BadQuestionError("Give a month, or a start and an end, not both.")
    if asked.month or (asked.name == month.NAME and not asked.since):
        if asked.until:
            raise BadQuestionError("A period with an end needs a start as well.")
        return parse_month(asked.month, asked.tz, now)
    return parse_period(asked.since or _SINCE, asked.until, asked.tz, now)
