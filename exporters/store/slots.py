"""How many statements work at once, and how many may wait for their turn."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from exporters.store.errors import TOO_MANY_SIMULTANEOUS_QUERIES, StoreError


class Slots:
    """A fixed number of places, given out in the order of asking."""

    def __init__(self, running: int, waiting: int, wait_s: float) -> None:
        """`running` places, `waiting` more callers that may queue, each for `wait_s` seconds at most."""
        self._places = asyncio.Semaphore(running)
        self._running = running
        self._lonely = asyncio.Lock()
        self._free_seats = waiting
        self._wait_s = wait_s

    async def acquire(self) -> None:
        """Take a place. Raises StoreError when too many wait already or the wait is too long."""
        if self._places.locked():
            if self._free_seats == 0:
                raise StoreError(TOO_MANY_SIMULTANEOUS_QUERIES, "Too many simultaneous queries, and too many waiting")
            self._free_seats -= 1
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._places.acquire()
            except TimeoutError:
                detail = f"Too many simultaneous queries: none ended within {self._wait_s:.0f} seconds"
                raise StoreError(TOO_MANY_SIMULTANEOUS_QUERIES, detail) from None
            finally:
                self._free_seats += 1
        else:
            await self._places.acquire()

    def release(self) -> None:
        """Give a place back."""
        self._places.release()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """All places at once: nobody works during the block, and who comes meanwhile waits. Raises StoreError.

        One at a time: two who each held some places would wait for each other.
        """
        async with self._lonely:
            held = 0
            try:
                while held < self._running:
                    await self.acquire()
                    held += 1
                yield
            finally:
                for _ in range(held):
                    self.release()
