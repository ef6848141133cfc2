"""Spans against real receivers of both protocols."""

import threading

import pytest

from exporters.otlp import trace_sink
from exporters.otlp.trace_sink import OtlpTraces
from exporters.recorder.ports import SinkUnavailableError
from proxy.core.record import TraceIds
from tests.fakes.otlp_receivers import RECEIVERS, Mood
from tests.fakes.otlp_settings import batch, otlp, settings, target
from tests.fakes.records import TRACE, attempt, call
from tests.fakes.until import comes_true

pytestmark = pytest.mark.real


@pytest.fixture(params=RECEIVERS)
def receiver(request):
    with RECEIVERS[request.param]() as receiver:
        yield receiver


@pytest.fixture
def sink(receiver, tmp_path):
    made = OtlpTraces(settings(tmp_path), otlp(), target(receiver))
    yield made
    made.close()


def many(number):
    """Calls that can be told from one another by their traces."""
    return [call(n, trace=TraceIds(trace_id=f"{n:032x}", span_id=f"{n:016x}")) for n in range(1, number + 1)]


def traces(receiver):
    return [span.trace_id.hex() for span in receiver.spans if not span.parent_span_id]


def test_every_call_and_attempt_is_a_span(sink, receiver):
    sink.check()
    assert sink.deliver(batch(call(1, attempt(1), attempt(2)), call(2))) == {"spans": 5}
    assert [span.kind for span in receiver.spans] == [2, 3, 3, 2, 3]
    ((resource, scope, _), *_) = receiver.spans_with_source()
    known = {one.key: one.value.string_value for one in resource.attributes}
    assert known["service.name"] == "taximeter"
    assert known["service.instance.id"]
    assert scope.name == "taximeter"


def test_unsampled_traces_stay_here_unless_all_are_asked_for(sink, receiver, tmp_path):
    unsampled = call(1, trace=TraceIds(trace_id=TRACE.trace_id, span_id=TRACE.span_id, sampled=False))
    assert sink.deliver(batch(unsampled, call(2))) == {"spans": 2, "unsampled": 1}
    everything = OtlpTraces(settings(tmp_path), otlp(unsampled_too=True), target(receiver))
    assert everything.deliver(batch(unsampled)) == {"spans": 2}
    everything.close()


def test_a_batch_without_a_sampled_call_sends_nothing(sink, receiver):
    unsampled = call(1, trace=TraceIds(trace_id=TRACE.trace_id, span_id=TRACE.span_id, sampled=False))
    assert sink.deliver(batch(unsampled)) == {"unsampled": 1}
    assert receiver.requests == []


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_and_compression_are_as_configured(receiver, tmp_path, compression):
    sink = OtlpTraces(settings(tmp_path), otlp(), target(receiver, headers={"x-key": "k-1"}, compression=compression))
    assert sink.deliver(batch()) == {"spans": 2}
    sink.close()
    (got,) = receiver.requests
    assert got.headers["x-key"] == "k-1"
    if receiver.protocol == "http/protobuf":
        assert got.headers.get("content-encoding", "none") == compression


@pytest.mark.parametrize("mood", ["busy", "throttled"])
def test_a_receiver_that_asks_for_time_is_left_alone(sink, receiver, mood):
    receiver.next(Mood(mood, 60))
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    for step in (sink.check, lambda: sink.deliver(batch())):
        with pytest.raises(SinkUnavailableError, match="has asked for time"):
            step()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("mood", ["busy", "stranger", "nobody", "broken", "moved"])
def test_what_may_be_put_right_costs_no_span(sink, receiver, mood):
    receiver.next(mood)
    with pytest.raises(SinkUnavailableError) as failure:
        sink.deliver(batch())
    if mood != "moved":
        assert f"I am {mood}" in str(failure.value)
    assert receiver.spans == []
    assert sink.deliver(batch()) == {"spans": 2}


def test_a_span_that_is_refused_is_found_counted_and_costs_no_other(sink, receiver):
    receiver.refuses = lambda span: span.trace_id == (7).to_bytes(16, "big")
    counts = sink.deliver(batch(*many(20)))
    refused = sum(count for name, count in counts.items() if name.startswith("refused_"))
    assert refused == 2
    assert counts["spans"] == 38
    assert len(receiver.spans) == 38
    assert len(receiver.requests) <= 2 * 40


