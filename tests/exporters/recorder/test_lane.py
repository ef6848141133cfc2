import asyncio
from contextlib import asynccontextmanager

import pytest

from exporters.journal.reader import add_segment
from exporters.recorder import lane as lane_module
from exporters.recorder.deliver import Delivery
from exporters.recorder.lane import Lane, retry_s, set_within
from exporters.recorder.pace import Pace
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State
from exporters.recorder.status import SinkStatus
from tests.fakes.records import call, call_id
from tests.fakes.sinks import FixedPrices, MemorySink
from tests.fakes.until import until


@pytest.fixture
def journal_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(lane_module, "_FIRST_RETRY_S", 0.01)
    (tmp_path / "w").mkdir()
    return tmp_path


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "recorder.sqlite")
    yield state
    state.close()


@asynccontextmanager
async def serving(journal_dir, state, sink, put_away=lambda _: 7):
    lane = Lane(Delivery(sink, PricedSegments(FixedPrices()), state, journal_dir), SinkStatus(), put_away, Pace())
    task = asyncio.create_task(lane.serve())
    yield lane
    lane.drain()
    await asyncio.wait_for(task, 5)
    lane.close()


def put(journal_dir, *numbers):
    for number in numbers:
        add_segment(journal_dir, "w", number, [call(number)])


async def test_everything_that_is_offered_is_delivered_in_order(journal_dir, state):
    put(journal_dir, 1, 2, 3)
    sink = MemorySink()
    async with serving(journal_dir, state, sink) as lane:
        lane.offer({"w": 2})
        await until(lambda: len(sink.calls) == 2)
        lane.offer({"w": 3})
        await until(lambda: lane.status.delivered_segments == 3)
        assert lane.status.reachable
    assert sink.calls == [call_id(number) for number in (1, 2, 3)]
    assert lane.take_put_away() == (3, 21)
    assert lane.take_put_away() == (0, 0)


async def test_a_sink_is_checked_before_anything_is_there(journal_dir, state):
    sink = MemorySink()
    async with serving(journal_dir, state, sink) as lane:
        await until(lambda: lane.status.reachable)
    assert (sink.checks, sink.batches) == (1, [])


async def test_a_quiet_sink_is_checked_from_time_to_time(journal_dir, state, monkeypatch):
    monkeypatch.setattr(lane_module, "_CHECK_S", 0.01)
    sink = MemorySink()
    async with serving(journal_dir, state, sink) as lane:
        await until(lambda: sink.checks > 2)
        sink.down = True
        await until(lambda: lane.status.reachable is False)
        sink.down = False
        await until(lambda: lane.status.reachable)
    assert lane.status.last_error == "down"
    assert lane.status.failures == 0


async def test_a_sink_that_is_down_is_tried_again_until_it_takes_everything(journal_dir, state):
    put(journal_dir, 1, 2)
    sink = MemorySink()
    async with serving(journal_dir, state, sink) as lane:
        await until(lambda: lane.status.reachable)
        sink.down = True
        lane.offer({"w": 2})
        await until(lambda: lane.status.failures > 2)
        lane.tell()
        assert lane.status.waiting_segments == 2
        assert lane.status.lag_s > 0
        assert lane.status.retry_at_ns is not None
        sink.down = False
        await until(lambda: len(sink.calls) == 2)
        await until(lambda: lane.status.failures == 0)
        lane.tell()
        assert (lane.status.waiting_segments, lane.status.lag_s, lane.status.retry_at_ns) == (0, 0.0, None)


async def test_the_mistake_of_a_sink_is_a_failure_like_any_other(journal_dir, state):
    put(journal_dir, 1)
    sink = MemorySink()
    sink.broken = True
    async with serving(journal_dir, state, sink) as lane:
        lane.offer({"w": 1})
        await until(lambda: lane.status.failures > 1)
        assert lane.status.last_error == "broken"
        sink.broken = False
        await until(lambda: sink.calls)


async def test_a_drain_delivers_what_was_offered(journal_dir, state):
    put(journal_dir, *range(1, 21))
    sink = MemorySink()
    async with serving(journal_dir, state, sink) as lane:
        lane.offer({"w": 20})
    assert len(sink.calls) == 20


async def test_a_drain_does_not_wait_for_a_sink_that_is_down(journal_dir, state, monkeypatch):
    monkeypatch.setattr(lane_module, "_FIRST_RETRY_S", 60.0)
    monkeypatch.setattr(lane_module, "_LAST_RETRY_S", 60.0)
    put(journal_dir, 1)
    sink = MemorySink()
    sink.down = True
    async with serving(journal_dir, state, sink) as lane:
        lane.offer({"w": 1})
        await until(lambda: lane.status.failures)
    assert sink.calls == []


async def test_the_sink_is_closed_with_its_lane(journal_dir, state):
    sink = MemorySink()
    async with serving(journal_dir, state, sink):
        pass
    await until(lambda: sink.closed)
    assert sink.calls == []


async def test_segments_that_cannot_be_put_away_are_not_delivered_again_and_put_away_later(journal_dir, state):
    put(journal_dir, 1)
    sink, full = MemorySink(), [True]

    def put_away(_):
        if full[0]:
            raise OSError("disk full")
        return 7

    async with serving(journal_dir, state, sink, put_away) as lane:
        lane.offer({"w": 1})
        await until(lambda: "disk full" in lane.status.last_error)
        full[0] = False
        put(journal_dir, 2)
        lane.offer({"w": 2})
        await until(lambda: lane.status.delivered_segments == 2)
        assert lane.take_put_away() == (2, 14)
        assert lane.status.failures == 0
    assert len(sink.batches) == 2


def test_retries_come_later_and_later_and_never_all_at_once():
    assert all(0.1 <= retry_s(1) <= 0.2 for _ in range(100))
    assert all(5.0 <= retry_s(failures) <= 10.0 for failures in (7, 50, 10**6))
    assert len({retry_s(3) for _ in range(20)}) > 1


async def test_waiting_for_an_event_ends_with_it_or_with_the_time():
    event = asyncio.Event()
    assert not await set_within(event, 0.0)
    event.set()
    assert await set_within(event, 60.0)


async def test_a_sink_that_takes_its_batches_may_be_in_trouble(journal_dir, state):
    class Troubled(MemorySink):
        trouble = "nobody hears it"

    sink = Troubled()
    put(journal_dir, 1)
    async with serving(journal_dir, state, sink) as lane:
        lane.offer({"w": 1})
        await until(lambda: sink.calls)
        lane.tell()
        assert lane.status.trouble == "nobody hears it"
