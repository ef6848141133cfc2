import asyncio
from contextlib import asynccontextmanager

import pytest

from exporters.journal.writer import Journal
from exporters.prometheus.sink import LATE_S, PrometheusSink
from exporters.recorder.ports import Batch, PricedCall
from exporters.recorder.recorder import run_recorder
from exporters.recorder.status import RecorderStatus
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.records import STARTED_NS, call
from tests.fakes.sinks import FixedPrices, MemorySink
from tests.fakes.until import until

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


# with the recorder, as it runs


@pytest.fixture
def settings(tmp_path):
    return Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="u", password="p"),
        data_dir=tmp_path,
        workers=1,
        providers=(),
        shutdown_grace_s=5.0,
    )


@asynccontextmanager
async def recording(settings, *sinks):
    stop, status = asyncio.Event(), RecorderStatus()
    task = asyncio.create_task(run_recorder(settings, FixedPrices(), sinks, stop=stop, status=status))
    try:
        yield status
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def journalled(settings, instance, *numbers):
    journal = Journal(settings.journal_dir, instance)
    for number in numbers:
        journal.close_call(call(number))
    journal.close()


async def test_calls_are_counted_once_over_a_restart_and_counters_begin_at_zero(settings):
    journalled(settings, "w-1", 1, 2)
    first = sink()
    async with recording(settings, first):
        await until(lambda: total(first, "calls") == 2)
    journalled(settings, "w-2", 3)
    second = sink()
    async with recording(settings, second):
        await until(lambda: total(second, "calls"))
    assert total(second, "calls") == 1


async def test_a_store_that_is_down_holds_up_no_metric_and_is_the_only_one_that_is_waited_for(settings):
    store, told = MemorySink("store"), sink()
    store.down = True
    journalled(settings, "w-1", 1, 2)
    async with recording(settings, store, told) as status:
        await until(lambda: total(told, "calls") == 2)
        await until(lambda: not status.sinks["store"].reachable and status.sinks["prometheus"].reachable)
        assert status.journal_segments == 1
        store.down = False
        await until(lambda: status.journal_segments == 0, limit_s=20)
    assert total(told, "calls") == 2


async def test_the_calls_of_many_processes_come_to_one_sum(settings):
    told = sink()
    async with recording(settings, told):
        for worker in range(4):
            journalled(settings, f"w-{worker}", worker)
        await until(lambda: total(told, "calls") == 4)
