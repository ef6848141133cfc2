"""The wiring of the console: reports, calls, budgets and targets for the admin API, from where commands have them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Empty, LifoQueue
from typing import Any

import msgspec

from exporters.alerts.rulebook import Rulebook
from exporters.ledger.levels import budget_levels
from exporters.reports.answers import Asked, Reports
from exporters.reports.errors import ReportError
from exporters.reports.formats import exact_text
from exporters.reports.one_call import whole_call
from exporters.reports.store import StoreReader
from exporters.reports.writing import CONTENT_TYPES, Format
from policies.compiled import Budget
from policies.ledger.books import Books, BooksUnavailableError
from proxy.admin.access import Door
from proxy.admin.api import Answer
from proxy.admin.app import Console
from proxy.admin.live import Live
from proxy.app_reports import budgets_from
from proxy.core.price import Listing
from proxy.policy_state import policies_file
from proxy.prices.pricer import Pricer
from proxy.settings import Settings
from proxy.target_status import target_statuses

_KEPT_READERS = 3
_NO_TARGETS = "No route is in force, so there are no breakers: below is what calls to each provider came to."


def console_of(settings: Settings, pricer: Pricer, books: Books, live: Live) -> Console:
    """What the admin port needs for the console."""
    door = Door(token=settings.admin_token, host=settings.admin.host)
    return Console(source=ConsoleSource(settings, pricer, books), live=live, door=door)


class ConsoleSource:
    """Answers the admin API. Called from threads.

    Args:
        settings: Of the recorder.
        pricer: Knows the list prices.
        books: The ledger's, for nobody else.
    """

    def __init__(self, settings: Settings, pricer: Pricer, books: Books) -> None:
        self._settings = settings
        self._pricer = pricer
        self._books = books
        self._rulebook = Rulebook(policies_file(settings))
        self._readers: LifoQueue[StoreReader] = LifoQueue(_KEPT_READERS)

    def report(self, asked: dict[str, Any], answer_format: str) -> Answer:
        """What `taximeter report` tells."""
        chosen: Format = next((name for name in CONTENT_TYPES if name == answer_format), "json")
        with self._reader() as reader:
            budgets_at = budgets_from(self._budgets, lambda: (self._books.recorded(), self._books.top_ups()), reader)
            told = Reports(reader, self._list_price, budgets_at).tell(Asked(**asked), chosen, datetime.now(UTC))
        if told.problem:
            return Answer(problem=told.problem, status=400 if told.exit_status == 2 else 503)
        return Answer(body=told.body or told.text.encode("utf-8", "replace"), content_type=CONTENT_TYPES[chosen])

    def call(self, call_id: str, tz: str) -> Answer:
        """One call as the store has it."""
        try:
            with self._reader() as reader:
                whole = whole_call(reader, call_id, tz)
        except ReportError as error:
            return Answer(problem=str(error), status=400 if error.exit_status == 2 else 503)
        if whole is None:
            return Answer(problem="The store has no call of that id (yet: it takes some seconds).", status=404)
        return Answer(body=msgspec.json.encode(whole))

    def budgets(self) -> Answer:
        """The fullest present counter of each budget, the fullest first."""
        self._rulebook.refresh()
        budgets = self._rulebook.budgets
        try:
            levels = budget_levels(self._books.recorded(), budgets, time.time_ns()) if budgets else []
        except BooksUnavailableError as error:
            return Answer(problem=f"The ledger does not answer: {error}", status=503)
        levels.sort(key=lambda level: level.share, reverse=True)
        drawn = {level.budget for level in levels}
        told = [
            {
                "budget": level.budget,
                "unit": level.unit,
                "limit": exact_text(level.limit),
                "used": exact_text(level.used),
                "held": exact_text(level.held),
                "share": round(level.share, 6),
            }
            for level in levels
        ]
        idle = sorted(budget.name for budget in budgets.values() if budget.name not in drawn)
        return Answer(body=msgspec.json.encode({"budgets": told, "idle": idle}))

    def targets(self) -> Answer:
        """The configured providers, and the targets of the routes in force with the states of their breakers."""
        told = [{"name": p.name, "kind": p.kind, "has_key": p.has_key} for p in self._settings.providers]
        breakers = target_statuses(self._settings, time.time_ns())
        why = "" if breakers else _NO_TARGETS
        return Answer(body=msgspec.json.encode({"providers": told, "breakers": breakers, "why": why}))

    def _budgets(self) -> Mapping[str, Budget]:
        self._rulebook.refresh()
        return self._rulebook.budgets

    def _list_price(self, provider: str, kind: str, host: str, model: str, at_ns: int) -> Listing | None:
        return self._pricer.listing(kind, host, model, at_ns, provider=provider)

    @contextmanager
    def _reader(self) -> Iterator[StoreReader]:
        """A reader for one question; its connection is kept for the next one."""
        try:
            reader = self._readers.get_nowait()
        except Empty:
            reader = StoreReader(self._settings.store)
        try:
            yield reader
        except ReportError:
            reader.close()
            raise
        if self._readers.full():
            reader.close()
        else:
            self._readers.put_nowait(reader)
