"""The recorder's regular comparison of ledger and store.

It takes at most a hundredth of the store's time. A drift is told when two comparisons in a row have found it, on the
same side: an insert that was seen by half is whole by then. What is under way is none (`Comparison.proven`).
"""

import threading
import time
from collections.abc import Callable, Mapping

import msgspec
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporters.ledger.comparing import Comparison, Line
from exporters.prometheus.labels import plain
from exporters.prometheus.levels import MAX_BUDGETS
from exporters.reports.errors import ReportError
from policies.compiled import Budget
from policies.demand import scale_of
from policies.ledger.arithmetic import family_of
from policies.ledger.books import BooksUnavailableError

INTERVAL_S = 300.0
_FIRST_S = 60.0
_SECOND_LOOK_S = 30.0
"""A first sign of a drift is looked at again so soon."""
_SHARE = 100
_LOG = structlog.get_logger()


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What the last comparisons have found."""

    at_ns: int
    """When the last one that could be done came to its end, Unix time."""
    counters: int = 0
    drifting: tuple[Line, ...] = ()
    behind: tuple[str, ...] = ()
    """Processes of which the store does not have yet what is booked."""
    error: str = ""
    """Why the last one could not be done; the rest is of the one before it."""


class Watch:
    """Compares from time to time, in a thread of its own.

    Args:
        compare: Does it, blocking; None where there is no budget. Raises BooksUnavailableError, ReportError.
        clock: Unix time in nanoseconds.
    """

    def __init__(self, compare: Callable[[], Comparison | None], clock: Callable[[], int] = time.time_ns) -> None:
        self.over = threading.Event()
        """Set to end it."""
        self.found: Watched | None = None
        """None before the first; replaced as a whole."""
        self._compare = compare
        self._clock = clock
        self._suspected: dict[str, bool] = {}
        """Counter -> whether the ledger has more, by the last comparison."""

    def start(self) -> None:
        """Begin; the thread keeps no process alive."""
        threading.Thread(target=self._run, name="ledger-watch", daemon=True).start()

    def look(self) -> None:
        """Compare once. Raises nothing: what goes wrong is told."""
        before = self.found or Watched(at_ns=0)
        try:
            comparison = self._compare()
        except (BooksUnavailableError, ReportError) as error:
            self.found = msgspec.structs.replace(before, error=str(error))
            return
        except Exception as error:  # noqa: BLE001 - a mistake in here must not end the comparing for good
            _LOG.exception("a mistake of the comparison of ledger and store")
            self.found = msgspec.structs.replace(before, error=f"a mistake: {type(error).__name__}")
            return
        if comparison is None:
            self.found = None
            return
        signs = {line.counter: line.drift > 0 for line in comparison.proven}
        sure = tuple(line for line in comparison.proven if self._suspected.get(line.counter) is (line.drift > 0))
        if sure and not before.drifting:
            _LOG.warning("ledger and store differ", counters=[line.counter for line in sure][:20])
        self._suspected = signs
        self.found = Watched(
            at_ns=self._clock(), counters=len(comparison.lines), drifting=sure, behind=comparison.behind
        )

    def _run(self) -> None:
        wait_s = _FIRST_S
        while not self.over.wait(wait_s):
            began_s = time.monotonic()
            self.look()
            unsure = self.found is not None and len(self._suspected) > len(self.found.drifting)
            wait_s = max(_SECOND_LOOK_S if unsure else INTERVAL_S, _SHARE * (time.monotonic() - began_s))


def drift_families(found: Watched | None, budgets: Mapping[str, Budget]) -> list[Metric]:
    """Metrics: one figure a budget, the sum over its counters; none before the first comparison."""
    if found is None or not found.at_ns:
        return []
    drift = GaugeMetricFamily(
        "taximeter_budget_drift",
        "By how much ledger and store differ, summed over counters.",
        labels=["budget", "unit"],
    )
    sums: dict[tuple[str, str], int] = {
        (plain(one.name), plain(one.unit)): 0 for one in list(budgets.values())[:MAX_BUDGETS]
    }
    for line in found.drifting:
        budget = budgets.get(policy_of(line))
        labels = (plain(budget.name), plain(budget.unit)) if budget is not None else ("", "")
        if budget is not None and labels in sums:
            # The size: what is too much for one and too little for another is two drifts.
            sums[labels] += abs(line.drift)
    for labels, amount in sums.items():
        drift.add_metric(labels, amount / 10 ** scale_of(labels[1]))
    at = GaugeMetricFamily(
        "taximeter_ledger_compared_timestamp_seconds",
        "When ledger and store were last compared, Unix time.",
        value=found.at_ns / 1e9,
    )
    return [drift, at]


def policy_of(line: Line) -> str:
    """`budget:NAME`, of a counter."""
    return family_of(line.counter).partition("|")[0]
