"""Waiting for what another task, thread or process does, with a limit and no fixed pause."""

import asyncio
import threading
import time
from collections.abc import Callable

_LOOK_AGAIN_S = 0.002


async def turn() -> None:
    """Let the event loop go round once."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.call_soon(over.set_result, None)
    await over


async def until(holds: Callable[[], object], limit_s: float = 10.0) -> None:
    """Return as soon as `holds()` is true; fail after `limit_s` seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(limit_s):
        while not holds():
            later: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(_LOOK_AGAIN_S, later.set_result, None)
            try:
                await later
            finally:
                timer.cancel()


def comes_true(holds: Callable[[], object], limit_s: float = 10.0) -> bool:
    """Whether `holds()` becomes true within `limit_s` seconds; for tests without a loop, to be asserted."""
    deadline_s = time.monotonic() + limit_s
    nobody = threading.Event()
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        nobody.wait(_LOOK_AGAIN_S)
    return True
