"""The wiring of `/metrics`: the calls, the recorder, the status, and how full budgets are."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Self

from prometheus_client.metrics_core import Metric

from exporters.alerts.rulebook import Rulebook
from exporters.clickhouse.health import run_health
from exporters.ledger.levels import budget_levels
from exporters.ledger.watching import Watched, drift_families
from exporters.prometheus.levels import Generation, level_families
from exporters.prometheus.page import render
from exporters.prometheus.recorder import recorder_families
from exporters.prometheus.sink import PrometheusSink
from exporters.prometheus.targets import TargetLevel, target_families
from exporters.recorder.status import RecorderStatus
from exporters.upkeep import run_upkeep
from policies.ledger.books import Books, BooksUnavailableError
from proxy.admin.app import MetricsSource
from proxy.admin.looks import Looks, age_s
from proxy.admin.metrics import status_families
from proxy.app_ledger_asks import watch_of
from proxy.policy_state import policies_file, policy_state
from proxy.settings import Settings
from proxy.target_status import target_statuses

_SCRAPE_PATIENCE_S = 0.5
"""How long `/metrics` waits for a fresh status; a store that hangs must not cost Prometheus its scrape."""
_LEVELS_FRESH_S = 5.0
"""How long levels are told again before the books are asked anew; scrapes may come in crowds."""

MachineSource = Callable[[], Awaitable[Callable[[], list[Metric]]]]
"""Takes what the recorder's loop knows, there; what it gives tells all of it, and is for a thread."""


class Levels:
    """How full budgets are, and which edition of the policies is in force.

    Args:
        settings: Of the recorder.
        books: The ledger's, for nobody else.
    """

    def __init__(self, settings: Settings, books: Books) -> None:
        self._watch = watch_of(settings)
        self._settings = settings
        self._books = books
        self._rulebook = Rulebook(policies_file(settings))
        self._lock = threading.Lock()
        self._told: list[Metric] = []
        self._told_until_s = 0.0

    def watching(self) -> Self:
        """Begin to compare ledger and store from time to time, for as long as the process lives."""
        self._watch.start()
        return self

    def drift(self) -> Watched | None:
        """What the last comparison of ledger and store has found."""
        return self._watch.found

    def families(self) -> list[Metric]:
        """The metrics; blocks. While one asks the books, others are told what was known before."""
        if time.monotonic() >= self._told_until_s and self._lock.acquire(blocking=False):
            try:
                self._told = self._ask()
                self._told_until_s = time.monotonic() + _LEVELS_FRESH_S
            finally:
                self._lock.release()
        return self._told

    def _ask(self) -> list[Metric]:
        state = policy_state(self._settings)
        generations = []
        if state is not None and state.generation:
            generations = [Generation(of="policies", number=state.generation, loaded_at_s=state.loaded_at_s)]
        self._rulebook.refresh()
        budgets = self._rulebook.budgets
        try:
            levels = budget_levels(self._books.recorded(), budgets, time.time_ns()) if budgets else []
        except BooksUnavailableError:
            levels = []  # no figure is better than an old one that looks like a new one
        drift = drift_families(self._watch.found, budgets)
        return [*level_families(levels, generations), *drift, *target_families(self._targets())]

    def _targets(self) -> list[TargetLevel]:
        return [
            TargetLevel(target=one.target, state=one.state, calls=one.calls, failures=one.failures)
            for one in target_statuses(self._settings, time.time_ns())
        ]


def machine_source(known: RecorderStatus, looks: Looks, levels: Levels) -> MachineSource:
    """Everything but the calls, with the status as far as it is known by then: first what the loop knows.

    What that gives asks the books, and is for a thread.
    """

    async def gather() -> Callable[[], list[Metric]]:
        status = await looks.within(_SCRAPE_PATIENCE_S)
        recorder = recorder_families(known)

        def told() -> list[Metric]:
            machine = status_families(status, age_s=age_s(status)) if status else []
            return [*machine, *recorder, *levels.families()]

        return told

    return gather


def metrics_source(known: RecorderStatus, calls: PrometheusSink, looks: Looks, levels: Levels) -> MetricsSource:
    """What `/metrics` tells."""
    gather = machine_source(known, looks, levels)

    async def metrics(accept: str) -> tuple[bytes, str]:
        machine = await gather()

        def told() -> tuple[bytes, str]:
            return render(accept, [*machine(), *calls.families()])

        # Thousands of lines are some ten milliseconds of work: not on the loop that steers the recorder.
        return await asyncio.to_thread(told)

    return metrics


async def look_after(settings: Settings, known: RecorderStatus, machine: MachineSource, over: asyncio.Event) -> None:
    """Until it is over: the store's upkeep, and the state of the machine as rows in it."""
    await asyncio.gather(run_upkeep(settings, known.self_check, over), run_health(settings, machine, over))
