"""Looks at the status, one at a time: whoever asks while one is under way gets what it finds.

A look asks the store, and a store that hangs keeps it waiting for seconds. Were every request a look of its own, a
probe each second would soon hold every thread of the process.
"""

import asyncio
import time
from collections.abc import Callable

from proxy.admin.status import Status


class Looks:
    """The looks of one process.

    Args:
        look: Gathers the status; it blocks, and is called in a thread.
    """

    def __init__(self, look: Callable[[], Status]) -> None:
        self._look = look
        self._under_way: asyncio.Task[Status] | None = None
        self._last: Status | None = None

    async def now(self) -> Status:
        """The status as a look finds it that ends from now on. Raises what the look raises."""
        # Shielded: one who stops waiting must not take the answer away from the others.
        return await asyncio.shield(self._started())

    async def within(self, limit_s: float) -> Status | None:
        """The same if it takes no longer than that, else what the last look has found; None when there was none."""
        task = self._started()
        await asyncio.wait({task}, timeout=limit_s)
        return self._last

    def _started(self) -> asyncio.Task[Status]:
        task = self._under_way
        if task is None or task.done():
            task = self._under_way = asyncio.create_task(self._found(), name="look")
        return task

    async def _found(self) -> Status:
        self._last = await asyncio.to_thread(self._look)
        return self._last


def age_s(status: Status) -> float:
    """How old a status is; 0 where the clock went back."""
    return max(0.0, time.time() - status.at_s)
