"""Calls wait for a provider's limit fairly, for a while, and only as long as somebody waits for them."""

import asyncio
from types import SimpleNamespace

import pytest

from policies.compiled import Limit
from policies.demand import Admitted, Demand, Refused
from proxy.core.record import Caller
from proxy.queueing import Waiting

NS = 10**9
DEMAND = Demand(
    counter="limit:rpm",
    family="limit:rpm",
    policy="limit:rpm",
    kind="rate",
    unit="calls",
    amount=1,
    limit=9,
    stated=9,
    per_ns=NS,
)


class Clock:
    """Time that goes on only when everybody waits."""

    def __init__(self):
        self.now_s = 0.0
        self.pausing = []

    async def pause(self, futures, timeout_s):
        wake = asyncio.get_running_loop().create_future()
        entry = (self.now_s + timeout_s, wake)
        self.pausing.append(entry)
        try:
            await asyncio.wait({wake, *futures}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.pausing.remove(entry)

    async def settle(self):
        for _ in range(50):
            await asyncio.sleep(0)

    async def until(self, at_s):
        await self.settle()
        while due := [one for one in self.pausing if one[0] <= at_s]:
            first = min(one[0] for one in due)
            self.now_s = max(self.now_s, first)
            for when, wake in due:
                if when == first and not wake.done():
                    wake.set_result(None)
            await self.settle()
        self.now_s = at_s


class Bucket:
    """One call each second."""

    def __init__(self, clock):
        self.clock = clock
        self.next_s = 1.0
        self.admitted = []
        self.asked = 0

    async def admit(self, call_id, demands, now_ns):
        self.asked += 1
        if self.clock.now_s < self.next_s:
            return Refused(demand=demands[0], frees_at_ns=int(self.next_s * NS))
        self.next_s = self.clock.now_s + 1
        self.admitted.append(call_id)
        return Admitted()


def call(name, key):
    return SimpleNamespace(call_id=name, key=key, caller=Caller(), waits=None, client_gone=False, reasons=[])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bucket(clock):
    return Bucket(clock)


def waiting(clock, bucket, most=100, wait_s=5):
    made = Waiting(bucket, clock=lambda: int(clock.now_s * NS), now_s=lambda: clock.now_s, pause=clock.pause)
    made.install(
        [
            Limit(
                name="rpm",
                policy="limit:rpm",
                unit="calls",
                limit=9,
                per_ns=NS,
                queue_most=most,
                queue_wait_ns=wait_s * NS,
            )
        ]
    )
    return made


async def start(clock, lines, *calls):
    tasks = []
    for one in calls:
        tasks.append(asyncio.ensure_future(lines.admit(one, [DEMAND], 0)))
        await clock.settle()
    return tasks


async def test_callers_take_turns_however_many_calls_one_has_waiting(clock, bucket):
    lines = waiting(clock, bucket)
    tasks = await start(
        clock, lines, call("a1", "a"), call("a2", "a"), call("a3", "a"), call("b1", "b"), call("c1", "c")
    )
    await clock.until(5)
    assert bucket.admitted == ["a1", "a2", "b1", "c1", "a3"]
    assert all(isinstance(task.result(), Admitted) for task in tasks)
    assert not lines.lines


async def test_a_call_waits_no_longer_than_it_may_and_is_told_when_to_come_again(clock, bucket):
    lines = waiting(clock, bucket, wait_s=2)
    calls = [call(f"a{number}", "a") for number in range(4)]
    tasks = await start(clock, lines, *calls)
    await clock.until(2)
    assert bucket.admitted == ["a0", "a1"]
    late = tasks[3].result()
    assert isinstance(late, Refused)
    assert late.frees_at_ns is not None
    assert calls[3].reasons == ["limit:rpm:queued=2.000s"]
    assert not lines.lines


async def test_a_full_line_refuses_at_once(clock, bucket):
    lines = waiting(clock, bucket, most=1)
    first, second = await start(clock, lines, call("a1", "a"), call("a2", "a"))
    assert isinstance(second.result(), Refused)
    assert not first.done()
    await clock.until(1)
    assert isinstance(first.result(), Admitted)


async def test_a_call_whose_app_leaves_is_out_of_the_line(clock, bucket):
    lines = waiting(clock, bucket)
    calls = [call("a1", "a"), call("a2", "a"), call("b1", "b")]
    tasks = await start(clock, lines, *calls)
    for gone in calls[:2]:
        gone.client_gone = True
        gone.waits.set_result(None)
    await clock.settle()
    assert [task.done() for task in tasks] == [True, True, False]
    assert lines.lines["limit:rpm"].size == 1
    await clock.until(1)
    assert bucket.admitted == ["b1"]


async def test_a_task_that_ends_leaves_nothing_in_the_line(clock, bucket):
    lines = waiting(clock, bucket)
    tasks = await start(clock, lines, call("a1", "a"), call("b1", "b"))
    tasks[0].cancel()
    await clock.until(1)
    assert bucket.admitted == ["b1"]
    assert not lines.lines


async def test_nobody_passes_a_line(clock, bucket):
    lines = waiting(clock, bucket)
    await start(clock, lines, call("a1", "a"))
    bucket.next_s = 0.0  # there is room, and the one in front has not asked again
    asked = bucket.asked
    late = await start(clock, lines, call("b1", "b"))
    assert bucket.asked == asked
    assert not late[0].done()
    lines.wake()
    await clock.settle()
    assert bucket.admitted == ["a1"]
    await clock.until(3)
    assert bucket.admitted == ["a1", "b1"]


async def test_what_never_fits_and_what_has_no_queue_is_refused_at_once(clock, bucket):
    lines = waiting(clock, bucket)
    large = DEMAND.__class__(**{name: getattr(DEMAND, name) for name in DEMAND.__struct_fields__} | {"amount": 10})
    assert isinstance(await lines.admit(call("a1", "a"), [large], 0), Refused)
    lines.install([])
    assert isinstance(await lines.admit(call("a2", "a"), [DEMAND], 0), Refused)
