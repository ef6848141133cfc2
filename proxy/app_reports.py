"""The wiring of reports for whoever asks: the command and the admin port ask the same store, prices and ledger."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from exporters.ledger.past import drawn, lately
from exporters.ledger.standing import standings
from exporters.reports.answers import Budgets, BudgetsAt
from exporters.reports.errors import ReportError
from exporters.reports.one_call import whole_call
from exporters.reports.store import StoreReader
from exporters.reports.story import story
from exporters.reports.writing import Told
from policies.compiled import Budget
from policies.ledger.books import BooksUnavailableError, Recorded, TopUp
from proxy.app_ledger_asks import LedgerError, budgets_in_force, opened_books
from proxy.settings import Settings

_NOW_NS = 60 * 10**9
"""What ended less than that ago is the present."""

Books = Callable[[], tuple[Sequence[Recorded], Sequence[TopUp]]]
"""Counters and top-ups as the books have them. Raises BooksUnavailableError."""


def budgets_from(
    budgets: Callable[[], Mapping[str, Budget]],
    books: Books,
    reader: StoreReader,
    now_ns: Callable[[], int] = time.time_ns,
) -> BudgetsAt:
    """Tells how budgets stood at an instant.

    Args:
        budgets: Those in force, by `budget:NAME`.
        books: Reads the ledger.
        reader: Has the windows that the ledger has dropped.
        now_ns: Unix time.
    """

    def at(at_ns: int) -> Budgets:
        try:
            known = budgets()
            if not known:
                return Budgets()
            recorded, top_ups = books()
        except (LedgerError, BooksUnavailableError) as error:
            return Budgets(problem=f"The ledger does not answer: {error}")
        try:
            if at_ns > now_ns() - _NOW_NS:
                return Budgets(standings(known, recorded, top_ups, at_ns, lately(reader.rows, at_ns)))
            return Budgets(standings(known, [*recorded, *drawn(reader.rows, recorded, at_ns)], top_ups, at_ns))
        except ReportError as error:
            return Budgets(standings(known, recorded, top_ups, at_ns), f"The store was not asked: {error}")

    return at


def told_call(settings: Settings, call_id: str, tz: str, *, as_json: bool) -> Told:
    """The story of a call, for people or as JSON; what is wrong is part of the answer."""
    reader = StoreReader(settings.store)
    try:
        whole = whole_call(reader, call_id, tz)
    except ReportError as error:
        return Told(problem=str(error), exit_status=error.exit_status)
    finally:
        reader.close()
    if whole is None:
        return Told(problem="The store has no call of that id (yet: it takes some seconds).", exit_status=1)
    return Told(text=msgspec.json.format(msgspec.json.encode(whole)).decode() if as_json else story(whole))


def budgets_of(settings: Settings, reader: StoreReader) -> BudgetsAt:
    """The same for a command, which opens the books for as long as it takes."""

    def books() -> tuple[Sequence[Recorded], Sequence[TopUp]]:
        with opened_books(settings) as opened:
            opened.glance("", -1)  # a reading alone does not notice that the books were lost
            return opened.recorded(), opened.top_ups()

    return budgets_from(lambda: budgets_in_force(settings), books, reader)
