import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from exporters.journal import room
from exporters.journal.files import FileLock
from exporters.journal.reader import add_segment
from exporters.journal.room import Limits
from exporters.journal.writer import Journal
from exporters.recorder import lane as lane_module
from exporters.recorder.ports import SinkUnavailableError
from exporters.recorder.recorder import run_recorder
from exporters.recorder.state import State, memory_on_disk
from exporters.recorder.status import RecorderStatus
from proxy.core.record import Draw
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.records import call, call_id, opened
from tests.fakes.sinks import FixedPrices, MemorySink
from tests.fakes.until import until


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(lane_module, "_FIRST_RETRY_S", 0.01)
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
    stop, status, ready = asyncio.Event(), RecorderStatus(), asyncio.Event()
    task = asyncio.create_task(
        run_recorder(settings, FixedPrices(), sinks, stop=stop, status=status, on_ready=ready.set)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield status
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def journal(settings, instance="w", **more):
    return Journal(settings.journal_dir, instance, segment_bytes=1, **more)


def in_journal(settings):
    return sorted(path.name for path in settings.journal_dir.iterdir() if not path.name.startswith("."))


async def test_a_call_comes_from_the_journal_to_the_sink(settings):
    sink = MemorySink()
    async with recording(settings, sink) as status:
        assert status.phase == "running"
        writer = journal(settings)
        writer.open_call(opened(1))
        writer.close_call(call(1))
        await until(lambda: sink.calls == [call_id(1)])
        await until(lambda: status.sinks["memory"].counts == {"calls": 1})
        writer.close()
    assert status.phase == "stopped"
    assert sink.closed


async def test_the_last_segments_are_shipped_when_it_stops(settings):
    sink = MemorySink()
    async with recording(settings, sink):
        writer = journal(settings)
        for number in range(1, 11):
            writer.close_call(call(number))
        writer.close()
    assert sink.calls == [call_id(number) for number in range(1, 11)]
    assert in_journal(settings) == []


async def test_a_later_recorder_goes_on_where_the_former_one_ended(settings):
    sink = MemorySink()
    writer = journal(settings)
    for number in range(1, 5):
        async with recording(settings, sink):
            writer.close_call(call(number))
            await until(lambda count=number: len(sink.calls) == count)
    assert [batch.number for batch in sink.batches] == [1, 2, 3, 4]
    writer.close()


async def test_calls_of_a_dead_process_reach_the_sink_as_interrupted(settings):
    sink = MemorySink()
    writer = journal(settings)
    writer.open_call(opened(1))
    writer.close()
    async with recording(settings, sink) as status:
        await until(lambda: sink.calls)
        await until(lambda: in_journal(settings) == [])
    assert sink.batches[0].calls[0].call.outcome == "interrupted"
    assert status.interrupted_calls == 1
    assert status.open_calls == 0


async def test_a_sink_that_is_down_does_not_hold_up_the_others(settings):
    good, bad = MemorySink("good"), MemorySink("bad")
    bad.down = True
    async with recording(settings, good, bad) as status:
        writer = journal(settings)
        for number in range(1, 6):
            writer.close_call(call(number))
        await until(lambda: len(good.calls) == 5)
        await until(lambda: status.sinks["bad"].waiting_segments == 5)
        await until(lambda: status.sinks["good"].waiting_segments == 0)
        assert status.journal_segments == 5
        assert status.journal_bytes > 0
        await until(lambda: status.journal_oldest_s > 0)
        assert status.sinks["bad"].last_error == "down"
        bad.down = False
        await until(lambda: len(bad.calls) == 5)
        await until(lambda: (status.journal_segments, status.journal_bytes) == (0, 0))
        writer.close()
    assert good.calls == bad.calls


@pytest.mark.real
async def test_a_sink_that_stays_dead_costs_no_calls_at_the_bound_of_the_journal(settings, monkeypatch):
    # A bound that is used up in a second: it has to be measured more often than that.
    for pause in ("_WALK_S", "_WALK_SHARE", "_WALK_SHARE_WHEN_FULL"):
        monkeypatch.setattr(room, pause, 0.0)
    settings = structs.replace(settings, journal_max_bytes=1_000_000, journal_on_full="refuse")
    store, ledger, hook = MemorySink("clickhouse"), MemorySink("ledger"), MemorySink("webhook-gone")
    hook.down = True
    limits = Limits(max_bytes=settings.journal_max_bytes, on_full="refuse")
    writer = Journal(settings.journal_dir, "w", segment_bytes=10_000, limits=limits)
    with capture_logs() as logs:
        async with recording(settings, store, ledger, hook) as status:
            refused = 0
            for number in range(1500):
                refused += bool(writer.full)
                writer.open_call(opened(number))
                writer.close_call(call(number))
                if number % 100 == 99:
                    writer.tick()
                    await until(lambda sent=number: len(store.calls) > sent - 50)
                    # As a worker does between two calls of this pace: it looks again once room was made.
                    await until(lambda: status.journal_bytes < 0.8 * settings.journal_max_bytes)
                    writer.tick()
            writer.close()
            await until(lambda: len(store.calls) == len(ledger.calls) == 1500)
            await until(lambda: status.losses.get("given_up"))
            assert refused == 0
            hook.down = False
            await until(lambda: in_journal(settings) == [])
    given_up = status.sinks["webhook-gone"].counts["given_up"]
    assert 0 < given_up == 1500 - len(set(hook.calls)) == status.losses["given_up"]
    assert [line["sink"] for line in logs if "loses calls" in line["event"]] == ["webhook-gone"]
    assert memory_on_disk(settings.run_dir / "recorder.sqlite").counts["webhook-gone"]["given_up"] == given_up


async def test_a_segment_that_every_sink_has_leaves_the_journal(settings):
    one, two = MemorySink("one"), MemorySink("two")
    async with recording(settings, one, two) as status:
        writer = journal(settings)
        writer.close_call(call(1))
        await until(lambda: one.calls and two.calls)
        await until(lambda: list((settings.journal_dir / "w").glob("*.jsonl")) == [])
        await until(lambda: status.kept_bytes > 0)
        writer.close()
    assert len(list((settings.journal_dir / ".shipped").rglob("*.jsonl"))) == 1


async def test_a_segment_that_a_kill_left_behind_is_put_away(settings):
    (settings.journal_dir / "w").mkdir(parents=True)
    add_segment(settings.journal_dir, "w", 1, [call(1)])
    settings.run_dir.mkdir()
    state = State(settings.run_dir / "recorder.sqlite")
    state.commit_read("w", 1, opened={}, closed=[], losses={})
    state.commit_delivered("memory", {"w": 1}, {"calls": 1})
    state.close()
    sink = MemorySink()
    async with recording(settings, sink) as status:
        await until(lambda: in_journal(settings) == [])
        assert status.journal_segments == 0
    assert sink.batches == []


async def test_a_second_recorder_waits_until_the_first_has_ended(settings):
    first, second = MemorySink(), MemorySink()
    writer = journal(settings)
    stop, status = asyncio.Event(), RecorderStatus()
    async with recording(settings, first):
        waiting = asyncio.create_task(run_recorder(settings, FixedPrices(), [second], stop=stop, status=status))
        await until(lambda: status.phase == "waiting")
        writer.close_call(call(1))
        await until(lambda: first.calls)
    await until(lambda: status.phase == "running")
    writer.close_call(call(2))
    await until(lambda: second.calls)
    stop.set()
    await waiting
    assert (first.calls, second.calls) == ([call_id(1)], [call_id(2)])
    writer.close()


async def test_a_recorder_that_waits_can_be_stopped(settings):
    settings.run_dir.mkdir(parents=True)
    stop, status, sink = asyncio.Event(), RecorderStatus(), MemorySink()
    with FileLock.take(settings.run_dir / "recorder.lock"):
        waiting = asyncio.create_task(run_recorder(settings, FixedPrices(), [sink], stop=stop, status=status))
        await until(lambda: status.phase == "waiting")
        stop.set()
        await asyncio.wait_for(waiting, 5)
        assert FileLock.take(settings.run_dir / "recorder.lock") is None, "it was never its turn"
    assert sink.calls == []


async def test_a_recorder_needs_a_sink(settings):
    with pytest.raises(ValueError, match="at least one sink"):
        await run_recorder(settings, FixedPrices(), [], stop=asyncio.Event(), status=RecorderStatus())


async def test_losses_and_quarantine_are_told(settings):
    writer = journal(settings)
    writer.lose("odd", 3)
    writer.close_call(call(1))
    writer.close()
    path = next((settings.journal_dir / "w").glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b"{half")
    async with recording(settings, MemorySink()) as status:
        await until(lambda: status.losses.get("odd") == 3)
        await until(lambda: status.quarantine == {"damaged": 1})
    assert status.losses == {"odd": 3, "segment_damaged": 1}
    assert set(status.losses_at_ns) == {"odd", "segment_damaged"}


async def test_losses_of_a_former_run_are_not_fresh(settings):
    settings.run_dir.mkdir()
    state = State(settings.run_dir / "recorder.sqlite")
    state.commit_read("gone", 1, opened={}, closed=[], losses={"odd": 2})
    state.close()
    async with recording(settings, MemorySink()) as status:
        await until(lambda: status.looked_at_ns)
    assert (status.losses, status.losses_at_ns) == ({"odd": 2}, {})


async def test_trouble_with_the_state_is_told_and_passes(settings, monkeypatch):
    sink = MemorySink()
    async with recording(settings, sink) as status:
        with monkeypatch.context() as patched:
            patched.setattr(State, "losses", lambda _: (_ for _ in ()).throw(OSError("disk full")))
            writer = journal(settings)
            writer.lose("odd")
            writer.tick()
            writer.close_call(call(1))
            await until(lambda: "disk full" in status.last_error)
            await until(lambda: sink.calls)
        await until(lambda: status.losses == {"odd": 1})
        writer.close()
    assert len(sink.calls) == 1


async def test_nothing_is_remembered_of_processes_that_are_done(settings):
    sink = MemorySink()
    async with recording(settings, sink) as status:
        for number in range(3):
            writer = journal(settings, f"w{number}")
            writer.close_call(call(number))
            writer.close()
        await until(lambda: len(sink.calls) == 3)
        await until(lambda: status.instances == 0)
    state = State(settings.run_dir / "recorder.sqlite")
    assert state.known_instances() == set()
    assert state.counts("memory") == {"calls": 3}
    state.close()


class ForgetfulSink(MemorySink):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.forgotten = []

    def deliver(self, batch):
        self.seen += [(priced.instance, priced.call.draws) for priced in batch.calls]
        return super().deliver(batch)

    def forget(self, instance):
        if not self.forgotten:
            self.forgotten.append("refused once")
            raise SinkUnavailableError("not now")
        self.forgotten.append((instance, len(self.seen)))


async def test_a_sink_hears_that_a_process_is_gone_after_it_has_all_of_its_calls(settings):
    sink, draw = ForgetfulSink(), Draw(counter="b", unit="USD", held=5)
    writer = journal(settings, "dead")
    writer.open_call(structs.replace(opened(1), draws=(draw,)))
    writer.close()
    async with recording(settings, sink):
        await until(lambda: sink.forgotten == ["refused once", ("dead", 1)])
    assert sink.seen == [("dead", (draw,))]
