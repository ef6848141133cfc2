"""One sink with a thread of its own: it goes along the journal at its own pace, and tries again when it must.

A failed try is repeated later and later, up to ten seconds, and never quite at the same distance, so that many
recorders do not come back to a store as one. Nothing is given up: what cannot be delivered waits on the disk.
"""

import asyncio
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog

from exporters.journal.reader import Segment
from exporters.recorder.deliver import Delivery, Parcel, age_s
from exporters.recorder.pace import Pace
from exporters.recorder.ports import HasTrouble, SinkUnavailableError
from exporters.recorder.status import SinkStatus

_T = TypeVar("_T")
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 10.0
_CHECK_S = 10.0
_MAX_DONE = 10_000
"""Shipped segments that are remembered to be put away; any further ones are found at the next start."""
_LOG = structlog.get_logger()


class Lane:
    """One sink on its way.

    Args:
        delivery: The blocking work.
        status: Kept true while the lane serves.
        put_away: Called in the lane's thread with every segment that was delivered; its size in bytes if it left the
            journal, else None.
        pace: Of all sinks together.
    """

    def __init__(
        self, delivery: Delivery, status: SinkStatus, put_away: Callable[[Segment], int | None], pace: Pace
    ) -> None:
        self.delivery = delivery
        self.status = status
        self.name = delivery.sink.name
        self._put_away = put_away
        self._pace = pace
        self._walker = pace.join(delivery.cursors)
        self._read: Mapping[str, int] = {}
        self._parcel: Parcel | None = None
        """What the sink is being given; the same until it has it."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{self.name}")
        self._wake = asyncio.Event()
        self._draining = asyncio.Event()
        self._checked = False
        self._gone: list[int] = []
        self._done: deque[Segment] = deque(maxlen=_MAX_DONE)

    def offer(self, read: Mapping[str, int]) -> None:
        """Say up to which segment of each instance there is something to deliver."""
        self._read = read
        if self._is_behind():
            self._wake.set()

    def drain(self) -> None:
        """Deliver what was offered, and end then, or at the first failure."""
        self._draining.set()
        self._pace.disband()
        self._wake.set()

    def close(self) -> None:
        """Close the sink, unless it hangs in a delivery: that one is offered again at the next start."""
        self._thread.submit(self.delivery.sink.close)
        self._thread.shutdown(wait=False)

    def tell(self) -> None:
        """Bring the status up to date."""
        self.status.lag_s = age_s(self._parcel.sealed_at_ns) if self._parcel else 0.0
        self.status.waiting_segments = self.delivery.waiting_segments(self._read)
        if isinstance(self.delivery.sink, HasTrouble):
            self.status.trouble = self.delivery.sink.trouble

    def take_put_away(self) -> tuple[int, int]:
        """Segments and bytes that left the journal since this was last asked."""
        gone, self._gone = self._gone, []
        return len(gone), sum(gone)

    async def serve(self) -> None:
        """Go along the journal until the drain is done."""
        while True:
            try:
                await self._advance()
            except (SinkUnavailableError, OSError, sqlite3.Error) as error:
                ended = await self._failed(error)
            except Exception as error:  # noqa: BLE001 - the mistake of one sink must not end the others
                if self._is_news(error):
                    _LOG.exception("a mistake of the sink", sink=self.name)
                ended = await self._failed(error)
            else:
                ended = await self._rest()
            if ended:
                return

    async def _advance(self) -> None:
        """Check the sink if that is due, then deliver everything there is."""
        self._pace.begin(self._walker)
        # First, so that the lag is told even of a sink that was never there.
        await self._look_ahead()
        if not self._checked:
            await self._in_thread(self.delivery.sink.check)
            self._checked = True
            if self._parcel is None:
                # Where something waits, only its delivery shows that the sink works.
                self._works()
        while (parcel := self._parcel) is not None:
            await self._pace.keep(self._walker)
            await self._in_thread(partial(self._deliver, parcel))
            self._parcel = None
            self._works()
            self.status.delivered_segments += len(parcel.segments)
            self.status.last_delivered_ns = time.time_ns()
            await self._look_ahead()
        self._pace.rest(self._walker)

    async def _look_ahead(self) -> None:
        if self._parcel is None:
            self._parcel = await self._in_thread(lambda: self.delivery.next_parcel(self._read))

    def _deliver(self, parcel: Parcel) -> None:
        self.delivery.deliver(parcel)
        self._done.extend(parcel.segments)
        self.status.counts = self.delivery.counts()
        try:
            while self._done:
                size_bytes = self._put_away(self._done[0])
                self._done.popleft()
                if size_bytes is not None:
                    self._gone.append(size_bytes)
        except OSError as error:
            # The sink has them: they only lie in the way, until the next time.
            self.status.last_error = f"cannot put shipped segments away: {error}"
            self.status.last_error_ns = time.time_ns()

    async def _rest(self) -> bool:
        """Wait for more; True when there is to be none."""
        if self._draining.is_set():
            return True
        self._checked = await set_within(self._wake, _CHECK_S)
        self._wake.clear()
        return False

    async def _failed(self, error: Exception) -> bool:
        """Wait until the next try is due; True when there is to be none."""
        status = self.status
        self._pace.rest(self._walker)
        if self._is_news(error):
            _LOG.warning("sink takes nothing", sink=self.name, error=str(error))
        self._checked = False
        status.reachable = False
        status.failures += 1
        status.last_error = str(error)
        status.last_error_ns = time.time_ns()
        if self._draining.is_set():
            return True
        delay_s = retry_s(status.failures)
        status.retry_at_ns = time.time_ns() + int(delay_s * 1e9)
        await set_within(self._draining, delay_s)
        return False

    def _is_news(self, error: Exception) -> bool:
        return not self.status.failures or self.status.last_error != str(error)

    def _works(self) -> None:
        if self.status.failures:
            _LOG.info("sink takes rows again", sink=self.name, failures=self.status.failures)
        self.status.reachable = True
        self.status.failures = 0
        self.status.retry_at_ns = None

    def _is_behind(self) -> bool:
        cursors = self.delivery.cursors
        return any(cursors.get(instance, 0) < last for instance, last in self._read.items())

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def retry_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    delay_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 16))
    return delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it


async def set_within(event: asyncio.Event, delay_s: float) -> bool:
    """Wait for the event, but no longer than that; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), delay_s)
    except TimeoutError:
        return False
    return True
