"""Series -> the SDK's metrics, for its encoder. PURE."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from exporters.otlp.measures import MEASURES
from exporters.otlp.resource import SCOPE
from exporters.otlp.totals import Series, Temporality
from proxy.core.semconv import Convention, metric_names

_TEMPORALITIES = {
    "cumulative": AggregationTemporality.CUMULATIVE,
    "delta": AggregationTemporality.DELTA,
}
_MAX_INT = 2**63 - 1


def metrics_data(
    some: Iterable[Series], *, at_ns: int, temporality: Temporality, resource: Resource, convention: Convention
) -> MetricsData:
    """What series say at an instant (Unix time in nanoseconds), which is later than each of them began."""
    by_word: dict[str, list[Series]] = {}
    for series in some:
        by_word.setdefault(series.word, []).append(series)
    names = metric_names(convention)
    metrics = [
        Metric(
            name=names[word],
            description=MEASURES[word].said,
            unit=MEASURES[word].unit,
            data=_data(word, all_of_it, at_ns, _TEMPORALITIES[temporality]),
        )
        for word, all_of_it in by_word.items()
    ]
    scope = ScopeMetrics(scope=SCOPE, metrics=metrics, schema_url="")
    return MetricsData(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _data(word: str, some: list[Series], at_ns: int, temporality: AggregationTemporality) -> Histogram | Sum:
    bounds = MEASURES[word].bounds
    if not bounds:
        numbers = [NumberDataPoint(**_common(series, at_ns), value=_number(series.total)) for series in some]
        return Sum(data_points=numbers, aggregation_temporality=temporality, is_monotonic=True)
    points = [
        HistogramDataPoint(
            **_common(series, at_ns),
            count=series.count,
            sum=float(series.total),
            bucket_counts=series.buckets,
            explicit_bounds=bounds,
            min=series.least,
            max=series.most,
        )
        for series in some
    ]
    return Histogram(data_points=points, aggregation_temporality=temporality)


def _common(series: Series, at_ns: int) -> dict[str, Any]:
    return {
        "attributes": dict(series.attributes),
        "start_time_unix_nano": series.since_ns,
        "time_unix_nano": at_ns,
    }


def _number(total: Any) -> int | float:
    """OTLP knows whole numbers of 63 bits and floats; the exact amounts of money stay with us."""
    return min(total, _MAX_INT) if isinstance(total, int) else float(total)
