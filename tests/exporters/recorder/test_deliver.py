import os
import sqlite3
import time
from decimal import Decimal

import pytest

from exporters.journal.reader import add_segment, list_segments
from exporters.recorder import deliver
from exporters.recorder.deliver import MAX_PARCEL_SEGMENTS, Delivery, age_s
from exporters.recorder.ports import SinkUnavailableError
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State
from proxy.core.money import Money
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
def begin(journal_dir, state, sink):
    """A recorder's way along the journal, as if just started."""
    return lambda: Delivery(sink, PricedSegments(FixedPrices()), state, journal_dir)


@pytest.fixture
def delivery(begin):
    return begin()


def put(journal_dir, number, *records, instance="w", at_s=None):
    add_segment(journal_dir, instance, number, records)
    segment = list_segments(journal_dir, instance).sealed[number]
    if at_s is not None:
        os.utime(segment.path, (at_s, at_s))
    return segment


def killed(*_, **__):
    raise OSError("killed")


def test_the_calls_of_a_segment_are_priced_and_handed_over_and_then_the_cursor_moves(
    journal_dir, state, sink, delivery
):
    segment = put(journal_dir, 1, opened(1), call(1), loss(odd=1), call(2, attempt(1), attempt(2)))
    delivery.deliver(delivery.next_parcel({"w": 1}))
    (batch,) = sink.batches
    assert (batch.instance, batch.number, batch.token) == ("w", 1, segment.token)
    assert [priced.call.call_id for priced in batch.calls] == [call_id(1), call_id(2)]
    assert [[price.price_id for price in priced.prices] for priced in batch.calls] == [["fixed"], ["fixed", "fixed"]]
    assert delivery.cursors == state.cursors("memory") == {"w": 1}
    assert delivery.counts() == {"calls": 2}
    assert delivery.next_parcel({"w": 1}) is None


def test_what_waits_goes_together_oldest_first_and_in_order_within_an_instance(journal_dir, sink, delivery):
    put(journal_dir, 1, call(1), at_s=300)
    put(journal_dir, 2, call(2), at_s=100)  # the clock went back
    put(journal_dir, 3, call(3), at_s=400)
    put(journal_dir, 1, call(4), instance="x", at_s=200)
    put(journal_dir, 2, call(5), instance="x", at_s=350)
    parcel = delivery.next_parcel({"w": 2, "x": 2})
    assert parcel.keys == [("x", 1), ("w", 1), ("w", 2), ("x", 2)]
    assert parcel.sealed_at_ns == 200 * 10**9
    delivery.deliver(parcel)
    assert len(sink.batches) == 1
    assert sink.calls == [call_id(number) for number in (4, 1, 2, 5)]
    assert delivery.cursors == {"w": 2, "x": 2}


def test_a_parcel_is_no_larger_than_the_sink_likes(journal_dir, delivery, monkeypatch):
    sizes = [put(journal_dir, number, call(number), at_s=number).path.stat().st_size for number in range(1, 8)]
    monkeypatch.setattr(deliver, "MAX_PARCEL_BYTES", sum(sizes[:2]))
    first = delivery.next_parcel({"w": 7})
    assert first.keys == [("w", 1), ("w", 2)]
    delivery.deliver(first)
    monkeypatch.setattr(deliver, "MAX_PARCEL_BYTES", 1)
    assert delivery.next_parcel({"w": 7}).keys == [("w", 3)]


def test_a_parcel_and_memory_do_not_grow_with_the_backlog(journal_dir, delivery):
    for number in range(1, 151):
        put(journal_dir, number, call(number), at_s=number)
    assert len(delivery.next_parcel({"w": 150}).segments) == MAX_PARCEL_SEGMENTS
    assert len(delivery._ahead) == 100 - MAX_PARCEL_SEGMENTS


def test_the_token_is_that_of_exactly_these_segments(journal_dir, begin, state):
    segments = [put(journal_dir, number, call(number), at_s=number) for number in (1, 2, 3)]
    tokens = set()
    for last in (1, 2, 3):
        state.commit_parcel("memory", [])
        tokens.add(begin().next_parcel({"w": last}).token)
    assert len(tokens) == 3
    assert segments[0].token in tokens


def test_the_cursor_stays_where_it_is_when_the_sink_is_down(journal_dir, state, sink, delivery):
    put(journal_dir, 1, call(1))
    sink.down = True
    with pytest.raises(SinkUnavailableError):
        delivery.deliver(delivery.next_parcel({"w": 1}))
    assert state.cursors("memory") == delivery.cursors == {}
    assert delivery.counts() == {}


@pytest.mark.parametrize("after_the_sink", [False, True], ids=["before the sink", "after the sink"])
def test_a_kill_at_any_moment_offers_the_very_same_parcel_again(
    journal_dir, state, sink, begin, monkeypatch, after_the_sink
):
    for number in (1, 2):
        put(journal_dir, number, call(number), at_s=number)
    first = begin()
    parcel = first.next_parcel({"w": 2})
    if after_the_sink:
        with monkeypatch.context() as patched:
            patched.setattr(state, "commit_delivered", killed)
            with pytest.raises(OSError, match="killed"):
                first.deliver(parcel)
    for number in (3, 4):
        put(journal_dir, number, call(number), at_s=number)
    second = begin()
    again = second.next_parcel({"w": 4})
    assert (again.token, again.keys) == (parcel.token, parcel.keys)
    second.deliver(again)
    second.deliver(second.next_parcel({"w": 4}))
    assert sink.calls == [call_id(number) for number in (1, 2, 3, 4)]
    assert state.counts("memory") == {"calls": 4}


