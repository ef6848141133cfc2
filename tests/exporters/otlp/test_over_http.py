import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporters.otlp.over_http import HttpTransport
from exporters.recorder.ports import SinkUnavailableError
from proxy.settings import OtlpTarget
from tests.fakes.hook_receiver import hook_receiver

pytestmark = pytest.mark.real


@pytest.fixture
def hook():
    with hook_receiver() as hook:
        yield hook


def transport(hook, **more):
    return HttpTransport(OtlpTarget(endpoint=f"{hook.url}/v1/traces", protocol="http/protobuf", **more))


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, "refused"),
        (413, "refused"),
        (422, "refused"),
        (404, "no_service"),
        (405, "no_service"),
        (501, "no_service"),
        (500, "doubtful"),
        (507, "doubtful"),
    ],
)
def test_what_an_answer_means(hook, status, verdict):
    hook.next(status)
    answer = transport(hook).send(ExportTraceServiceRequest())
    assert (answer.verdict, answer.reason) == (verdict, f"status_{status}")


@pytest.mark.parametrize("status", [301, 401, 403, 407, 408, 415, 429, 502, 503, 504])
def test_what_is_to_be_sent_again(hook, status):
    hook.next(status)
    with pytest.raises(SinkUnavailableError, match=f"answered {status}"):
        transport(hook).send(ExportTraceServiceRequest())


@pytest.mark.parametrize("request_kind", [ExportTraceServiceRequest, ExportMetricsServiceRequest])
def test_an_answer_that_is_no_protobuf_does_not_undo_its_status(hook, request_kind):
    hook.next(200)  # the body is "thank you"
    assert transport(hook).send(request_kind()).verdict == "taken"


def test_configured_headers_are_sent_and_cannot_break_the_coding(hook):
    transport(hook, headers={"user-agent": "mine", "content-type": "text/plain"}).send(ExportTraceServiceRequest())
    ((path, headers, _),) = hook.posted
    assert path == "/v1/traces"
    assert headers["user-agent"] == "mine"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
