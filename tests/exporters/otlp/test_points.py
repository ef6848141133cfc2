from decimal import Decimal

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource

from exporters.otlp.measures import MEASURES
from exporters.otlp.points import metrics_data
from exporters.otlp.totals import Series


def encoded(*some, temporality="cumulative", convention="1.41"):
    data = metrics_data(some, at_ns=9, temporality=temporality, resource=Resource({"a": "b"}), convention=convention)
    (resource,) = encode_metrics(data).resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def series(word, *values, **more):
    made = Series(word=word, attributes=(("k", "v"), ("n", 1)), since_ns=5, **more)
    for value in values:
        made.add(value)
    return made


def test_a_histogram_has_what_receivers_draw():
    (metric,) = encoded(series("operation_duration", 0.5, 0.01)).values()
    assert (metric.name, metric.unit) == ("gen_ai.client.operation.duration", "s")
    (point,) = metric.histogram.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 9)
    assert (point.count, point.sum, point.min, point.max) == (2, 0.51, 0.01, 0.5)
    assert tuple(point.explicit_bounds) == MEASURES["operation_duration"].bounds
    assert sum(point.bucket_counts) == 2
    assert point.bucket_counts[0] == 1
    assert {one.key for one in point.attributes} == {"k", "n"}


def test_money_is_a_sum_that_only_grows():
    (metric,) = encoded(series("cost", Decimal("0.1"), Decimal("0.2"))).values()
    assert metric.name == "taximeter.cost"
    assert metric.sum.is_monotonic
    assert metric.sum.data_points[0].as_double == pytest.approx(0.3)


def test_counts_stay_whole_numbers_as_long_as_they_can():
    metrics = encoded(series("input_tokens", 3, 4), convention="genai-dev")
    assert metrics["gen_ai.client.inference.usage.input_tokens"].sum.data_points[0].as_int == 7
    huge = encoded(series("input_tokens", 2**63 - 1, 5), convention="genai-dev")
    assert huge["gen_ai.client.inference.usage.input_tokens"].sum.data_points[0].as_int == 2**63 - 1


@pytest.mark.parametrize(("temporality", "number"), [("delta", 1), ("cumulative", 2)])
def test_the_temporality_is_told(temporality, number):
    metrics = encoded(series("operation_duration", 1.0), series("cost", Decimal(1)), temporality=temporality)
    assert metrics["gen_ai.client.operation.duration"].histogram.aggregation_temporality == number
    assert metrics["taximeter.cost"].sum.aggregation_temporality == number