def test_a_parcel_that_could_not_be_noted_is_not_stepped_over(journal_dir, state, delivery, monkeypatch):
    for number in (1, 2):
        put(journal_dir, number, call(number), at_s=number)
    with monkeypatch.context() as patched:
        patched.setattr(state, "commit_parcel", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("full")))
        with pytest.raises(sqlite3.OperationalError):
            delivery.next_parcel({"w": 2})
    assert delivery.next_parcel({"w": 2}).keys == [("w", 1), ("w", 2)]


def test_a_parcel_that_could_not_be_found_again_now_is_found_again_later(journal_dir, state, begin, monkeypatch):
    for number in (1, 2):
        put(journal_dir, number, call(number), at_s=number)
    parcel = begin().next_parcel({"w": 1})
    second = begin()
    with monkeypatch.context() as patched:
        patched.setattr(deliver, "list_segments", killed)
        with pytest.raises(OSError, match="killed"):
            second.next_parcel({"w": 2})
    assert second.next_parcel({"w": 2}).keys == parcel.keys


def test_a_segment_without_calls_moves_the_cursor_and_bothers_nobody(journal_dir, sink, delivery):
    put(journal_dir, 1, opened(1), loss(odd=1))
    delivery.deliver(delivery.next_parcel({"w": 1}))
    assert (sink.batches, delivery.cursors) == ([], {"w": 1})


def test_what_was_reserved_stands_in_for_a_cost_that_nobody_can_know(journal_dir, sink, delivery):
    held = Money(Decimal("0.12"), "CNY")
    unknown, explodes, known = (attempt(model=name, held_cost=held) for name in ("unknown", "explodes", "good"))
    put(journal_dir, 1, call(1, unknown, explodes, known))
    delivery.deliver(delivery.next_parcel({"w": 1}))
    prices = sink.batches[0].calls[0].prices
    assert [(price.amount, price.currency) for price in prices] == [
        (held.amount, "CNY"),
        (held.amount, "CNY"),
        (Decimal("0.01"), "USD"),
    ]
    assert [price.reasons for price in prices] == [("no_price", "held"), ("pricing_failed", "held"), ()]
    assert [price.estimated for price in prices] == [True, True, False]
    assert delivery.counts() == {"calls": 1, "pricing_failed": 1}


def test_what_nobody_can_price_is_recorded_unpriced_and_counted(journal_dir, sink, delivery):
    put(journal_dir, 1, call(1, attempt(model="unknown")), call(2, attempt(model="explodes")))
    delivery.deliver(delivery.next_parcel({"w": 1}))
    prices = [priced.prices[0] for priced in sink.batches[0].calls]
    assert [price.amount for price in prices] == [None, None]
    assert prices[1].reasons == ("pricing_failed",)
    assert delivery.counts() == {"calls": 2, "unpriced": 1, "pricing_failed": 1}


def test_segments_that_somebody_removed_are_counted_and_stepped_over(journal_dir, delivery):
    put(journal_dir, 1, call(1))
    delivery.deliver(delivery.next_parcel({"w": 1}))
    put(journal_dir, 2, call(2)).path.unlink()
    assert delivery.next_parcel({"w": 2}) is None
    assert delivery.cursors == {"w": 2}
    vanishing = put(journal_dir, 3, call(3))
    parcel = delivery.next_parcel({"w": 3})
    vanishing.path.unlink()
    delivery.deliver(parcel)
    assert delivery.cursors == {"w": 3}
    assert delivery.counts() == {"calls": 1, "segments_gone": 2}


def test_what_is_left_of_a_parcel_is_delivered_and_the_rest_counted(journal_dir, begin, sink):
    segments = [put(journal_dir, number, call(number), at_s=number) for number in (1, 2, 3)]
    begin().next_parcel({"w": 3})
    segments[1].path.unlink()
    second = begin()
    second.deliver(second.next_parcel({"w": 3}))
    assert sink.calls == [call_id(1), call_id(3)]
    assert second.counts() == {"calls": 2, "segments_gone": 1}


def test_a_parcel_of_which_nothing_is_left_holds_up_nothing(journal_dir, begin, sink):
    segment = put(journal_dir, 1, call(1))
    begin().next_parcel({"w": 1})
    segment.path.unlink()
    put(journal_dir, 2, call(2))
    second = begin()
    second.deliver(second.next_parcel({"w": 2}))
    assert sink.calls == [call_id(2)]


def test_a_new_sink_has_lost_nothing_of_what_was_put_away_before_it(delivery):
    assert delivery.next_parcel({"w": 500}) is None
    assert (delivery.cursors, delivery.counts()) == ({"w": 500}, {})


def test_an_age_is_never_negative():
    assert age_s(time.time_ns() + 10**12) == 0.0
    assert age_s(time.time_ns() - 2 * 10**9) >= 2.0


def test_lines_that_were_damaged_since_they_were_read_are_counted(journal_dir, delivery, sink):
    segment = put(journal_dir, 1, call(1), call(2), call(3))
    parcel = delivery.next_parcel({"w": 1})
    first, _, rest = segment.path.read_bytes().partition(b"\n")
    second, _, _ = rest.partition(b"\n")
    segment.path.write_bytes(first + b"\n" + second[:40] + b"\0\n")
    delivery.deliver(parcel)
    assert sink.calls == [call_id(1)]
    assert delivery.counts() == {"calls": 1, "unreadable_lines": 2}
