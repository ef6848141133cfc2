import os
import time

import pytest

from exporters.journal.reader import add_segment, list_segments
from exporters.recorder.deliver import Delivery, age_s
from exporters.recorder.ports import SinkUnavailableError
from exporters.recorder.state import State
from tests.fakes.records import attempt, call, call_id, loss, opened
from tests.fakes.sinks import FixedPrices, MemorySink


@pytest.fixture
def journal_dir(tmp_path):
    for instance in ("w", "x"):
        (tmp_path / instance).mkdir()
    return tmp_path


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "recorder.sqlite")
    yield state
    state.close()


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def delivery(journal_dir, state, sink):
    return Delivery(sink, FixedPrices(), state, journal_dir)


def put(journal_dir, number, *records, instance="w", at_s=None):
    add_segment(journal_dir, instance, number, records)
    segment = list_segments(journal_dir, instance).sealed[number]
    if at_s is not None:
        os.utime(segment.path, (at_s, at_s))
    return segment


def test_the_calls_of_a_segment_are_priced_and_handed_over_and_then_the_cursor_moves(
    journal_dir, state, sink, delivery
):
    segment = put(journal_dir, 1, opened(1), call(1), loss(odd=1), call(2, attempt(1), attempt(2)))
    delivery.deliver(segment)
    (batch,) = sink.batches
    assert (batch.instance, batch.number, batch.token) == ("w", 1, segment.token)
    assert [priced.call.call_id for priced in batch.calls] == [call_id(1), call_id(2)]
    assert [[price.price_id for price in priced.prices] for priced in batch.calls] == [["fixed"], ["fixed", "fixed"]]
    assert delivery.cursors == state.cursors("memory") == {"w": 1}
    assert delivery.counts() == {"calls": 2}


def test_the_cursor_stays_where_it_is_when_the_sink_is_down(journal_dir, state, sink, delivery):
    segment = put(journal_dir, 1, call(1))
    sink.down = True
    with pytest.raises(SinkUnavailableError):
        delivery.deliver(segment)
    assert state.cursors("memory") == delivery.cursors == {}
    assert delivery.counts() == {}


def test_a_kill_before_the_cursor_moved_offers_the_same_batch_again(journal_dir, state, sink, delivery, monkeypatch):
    segment = put(journal_dir, 1, call(1))
    with monkeypatch.context() as patched:
        patched.setattr(state, "commit_delivered", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            delivery.deliver(segment)
    Delivery(sink, FixedPrices(), state, journal_dir).deliver(segment)
    assert [batch.token for batch in sink.batches] == [segment.token] * 2
    assert sink.calls == [call_id(1)]
    assert state.counts("memory") == {"calls": 1}


def test_a_segment_without_calls_moves_the_cursor_and_bothers_nobody(journal_dir, state, sink, delivery):
    delivery.deliver(put(journal_dir, 1, opened(1), loss(odd=1)))
    assert (sink.batches, delivery.cursors) == ([], {"w": 1})


def test_what_nobody_can_price_is_recorded_unpriced_and_counted(journal_dir, sink, delivery):
    records = call(1, attempt(model="unknown")), call(2, attempt(model="explodes"))
    delivery.deliver(put(journal_dir, 1, *records))
    prices = [priced.prices[0] for priced in sink.batches[0].calls]
    assert [price.amount for price in prices] == [None, None]
    assert prices[1].reasons == ("pricing_failed",)
    assert delivery.counts() == {"calls": 2, "unpriced": 1, "pricing_failed": 1}


def test_what_waits_is_told_oldest_first_and_in_order_within_an_instance(journal_dir, delivery):
    put(journal_dir, 1, call(1), at_s=300)
    put(journal_dir, 2, call(2), at_s=100)  # the clock went back
    put(journal_dir, 3, call(3), at_s=400)
    put(journal_dir, 1, call(4), instance="x", at_s=200)
    put(journal_dir, 2, call(5), instance="x", at_s=350)
    waiting = [(w.segment.instance, w.segment.number) for w in delivery.waiting({"w": 2, "x": 2})]
    assert waiting == [("x", 1), ("w", 1), ("w", 2), ("x", 2)]


def test_what_the_sink_has_does_not_wait(journal_dir, delivery):
    for number in (1, 2):
        put(journal_dir, number, call(number))
    delivery.deliver(list_segments(journal_dir, "w").sealed[1])
    assert [w.segment.number for w in delivery.waiting({"w": 2})] == [2]
    assert delivery.waiting({"w": 1}) == []


def test_segments_that_somebody_removed_are_counted_and_stepped_over(journal_dir, delivery):
    delivery.deliver(put(journal_dir, 1, call(1)))
    gone = put(journal_dir, 2, call(2))
    gone.path.unlink()
    assert delivery.waiting({"w": 2}) == []
    assert delivery.cursors == {"w": 2}
    vanished = put(journal_dir, 3, call(3))
    vanished.path.unlink()
    delivery.deliver(vanished)
    assert delivery.cursors == {"w": 3}
    assert delivery.counts() == {"calls": 1, "segments_gone": 2}


def test_a_new_sink_has_lost_nothing_of_what_was_put_away_before_it(journal_dir, delivery):
    assert delivery.waiting({"w": 500}) == []
    assert (delivery.cursors, delivery.counts()) == ({"w": 500}, {})


def test_memory_does_not_grow_with_the_backlog(journal_dir, delivery):
    for number in range(1, 151):
        put(journal_dir, number, call(number))
    assert len(delivery.waiting({"w": 150})) == 100


def test_an_age_is_never_negative():
    assert age_s(time.time_ns() + 10**12) == 0.0
    assert age_s(time.time_ns() - 2 * 10**9) >= 2.0
