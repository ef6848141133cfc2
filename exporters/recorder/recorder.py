"""The recorder's loop: a look at the journal five times a second, and each sink at its own pace behind it.

Invariants (each with a test of the same name):
1. No call is lost and none is doubled, whenever this process or any other is killed.
2. A sink that is down costs disk, not memory, and does not hold up the others.
3. One recorder per data folder: a second one waits until the first has ended.

Nothing blocks the loop, which serves the admin port too: files, SQLite, prices and sinks work in threads.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from exporters.journal.archive import Archive
from exporters.journal.files import FileLock
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import Segment, remove_instance
from exporters.recorder.deliver import Delivery
from exporters.recorder.follow import Follower, Found, size_bytes
from exporters.recorder.lane import Lane, set_within
from exporters.recorder.pace import Pace
from exporters.recorder.ports import KnowsProcesses, Pricer, Sink, SinkUnavailableError
from exporters.recorder.relief import BOOKS, Relief
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State
from exporters.recorder.status import RecorderStatus, SinkStatus
from proxy.settings import Settings

POLL_S = 0.2
_EXPIRE_S = 60.0
_QUARANTINE_S = 5.0
_LOCK_POLL_S = 0.1
_LOG = structlog.get_logger()


async def run_recorder(
    settings: Settings,
    pricer: Pricer,
    sinks: Sequence[Sink],
    *,
    stop: asyncio.Event,
    status: RecorderStatus,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Record until `stop` is set; then ship what is sealed by then, for `shutdown_grace_s` at most, and return.

    Args:
        settings: Folders, retention and grace.
        pricer: What attempts cost.
        sinks: Where the calls go; at least one. They are closed at the end.
        stop: Set it when the workers have ended, so that their last segments are shipped too.
        status: Kept true while this runs.
        on_ready: Called once this is the recorder of its data folder.

    Raises:
        OSError, sqlite3.Error: The data folder cannot be used at all.
    """
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    lock = await _wait_for_lock(settings, stop, status)
    if lock is None:
        return
    with lock:
        state = State(settings.run_dir / "recorder.sqlite")
        try:
            recorder = _Recorder(settings, pricer, sinks, state, status)
            on_ready()
            await recorder.run(stop)
        finally:
            state.close()
            status.phase = "stopped"


async def _wait_for_lock(settings: Settings, stop: asyncio.Event, status: RecorderStatus) -> FileLock | None:
    """The lock of the data folder; None when it is time to stop."""
    while (lock := FileLock.take(settings.run_dir / "recorder.lock")) is None:
        if status.phase != "waiting":
            _LOG.warning("another recorder works on this data folder: waiting", folder=str(settings.data_dir))
        status.phase = "waiting"
        if await set_within(stop, _LOCK_POLL_S):
            return None
    return lock


