import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from exporters.otlp.sending import Answer, taken


@pytest.mark.parametrize("kind", [ExportTraceServiceResponse, ExportMetricsServiceResponse])
def test_an_empty_answer_means_that_all_was_taken(kind):
    assert taken(kind()) == Answer(verdict="taken")


def test_what_was_not_taken_is_told_with_its_reason():
    spans, points = ExportTraceServiceResponse(), ExportMetricsServiceResponse()
    spans.partial_success.rejected_spans = 2
    spans.partial_success.error_message = "too old"
    points.partial_success.rejected_data_points = 3
    assert taken(spans) == Answer(verdict="taken", said="too old", rejected=2)
    assert taken(points).rejected == 3


def test_a_figure_beyond_reason_rejects_nothing():
    spans = ExportTraceServiceResponse()
    spans.partial_success.rejected_spans = -5
    assert taken(spans).rejected == 0