def test_a_receiver_that_refuses_everything_is_not_asked_for_ever(sink, receiver):
    receiver.refuses = lambda span: True
    counts = sink.deliver(batch(*many(200)))
    assert list(counts.values()) == [400]
    assert len(receiver.requests) <= 1 + trace_sink.MAX_CUTS


def test_a_failure_that_does_not_end_is_taken_for_the_fault_of_the_data(sink, receiver, monkeypatch):
    monkeypatch.setattr(trace_sink, "DOUBTS", 3)
    receiver.next(*["broken"] * 100)
    for _ in range(3):
        with pytest.raises(SinkUnavailableError):
            sink.deliver(batch())
    counts = sink.deliver(batch())
    assert sum(counts.values()) == 2
    assert next(iter(counts)).startswith("refused_")


def test_doubts_about_one_batch_are_none_about_the_next(sink, receiver, monkeypatch):
    monkeypatch.setattr(trace_sink, "DOUBTS", 1)
    receiver.next("broken", "broken")
    for token in ("t-1", "t-2"):
        with pytest.raises(SinkUnavailableError):
            sink.deliver(batch(token=token))
    assert sink.deliver(batch(token="t-2")) == {"spans": 2}


def test_spans_that_were_rejected_are_counted_and_not_sent_again(sink, receiver):
    receiver.next(Mood("part", 1))
    assert sink.deliver(batch()) == {"spans": 1, "rejected_spans": 1}
    assert len(receiver.requests) == 1


def test_an_answer_that_got_lost_may_double_a_span_and_loses_none(receiver, tmp_path):
    sink = OtlpTraces(settings(tmp_path), otlp(), target(receiver, timeout_s=0.3))
    receiver.next("deaf")
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    assert sink.deliver(batch()) == {"spans": 2}
    sink.close()
    assert [span.span_id for span in receiver.spans] == [span.span_id for span in receiver.spans[:2]] * 2


def test_parts_that_were_taken_are_not_sent_again(sink, receiver, monkeypatch):
    monkeypatch.setattr(trace_sink, "CALLS_A_REQUEST", 2)
    receiver.next("good", "busy")
    calls = many(5)
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch(*calls))
    assert sink.deliver(batch(*calls)) == {"spans": 10}
    assert traces(receiver) == [one.trace.trace_id for one in calls]


def test_a_request_stays_below_the_usual_limits(sink, receiver, monkeypatch):
    monkeypatch.setattr(trace_sink, "MAX_REQUEST_BYTES", 4000)
    calls = many(20)
    assert sink.deliver(batch(*calls)) == {"spans": 40}
    assert traces(receiver) == [one.trace.trace_id for one in calls]
    assert all(got.message.ByteSize() <= 4000 for got in receiver.requests)


def test_a_record_with_odd_ids_is_counted_and_holds_up_nobody(sink, receiver):
    odd = [call(1, trace=TraceIds(trace_id=odd, span_id="b7ad6b7169203331")) for odd in ("", "0" * 32, "x" * 32)]
    assert sink.deliver(batch(*odd, call(2))) == {"refused_odd_ids": 3, "spans": 2}


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_receiver_that_is_away_is_found_when_it_is_back(protocol, tmp_path):
    with RECEIVERS[protocol]() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        sink = OtlpTraces(settings(tmp_path), otlp(), target(receiver))
        assert sink.deliver(batch()) == {"spans": 2}
    for step in (sink.check, lambda: sink.deliver(batch(token="t-2"))):
        with pytest.raises(SinkUnavailableError):
            step()
    with RECEIVERS[protocol](port=port) as receiver:
        sink.check()
        assert sink.deliver(batch(token="t-2")) == {"spans": 2}
    sink.close()


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_nothing_of_it_is_left_when_it_is_closed(protocol, tmp_path):
    with RECEIVERS[protocol]() as receiver:
        before = set(threading.enumerate())
        sink = OtlpTraces(settings(tmp_path), otlp(), target(receiver))
        sink.check()
        sink.deliver(batch())
        sink.close()
        # A server of gRPC has threads of its own, which come with its first call.
        ours = lambda: [t for t in set(threading.enumerate()) - before if "ThreadPool" not in t.name]  # noqa: E731
        assert comes_true(lambda: not ours()), ours()
