"""Metrics against real receivers of both protocols."""

import pytest

from exporters.otlp import metric_sink
from exporters.otlp.metric_sink import OtlpMetrics
from exporters.recorder.ports import SinkUnavailableError
from tests.fakes.otlp_receivers import RECEIVERS, Mood
from tests.fakes.otlp_settings import batch, otlp, settings, target
from tests.fakes.records import attempt, call

pytestmark = pytest.mark.real

DURATION = "gen_ai.client.operation.duration"


@pytest.fixture(params=RECEIVERS)
def receiver(request):
    with RECEIVERS[request.param]() as receiver:
        yield receiver


@pytest.fixture
def make(receiver, tmp_path):
    made = []

    def make(**more):
        asked = {"metrics_interval_s": 1e-9} | more
        made.append(OtlpMetrics(settings(tmp_path), otlp(**asked), target(receiver, "metrics")))
        return made[-1]

    yield make
    for sink in made:
        sink._transport.close()


def counts(receiver, name=DURATION):
    return [point.count for point in receiver.points(name)]


def test_metrics_of_the_conventions_arrive(make, receiver):
    sink = make()
    sink.check()
    assert receiver.requests == []
    sink.deliver(batch(call(1, attempt(ttft_ns=5), streaming=True)))
    assert {metric.name for metric in receiver.metrics()} == {
        "http.server.request.duration",
        DURATION,
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
        "gen_ai.server.time_to_first_token",
        "taximeter.cost",
    }
    (point,) = receiver.points(DURATION)
    assert point.time_unix_nano > point.start_time_unix_nano


def test_totals_grow_and_deltas_do_not(make, receiver):
    totals = make()
    for token in ("t-1", "t-2"):
        totals.deliver(batch(token=token))
    assert counts(receiver) == [1, 2]
    first, second = receiver.points(DURATION)
    assert first.start_time_unix_nano == second.start_time_unix_nano
    assert first.time_unix_nano < second.time_unix_nano

    deltas = make(temporality="delta")
    for token in ("t-3", "t-4"):
        deltas.deliver(batch(token=token))
    assert counts(receiver)[2:] == [1, 1]
    _, _, third, fourth = receiver.points(DURATION)
    assert fourth.start_time_unix_nano == third.time_unix_nano


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_a_batch_that_is_offered_again_counts_once(make, receiver, temporality):
    receiver.next("busy", "busy")
    sink = make(temporality=temporality)
    for _ in range(2):
        with pytest.raises(SinkUnavailableError):
            sink.deliver(batch())
    after_a_restart = make(temporality=temporality)
    assert after_a_restart.deliver(batch())["calls"] == 1
    assert counts(receiver) == [1]


def test_totals_outlive_the_process(make, receiver):
    make().deliver(batch(token="t-1"))
    make().deliver(batch(token="t-2"))
    assert counts(receiver) == [1, 2]


def test_metrics_go_out_once_in_an_interval_and_at_the_end(make, receiver):
    sink = make(metrics_interval_s=3600.0)
    for number in range(5):
        sink.deliver(batch(token=f"t-{number}"))
        sink.check()
    assert counts(receiver) == [1]
    sink.close()
    assert counts(receiver) == [1, 5]


def test_totals_go_out_where_nothing_happens(make, receiver):
    sink = make()
    sink.deliver(batch())
    sink.check()
    assert counts(receiver) == [1, 1]


def test_deltas_do_not_go_out_where_nothing_happens(make, receiver):
    sink = make(temporality="delta")
    sink.deliver(batch())
    sink.check()
    assert len(receiver.requests) == 1


def test_a_receiver_that_was_away_is_not_waited_for_at_the_end(make, receiver):
    sink = make()
    receiver.next("busy")
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    sink.close()
    assert len(receiver.requests) == 1


def test_a_receiver_that_ends_with_us_costs_nothing_but_time(make, receiver):
    sink = make(metrics_interval_s=3600.0)
    sink.deliver(batch(token="t-1"))
    sink.deliver(batch(token="t-2"))
    receiver.next("busy")
    sink.close()
    make().deliver(batch(token="t-3"))
    assert counts(receiver) == [1, 3]


@pytest.mark.parametrize("mood", ["nobody", "bad"])
def test_a_receiver_that_takes_no_metrics_holds_up_nothing(make, receiver, mood):
    receiver.next(mood)
    counted = make().deliver(batch())
    assert counted["calls"] == 1
    assert [name for name in counted if name.startswith("refused_")]


@pytest.mark.parametrize("mood", ["busy", "broken", "stranger"])
def test_a_receiver_that_fails_is_tried_again(make, receiver, mood):
    receiver.next(mood)
    sink = make()
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    sink.deliver(batch())
    assert counts(receiver) == [1]


def test_points_that_were_rejected_are_counted(make, receiver):
    receiver.next(Mood("part", 2))
    counted = make().deliver(batch())
    assert counted["rejected_points"] == 2


def test_what_was_sent_before_a_failure_is_not_sent_twice_as_delta(make, receiver, monkeypatch):
    monkeypatch.setattr(metric_sink, "SERIES_A_REQUEST", 2)
    receiver.next("good", "busy")
    sink = make(temporality="delta")
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    sink.deliver(batch())
    assert counts(receiver) == [1]
    assert counts(receiver, "http.server.request.duration") == [1]
