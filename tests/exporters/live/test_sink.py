import json
from decimal import Decimal

import msgspec
import pytest

from exporters.live.sink import LATE_S, MAX_EVENTS, LiveSink, event_of
from exporters.recorder.ports import Batch, PricedCall
from proxy.core.record import Caller
from tests.fakes.records import STARTED_NS, attempt, call
from tests.fakes.sinks import FixedPrices

ENDED_NS = STARTED_NS + 900_000_000


class Watching:
    def __init__(self, *, watched=True):
        self.watched = watched
        self.events = []

    def publish(self, events):
        self.events += map(json.loads, events)


def priced(one):
    prices = FixedPrices()
    return PricedCall(one, tuple(prices.price(attempt, one) for attempt in one.attempts))


def batch(*calls, token="t-1"):
    return Batch(instance="w", number=1, token=token, calls=[priced(one) for one in calls])


def sink(watching, after_s=1.0):
    return LiveSink(watching, now_ns=lambda: ENDED_NS + int(after_s * 1e9))


def test_every_finished_call_is_one_event_and_a_batch_told_once():
    watching = Watching()
    live = sink(watching)
    assert live.deliver(batch(call(1), call(2))) == {"calls": 2}
    assert live.deliver(batch(call(1), call(2))) == {}
    assert [event["call_id"] for event in watching.events] == [call(1).call_id, call(2).call_id]


def test_where_nobody_looks_nothing_is_made():
    watching = Watching(watched=False)
    assert sink(watching).deliver(batch(call(1))) == {}
    assert watching.events == []


@pytest.mark.parametrize(("after_s", "told"), [(LATE_S, 1), (LATE_S + 1, 0), (-3600, 1)])
def test_a_call_of_long_ago_is_no_live_call(after_s, told):
    watching = Watching()
    sink(watching, after_s).deliver(batch(call(1)))
    assert len(watching.events) == told


def test_of_a_backlog_the_newest_are_told():
    watching = Watching()
    sink(watching).deliver(batch(*(call(number) for number in range(MAX_EVENTS + 5))))
    assert len(watching.events) == MAX_EVENTS
    assert watching.events[-1]["call_id"] == call(MAX_EVENTS + 4).call_id


def test_money_is_text_with_every_digit_and_unknown_is_null():
    event = event_of(priced(call(1)))
    assert isinstance(event["cost"], str)
    assert Decimal(event["cost"]) == sum(price.amount for price in priced(call(1)).prices)
    unpriced = PricedCall(call(1), ())
    assert event_of(unpriced)["cost"] is None


def test_the_first_token_counts_from_the_start_of_the_call():
    late = attempt(2, started_at_ns=STARTED_NS + 500_000_000, ttft_ns=250_000_000)
    assert event_of(priced(call(1, attempt(), late)))["ttft"] == 750.0
    assert event_of(priced(call(1)))["ttft"] is None


def test_a_refused_call_without_any_try_is_told_too():
    refused = msgspec.structs.replace(call(1), attempts=(), outcome="refused")
    event = event_of(PricedCall(refused, ()))
    assert (event["outcome"], event["attempts"], event["model"]) == ("refused", 0, "gpt-4.1-mini")


def test_a_long_name_does_not_make_a_long_event():
    event = event_of(priced(call(1, caller=Caller(user="x" * 5000))))
    assert len(event["user"]) == 120
