"""Waiting for what another task or process does, with a limit and no fixed pause."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], limit_s: float = 10.0) -> None:
    """Return as soon as `holds()` is true; fail after `limit_s` seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(limit_s):
        while not holds():
            turn: asyncio.Future[None] = loop.create_future()
            loop.call_later(0.002, turn.set_result, None)
            await turn
