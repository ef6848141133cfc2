"""Sums by label values, kept exact until somebody asks: whole numbers and Decimals inside, floats only in the answer.

Prometheus knows no number but the float. Money is added up here as Decimal and time as whole nanoseconds; each becomes
a float once, as it is written into an answer. A table has a bound of its own beside that of its labels, so that no
mixture of values, however made up, makes an answer long.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Exemplar

from exporters.prometheus.labels import OTHER

Labels = tuple[str, ...]

MAX_SETS = 600
"""Label sets of one counter. Ten models with every operation and every outcome make 300."""
_FOLDABLE = frozenset({"model", "team"})
"""Labels whose values people make up; all others come from closed lists of ours."""


class Sets:
    """The label sets of one metric, at most twice MAX_SETS and one.

    When they have become MAX_SETS, a new one gets `other` for the labels that people make up; and when that has not
    helped, for every label.
    """

    def __init__(self, names: Labels, max_sets: int = MAX_SETS) -> None:
        self.overflows = 0
        """How often a label set had to be changed for want of room."""
        self._open = tuple(name in _FOLDABLE for name in names)
        self._nothing_known = (OTHER,) * len(names)
        self._max_sets = max_sets
        self._known: set[Labels] = set()

    def bounded(self, labels: Labels) -> Labels:
        """The label set under which to count; it is known from then on."""
        known = self._known
        if labels in known:
            return labels
        if len(known) >= self._max_sets:
            self.overflows += 1
            labels = tuple(OTHER if made_up else value for value, made_up in zip(labels, self._open, strict=True))
            if labels not in known and len(known) >= 2 * self._max_sets:
                labels = self._nothing_known
        known.add(labels)
        return labels


class CounterTable:
    """A counter.

    Args:
        name: Without the `_total` that the answer adds.
        said: Its HELP line.
        names: Of its labels.
    """

    def __init__(self, name: str, said: str, names: Labels = ()) -> None:
        self.sets = Sets(names)
        self._name = name
        self._said = said
        self._names = names
        self._sums: dict[Labels, int | Decimal] = {} if names else {(): 0}

    def add(self, labels: Labels, amount: int | Decimal = 1) -> None:
        """Add an amount, which must not be negative."""
        if labels not in self._sums:
            labels = self.sets.bounded(labels)
            self._sums.setdefault(labels, 0)
        self._sums[labels] += amount

    def family(self) -> CounterMetricFamily:
        """What is told of it."""
        family = CounterMetricFamily(self._name, self._said, labels=self._names)
        for labels, total in self._sums.items():
            family.add_metric(labels, float(total))
        return family


class _Series:
    """One label set of a histogram."""

    __slots__ = ("counts", "exemplars", "sum_ns")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum_ns = 0
        self.exemplars: dict[int, tuple[str, int]] = {}
        """Bucket -> trace id and time of the last one in it."""


class HistogramTable:
    """A histogram of times.

    Args:
        name: Ends with `_seconds`.
        said: Its HELP line.
        names: Of its labels.
        bounds_ns: Upper bounds of its buckets, rising, in nanoseconds; the last one, infinity, is added.
    """

    def __init__(self, name: str, said: str, names: Labels, bounds_ns: Sequence[int]) -> None:
        self.sets = Sets(names)
        self._name = name
        self._said = said
        self._names = names
        self._bounds_ns = tuple(bounds_ns)
        self._bounds = [*(repr(bound_ns / 1e9) for bound_ns in bounds_ns), "+Inf"]
        self._series: dict[Labels, _Series] = {}

    def observe(self, labels: Labels, took_ns: int, trace_id: str = "") -> None:
        """Count one time, 0 or more; `trace_id` names an example of it to formats that can carry one."""
        series = self._series.get(labels)
        if series is None:
            labels = self.sets.bounded(labels)
            series = self._series.setdefault(labels, _Series(len(self._bounds)))
        bucket = bisect_left(self._bounds_ns, took_ns)
        series.counts[bucket] += 1
        series.sum_ns += took_ns
        if trace_id:
            series.exemplars[bucket] = (trace_id, took_ns)

    def family(self) -> HistogramMetricFamily:
        """What is told of it."""
        family = HistogramMetricFamily(self._name, self._said, labels=self._names)
        for labels, series in self._series.items():
            below = 0
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for index, (bound, count) in enumerate(zip(self._bounds, series.counts, strict=True)):
                below += count
                if example := series.exemplars.get(index):
                    trace_id, took_ns = example
                    buckets.append((bound, below, Exemplar({"trace_id": trace_id}, took_ns / 1e9)))
                else:
                    buckets.append((bound, below))
            family.add_metric(labels, buckets, series.sum_ns / 1e9)
        return family
