import pytest

from exporters.prometheus.sink import LATE_S, PrometheusSink
from exporters.recorder.ports import Batch, PricedCall
from tests.fakes.records import STARTED_NS, call
from tests.fakes.sinks import FixedPrices

ENDED_NS = STARTED_NS + 900_000_000


def batch(*calls, token="t-1"):
    prices = FixedPrices()
    priced = [PricedCall(one, tuple(prices.price(attempt, one) for attempt in one.attempts)) for one in calls]
    return Batch(instance="w", number=1, token=token, calls=priced)


def sink(after_s=1.0):
    return PrometheusSink(max_models=10, max_teams=0, now_ns=lambda: ENDED_NS + int(after_s * 1e9))


def total(told, name):
    return sum(s.value for family in told.families() for s in family.samples if s.name == f"taximeter_{name}_total")


def test_a_batch_that_is_offered_again_is_not_counted_again():
    told = sink()
    assert told.deliver(batch(call(1), call(2))) == {"calls": 2}
    assert told.deliver(batch(call(1), call(2))) == {}
    assert told.deliver(batch(call(3), token="t-2")) == {"calls": 1}
    assert total(told, "calls") == 3


def test_a_call_that_ended_long_ago_is_no_traffic_of_this_minute():
    told = sink(after_s=LATE_S + 1)
    assert told.deliver(batch(call(1), call(2, started_at_ns=STARTED_NS + 10**10))) == {"calls": 1, "late": 1}
    assert total(told, "calls") == 1
    assert total(told, "late_calls") == 1
    assert total(told, "tokens") == 1200


@pytest.mark.parametrize("after_s", [-3600.0, LATE_S])
def test_a_clock_that_went_back_makes_no_call_late(after_s):
    told = sink(after_s)
    told.deliver(batch(call(1)))
    assert (total(told, "calls"), total(told, "late_calls")) == (1, 0)


def test_a_mistake_in_a_metric_costs_one_call_and_is_counted():
    told = sink()
    # As many prices as attempts are promised; a mistake of ours might break that.
    broken = batch(call(1), call(2))
    broken.calls[0] = PricedCall(broken.calls[0].call, ())
    assert told.deliver(broken) == {"calls": 1, "uncounted": 1}
    assert total(told, "uncounted_calls") == 1


def test_before_the_first_call_there_is_nothing_but_zeros():
    assert {s.value for family in sink().families() for s in family.samples} == {0.0}
