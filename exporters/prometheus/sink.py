"""Every call as numbers in memory, for `/metrics`.

What: a sink like any other, with a cursor and a thread of its own, so that the metrics go on while the store is down.
It takes every batch at once and can never be unavailable. What it counts is gone with the process, and begins at zero
with the next one, which Prometheus expects of a counter; the cursor keeps what was counted before from being counted
again. A batch that is offered again, because the cursor could not be written down, is known by its token.

A call that ended long ago is no traffic of this minute: after an outage of the recorder, and when the journal of
another machine is shipped, such calls count as `taximeter_late_calls_total` and as nothing else. The store has them in
full.

Config: `metrics.max_models`, `metrics.max_teams`.

Example: `PrometheusSink(max_models=60, max_teams=0).families()`

Source: https://prometheus.io/docs/instrumenting/writing_exporters/
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from exporters.prometheus.calls import CallMetrics
from exporters.recorder.ports import Batch
from proxy.core.record import CallRecord

LATE_S = 300.0
"""For so long after its end a call counts as present: Prometheus takes a value for present as long as that."""


class PrometheusSink:
    """The metrics of calls. Fed in the sink's thread, asked from any.

    Args:
        max_models: How many pairs of provider and model have label values of their own.
        max_teams: Likewise for teams; 0 makes no metrics by team.
        now_ns: The wall clock, Unix time in nanoseconds.
    """

    name = "prometheus"

    def __init__(self, *, max_models: int, max_teams: int, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._metrics = CallMetrics(max_models=max_models, max_teams=max_teams)
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._late = 0
        self._uncounted = 0
        self._last_token = ""

    def check(self) -> None:
        """It can always take batches."""

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Count the calls of a batch, unless it is the last one again."""
        if batch.token == self._last_token:
            return {}
        counts: Counter[str] = Counter()
        earliest_ns = self._now_ns() - int(LATE_S * 1e9)
        for priced in batch.calls:
            # Taken for one call at a time: a long batch must not keep a scrape waiting.
            with self._lock:
                if _ended_at_ns(priced.call) < earliest_ns:
                    self._late += 1
                    counts["late"] += 1
                    continue
                try:
                    counts["odd_figures"] += self._metrics.count(priced)
                except Exception:  # noqa: BLE001 - a mistake in a metric must not hold segments in the journal
                    self._uncounted += 1
                    counts["uncounted"] += 1
                else:
                    counts["calls"] += 1
        self._last_token = batch.token
        return +counts

    def close(self) -> None:
        """Nothing is held."""

    def families(self) -> list[Metric]:
        """Everything counted since this process started."""
        with self._lock:
            return [
                *self._metrics.families(),
                CounterMetricFamily(
                    "taximeter_late_calls",
                    f"Calls that were read more than {LATE_S:g} s after their end; counted nowhere else.",
                    value=self._late,
                ),
                CounterMetricFamily(
                    "taximeter_uncounted_calls",
                    "Calls that are missing in the other metrics by a mistake of ours.",
                    value=self._uncounted,
                ),
            ]


def _ended_at_ns(call: CallRecord) -> int:
    return call.started_at_ns + call.duration_ns
