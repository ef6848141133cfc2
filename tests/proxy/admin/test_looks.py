import asyncio
import threading

import pytest

from proxy.admin.looks import Looks, age_s
from tests.fakes.statuses import WELL, status


class Held:
    """A look that lasts until it is let go."""

    def __init__(self):
        self.looks = 0
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self):
        self.looks += 1
        self.began.set()
        assert self.go.wait(10)
        return status(at_s=float(self.looks))


async def test_whoever_asks_during_a_look_gets_what_it_finds():
    held = Held()
    looks = Looks(held)
    asked = [asyncio.create_task(looks.now()) for _ in range(20)]
    await asyncio.to_thread(held.began.wait, 10)
    held.go.set()
    assert {found.at_s for found in await asyncio.gather(*asked)} == {1.0}
    assert held.looks == 1
    assert (await looks.now()).at_s == 2.0


async def test_one_who_stops_waiting_takes_nothing_from_the_others():
    held = Held()
    looks = Looks(held)
    leaving, staying = asyncio.create_task(looks.now()), asyncio.create_task(looks.now())
    await asyncio.to_thread(held.began.wait, 10)
    leaving.cancel()
    held.go.set()
    assert (await staying).at_s == 1.0
    assert leaving.cancelled() or leaving.cancelling()


async def test_a_look_that_takes_too_long_leaves_what_the_last_one_found():
    held = Held()
    looks = Looks(held)
    assert await looks.within(0.0) is None
    held.go.set()
    assert (await looks.now()).at_s == 1.0
    held.go.clear()
    assert (await looks.within(0.0)).at_s == 1.0
    held.go.set()
    assert (await looks.now()).at_s == 2.0


async def test_a_look_that_is_done_in_time_is_fresh():
    held = Held()
    held.go.set()
    looks = Looks(held)
    assert (await looks.within(10.0)).at_s == 1.0
    assert (await looks.within(10.0)).at_s == 2.0


async def test_a_look_that_fails_fails_for_who_asked_and_not_for_a_scrape():
    def broken():
        raise ZeroDivisionError

    looks = Looks(broken)
    with pytest.raises(ZeroDivisionError):
        await looks.now()
    assert await looks.within(10.0) is None


def test_a_status_of_the_future_is_of_no_age():
    assert age_s(status(at_s=9e12)) == 0.0
    assert age_s(WELL) > 0.0
