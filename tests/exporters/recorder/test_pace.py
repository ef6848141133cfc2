import asyncio

import pytest

from exporters.recorder import pace as pace_module
from exporters.recorder.pace import Pace
from tests.fakes.until import turn


@pytest.fixture
def pace():
    return Pace()


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(pace_module, "PATIENCE_S", 60.0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(pace_module, "PATIENCE_S", 0.01)


async def keeps(pace, walker):
    """The walker's wait, begun."""
    waiting = asyncio.create_task(pace.keep(walker))
    await turn()
    await turn()
    return waiting


async def test_a_sink_alone_waits_for_nobody(pace):
    walker = pace.join({"w": 3})
    await asyncio.wait_for(pace.keep(walker), 5)
    assert walker.busy


async def test_who_is_ahead_waits_until_the_busy_one_is_there(pace, patient):
    cursors = {"w": 1}
    ahead, behind = pace.join({"w": 2}), pace.join(cursors)
    pace.begin(behind)
    waiting = await keeps(pace, ahead)
    assert not waiting.done()
    assert not ahead.busy
    cursors["w"] = 2
    await asyncio.wait_for(pace.keep(behind), 5)
    await asyncio.wait_for(waiting, 5)
    assert ahead.busy


async def test_who_is_behind_waits_for_nobody(pace, patient):
    ahead, behind = pace.join({"w": 2}), pace.join({"w": 1})
    pace.begin(ahead)
    await asyncio.wait_for(pace.keep(behind), 5)


async def test_who_has_failed_or_has_nothing_to_do_is_not_waited_for(pace, patient):
    ahead, failing = pace.join({"w": 2}), pace.join({"w": 1})
    await asyncio.wait_for(pace.keep(ahead), 5)
    pace.begin(failing)
    waiting = await keeps(pace, ahead)
    assert not waiting.done()
    pace.rest(failing)
    await asyncio.wait_for(waiting, 5)


async def test_two_that_lack_something_of_each_other_do_not_wait_for_ever(pace, patient):
    one, other = pace.join({"w": 2, "x": 1}), pace.join({"w": 1, "x": 2})
    pace.begin(other)
    waiting = await keeps(pace, one)
    assert not waiting.done()
    await asyncio.wait_for(pace.keep(other), 5)
    assert one.busy ^ (not waiting.done())


async def test_who_takes_too_long_is_left_behind_until_it_is_there_by_itself(pace, impatient, monkeypatch):
    cursors = {"w": 1}
    ahead, slow = pace.join({"w": 2}), pace.join(cursors)
    pace.begin(slow)
    await asyncio.wait_for(pace.keep(ahead), 5)
    monkeypatch.setattr(pace_module, "PATIENCE_S", 60.0)
    await asyncio.wait_for(pace.keep(ahead), 5)
    cursors["w"] = 2
    await asyncio.wait_for(pace.keep(ahead), 5)
    cursors["w"] = 1
    waiting = await keeps(pace, ahead)
    assert not waiting.done()
    pace.disband()
    await asyncio.wait_for(waiting, 5)


async def test_after_the_end_nobody_waits(pace, patient):
    ahead, behind = pace.join({"w": 2}), pace.join({"w": 1})
    pace.begin(behind)
    pace.disband()
    await asyncio.wait_for(pace.keep(ahead), 5)