class _Recorder:
    """One run of the recorder."""

    def __init__(
        self, settings: Settings, pricer: Pricer, sinks: Sequence[Sink], state: State, status: RecorderStatus
    ) -> None:
        if not sinks:
            raise ValueError("a recorder needs at least one sink")
        self._journal_dir = settings.journal_dir
        self._grace_s = settings.shutdown_grace_s
        self._state = state
        self._status = status
        self._quarantine = Quarantine(settings.journal_dir)
        segments = PricedSegments(pricer, [sink.name for sink in sinks])
        self._follower = Follower(settings.journal_dir, state, self._quarantine, segments.offer)
        self._archive = Archive(
            settings.journal_dir,
            keep_s=settings.journal_keep_s,
            keep_bytes=settings.journal_keep_bytes,
            min_free_bytes=settings.journal_min_free_bytes,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._lanes: list[Lane] = []
        pace = Pace()
        others = sum(sink.name not in BOOKS for sink in sinks)
        for sink in sinks:
            own = status.sinks.setdefault(sink.name, SinkStatus())
            own.counts = state.counts(sink.name)
            # What is on its way is never given up: together it must leave room for what is not.
            bounded = settings.journal_max_bytes and sink.name not in BOOKS
            max_parcel_bytes = settings.journal_max_bytes // (2 * others) if bounded else None
            delivery = Delivery(sink, segments, state, settings.journal_dir, max_parcel_bytes=max_parcel_bytes)
            self._lanes.append(Lane(delivery, own, self._put_away, pace))
        deliveries = [lane.delivery for lane in self._lanes]
        self._relief = Relief(settings.journal_dir, settings.journal_max_bytes, deliveries, self._put_away)
        self._losing: set[str] = set()
        """Sinks that segments were given up for, and that have not caught up since."""
        status.losses = state.losses()
        self._expired_at_s = self._counted_at_s = float("-inf")
        self._counts_due = True

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then the drain."""
        self._status.phase = "running"
        serving = [asyncio.create_task(lane.serve(), name=f"sink-{lane.name}") for lane in self._lanes]
        try:
            while not stop.is_set():
                await self._look()
                await set_within(stop, POLL_S)
            self._status.phase = "draining"
            await self._look()
            for lane in self._lanes:
                lane.drain()
            await asyncio.wait(serving, timeout=self._grace_s)
            await self._look()
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            for lane in self._lanes:
                lane.close()
            self._thread.shutdown()

    async def _look(self) -> None:
        """One look at the journal, and the status after it. What goes wrong with it now may go well the next time."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._read_and_tidy)
        except (OSError, sqlite3.Error) as error:
            self._trouble(f"journal: {error}")
        else:
            for lane in self._lanes:
                lane.offer(found.read)
            self._tell(found)

    def _every_sink_has_all(self, instance: str, number: int) -> bool:
        return all(lane.delivery.cursors.get(instance, 0) >= number for lane in self._lanes)

    def _put_away(self, segment: Segment) -> int | None:
        """Put a segment away if every sink is done with it; its size then, else None. In any thread."""
        # Two sinks that finish at once both come here with their cursors moved, and the archive takes it once.
        return self._archive.put(segment) if all(lane.delivery.has(segment) for lane in self._lanes) else None

    def _read_and_tidy(self) -> Found:
        """In the reader's thread: read what is new, put away and remove what every sink is done with."""
        found = self._follower.look()
        self._counts_due |= bool(found.new_segments)
        for segment in found.old:
            self._noting(found, partial(self._place, found, segment))
        for instance in found.finished:
            if self._every_sink_has_all(instance, found.read[instance]):
                self._noting(found, partial(self._remove, instance))
        self._noting(found, partial(self._relieve, found))
        self._noting(found, self._archive.relieve)
        self._noting(found, self._count)
        return found

    def _place(self, found: Found, segment: Segment) -> None:
        """A segment of a former run: put away what a kill left behind, count what still waits."""
        if self._put_away(segment) is None:
            found.new_segments += 1
            found.new_bytes += size_bytes(segment)

    def _relieve(self, found: Found) -> None:
        """Near the bound of the journal: give up what the books have and others lack."""
        relieved = self._relief.look(found.read)
        found.new_segments -= len(relieved.put_away_bytes)
        found.new_bytes -= sum(relieved.put_away_bytes)
        for lane in self._lanes:
            if calls := relieved.lost.get(lane.name, 0):
                self._counts_due = True
                lane.status.counts = lane.delivery.counts()
                if lane.name not in self._losing:
                    self._losing.add(lane.name)
                    _LOG.error("the journal is nearly full, a sink loses calls", sink=lane.name, calls=calls)
            elif lane.name in self._losing and not lane.delivery.waiting_segments(found.read):
                self._losing.discard(lane.name)

    def _noting(self, found: Found, work: Callable[[], None]) -> None:
        """Do it; what goes wrong now is told, and tried again at the next look."""
        try:
            work()
        except (OSError, sqlite3.Error, SinkUnavailableError) as error:
            found.errors.append(f"journal: {error}")

    def _remove(self, instance: str) -> None:
        for lane in self._lanes:
            if isinstance(lane.delivery.sink, KnowsProcesses):
                lane.delivery.sink.forget(instance)
        remove_instance(self._journal_dir, instance)
        self._state.forget(instance)

    def _count(self) -> None:
        now_s = time.monotonic()
        if now_s - self._expired_at_s > _EXPIRE_S:
            self._expired_at_s = now_s
            self._archive.expire()
        if now_s - self._counted_at_s > _QUARANTINE_S:
            self._counted_at_s = now_s
            self._status.quarantine = self._quarantine.counts()
        if self._counts_due:
            self._tell_losses(self._state.losses())
            self._status.open_calls = self._state.open_calls()
            self._counts_due = False

    def _tell_losses(self, losses: dict[str, int]) -> None:
        status = self._status
        risen = [reason for reason, count in losses.items() if count > status.losses.get(reason, 0)]
        status.losses_at_ns = status.losses_at_ns | dict.fromkeys(risen, time.time_ns())
        status.losses = losses

    def _tell(self, found: Found) -> None:
        """Bring the status up to date, on the loop."""
        status = self._status
        status.looked_at_ns = time.time_ns()
        status.instances = len(found.read)
        status.journal_segments += found.new_segments
        status.journal_bytes += found.new_bytes
        status.interrupted_calls += found.interrupted
        status.kept_bytes = self._archive.size_bytes
        for lane in self._lanes:
            segments, lane_bytes = lane.take_put_away()
            status.journal_segments -= segments
            status.journal_bytes -= lane_bytes
            lane.tell()
        status.journal_oldest_s = max(lane.status.lag_s for lane in self._lanes)
        for error in found.errors:
            self._trouble(error)

    def _trouble(self, error: str) -> None:
        if error != self._status.last_error:
            _LOG.error("trouble with the journal", error=error)
        self._status.last_error = error
        self._status.last_error_ns = time.time_ns()
