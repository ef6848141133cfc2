import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporters.otlp.over_grpc import GrpcTransport
from exporters.recorder.ports import SinkUnavailableError
from tests.fakes.otlp_receivers import GRPC_STATUS, Mood, grpc_receiver
from tests.fakes.otlp_settings import target

pytestmark = pytest.mark.real

REFUSED = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS")
DOUBTFUL = ("INTERNAL", "UNKNOWN", "DATA_LOSS", "RESOURCE_EXHAUSTED")
VERDICTS = dict.fromkeys(REFUSED, "refused") | dict.fromkeys(DOUBTFUL, "doubtful") | {"UNIMPLEMENTED": "no_service"}


@pytest.fixture
def receiver():
    with grpc_receiver() as receiver:
        yield receiver


@pytest.fixture
def transport(receiver):
    made = GrpcTransport(target(receiver))
    yield made
    made.close()


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=str)
def test_what_a_code_means(receiver, transport, monkeypatch, code):
    monkeypatch.setitem(GRPC_STATUS, "any", code)
    receiver.next("any")
    if code.name in VERDICTS:
        answer = transport.send(ExportTraceServiceRequest())
        assert (answer.verdict, answer.reason) == (VERDICTS[code.name], code.name.lower())
        assert answer.said == "I am any"
    else:
        with pytest.raises(SinkUnavailableError, match=f"answered {code.name.lower()}: I am any"):
            transport.send(ExportTraceServiceRequest())
    assert transport.send(ExportTraceServiceRequest()).verdict == "taken"


def test_a_receiver_that_is_full_and_says_until_when_is_waited_for(receiver, transport):
    receiver.next(Mood("throttled", 30))
    with pytest.raises(SinkUnavailableError, match="resource_exhausted"):
        transport.send(ExportTraceServiceRequest())
    with pytest.raises(SinkUnavailableError, match="has asked for time"):
        transport.send(ExportTraceServiceRequest())


def test_nobody_waits_for_ever(receiver):
    receiver.next("deaf")
    transport = GrpcTransport(target(receiver, timeout_s=0.2))
    with pytest.raises(SinkUnavailableError, match="deadline_exceeded"):
        transport.send(ExportTraceServiceRequest())
    transport.close()
