"""How many work and how many wait."""

import asyncio

import pytest

from exporters.store.errors import StoreError
from exporters.store.slots import Slots
from tests.fakes.until import turn


async def test_a_place_is_waited_for_and_given_in_order():
    slots, order = Slots(1, 10, 5.0), []
    await slots.acquire()

    async def come(name):
        await slots.acquire()
        order.append(name)
        slots.release()

    waiting = [asyncio.create_task(come(name)) for name in "abc"]
    await turn()
    assert order == []
    slots.release()
    await asyncio.gather(*waiting)

    assert order == ["a", "b", "c"]


async def test_too_many_waiting_are_refused_at_once():
    slots = Slots(1, 1, 5.0)
    await slots.acquire()
    waiting = asyncio.create_task(slots.acquire())
    await turn()

    with pytest.raises(StoreError, match="too many waiting"):
        await slots.acquire()
    slots.release()
    await waiting


async def test_nobody_waits_for_ever_and_a_wait_given_up_leaves_its_seat():
    slots = Slots(1, 1, 0.001)
    await slots.acquire()

    for _ in range(3):
        with pytest.raises(StoreError) as caught:
            await slots.acquire()
        assert caught.value.name == "TOO_MANY_SIMULTANEOUS_QUERIES"


async def test_a_place_is_not_lost_with_a_caller_who_leaves():
    slots = Slots(1, 5, 5.0)
    await slots.acquire()
    leaving = asyncio.create_task(slots.acquire())
    await turn()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    slots.release()

    await asyncio.wait_for(slots.acquire(), 1.0)
    slots.release()
    assert leaving.cancelled()


async def test_alone_nobody_else_works_and_who_came_meanwhile_works_after():
    slots, order = Slots(2, 10, 5.0), []
    await slots.acquire()

    async def come(name):
        async with slots.alone():
            order.append(name)
            await turn()
            order.append(name)

    waiting = [asyncio.create_task(come(name)) for name in "ab"]
    await turn()
    assert order == []
    slots.release()
    await asyncio.gather(*waiting)
    assert order == ["a", "a", "b", "b"]
    await slots.acquire()
    await asyncio.wait_for(slots.acquire(), 1.0)


async def test_who_does_not_get_alone_in_time_holds_nothing():
    slots = Slots(2, 10, 0.001)
    await slots.acquire()
    with pytest.raises(StoreError, match="none ended"):
        async with slots.alone():
            raise AssertionError("somebody works")
    await asyncio.wait_for(slots.acquire(), 1.0)
