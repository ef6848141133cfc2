"""Makes room in a journal that comes near its bound because of a sink that is slow or dead: calls go on without it.

Invariants (each with a test of the same name):
1. No segment is given up that a sink of the books lacks: store and ledger, on which money rests.
2. Every call that a sink loses is counted, once, by sink and by reason, whatever is killed in between.
3. A parcel that is on its way to a sink is never touched.

The oldest segments go first, for every sink that lacks them, until a good part of the bound is free again. A cursor
that steps over them and the count of their calls are one transaction; only then are the files put away, and those that
a kill leaves behind are put away at the next start, as every sink is done with them.

Blocking work for the thread of the journal's reader.
"""

import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from exporters.journal.reader import Segment, list_segments, read_segment
from exporters.journal.room import waiting
from exporters.recorder.deliver import Delivery, Waiting, merge
from proxy.core.record import CallRecord

BOOKS = frozenset({"clickhouse", "ledger"})
"""The sinks that nothing is ever taken from."""
START_SHARE = 0.75
"""Of the bound: workers measure it some seconds late, and take calls until then."""
END_SHARE = 0.625
MAX_STEP_BYTES = 8 * 1024 * 1024
"""What is given up in one look: it has to be read, for its calls to be counted, and others wait for this thread."""
_AHEAD = 1000
_WALK_SHARE = 50.0
"""A walk over the journal is not taken again before so many times its own duration."""
_LOG = structlog.get_logger()


class Relieved(msgspec.Struct, frozen=True):
    """What one look has done."""

    put_away_bytes: tuple[int, ...] = ()
    """Of each segment that left the journal."""
    lost: Mapping[str, int] = {}
    """Sink -> calls that it will never get."""


NOTHING = Relieved()


class Relief:
    """Keeps what waits for other sinks from taking the room of the books.

    Args:
        journal_dir: The folder of all instances.
        max_bytes: What may wait in the journal; 0 is no limit, and nothing is ever given up.
        deliveries: All sinks.
        put_away: Puts a segment away if every sink has it; its size then, else None.
    """

    def __init__(
        self,
        journal_dir: Path,
        max_bytes: int,
        deliveries: Sequence[Delivery],
        put_away: Callable[[Segment], int | None],
    ) -> None:
        self._journal_dir = journal_dir
        self._max_bytes = max_bytes
        self._books = [delivery for delivery in deliveries if delivery.sink.name in BOOKS]
        self._others = [delivery for delivery in deliveries if delivery.sink.name not in BOOKS]
        self._put_away = put_away
        self._ahead: deque[Waiting] = deque()
        self._done: deque[Segment] = deque()
        """Given up, and not put away yet."""
        self._missing_bytes = 0
        """What has yet to go."""
        self._walk_due_s = 0.0

    def look(self, read: Mapping[str, int]) -> Relieved:
        """Give up as much as has to go, a part of it at a time. Raises OSError, sqlite3.Error.

        Args:
            read: Instance -> number of the last segment that was read.
        """
        if not self._max_bytes or not self._books or not self._others:
            return NOTHING
        self._measure()
        if self._missing_bytes <= 0:
            return NOTHING
        if not self._ahead:
            self._ahead.extend(self._candidates(read))
        return self._give_up(self._step())

    def _measure(self) -> None:
        now_s = time.monotonic()
        if now_s < self._walk_due_s:
            return
        used_s = time.thread_time()
        waiting_bytes, _ = waiting(self._journal_dir)
        self._walk_due_s = now_s + (time.thread_time() - used_s) * _WALK_SHARE
        is_at_it = self._missing_bytes > 0
        if is_at_it or waiting_bytes >= START_SHARE * self._max_bytes:
            self._missing_bytes = waiting_bytes - int(END_SHARE * self._max_bytes)
        if self._missing_bytes <= 0:
            self._ahead.clear()

    def _candidates(self, read: Mapping[str, int]) -> list[Waiting]:
        """What the books have and some other sink has not, oldest first and in order within each instance."""
        found: list[Waiting] = []
        for instance in read:
            last = min(delivery.cursors.get(instance, 0) for delivery in self._books)
            after = min(delivery.reached(instance) for delivery in self._others)
            if after >= last:
                continue
            sealed = list_segments(self._journal_dir, instance, after=after).sealed
            for number in sorted(number for number in sealed if number <= last)[:_AHEAD]:
                try:
                    stat = sealed[number].path.stat()
                except FileNotFoundError:
                    continue
                found.append(Waiting(sealed[number], stat.st_mtime_ns, stat.st_size))
        return merge(found)

    def _step(self) -> list[Segment]:
        chosen: list[Segment] = []
        size_bytes = 0
        while self._ahead and size_bytes < min(self._missing_bytes, MAX_STEP_BYTES):
            waiting_first = self._ahead.popleft()
            size_bytes += waiting_first.size_bytes
            chosen.append(waiting_first.segment)
        return chosen

    def _give_up(self, segments: list[Segment]) -> Relieved:
        lost = [(segment, calls) for segment in segments if (calls := _calls(segment)) is not None]
        by_sink: Counter[str] = Counter()
        try:
            for delivery in self._others:
                by_sink[delivery.sink.name] = delivery.give_up(lost)
        except sqlite3.Error:
            # Some may have stepped over them, others not: what is looked up again begins with them.
            self._ahead.clear()
            raise
        self._done.extend(segment for segment, _ in lost)
        gone_bytes: list[int] = []
        try:
            while self._done:
                if (size_bytes := self._put_away(self._done[0])) is not None:
                    gone_bytes.append(size_bytes)
                self._done.popleft()
        except OSError:
            # They are counted, and go at the next look; the disk that is in trouble is told of by others.
            _LOG.warning("cannot put away what was given up", segments=len(self._done))
        self._missing_bytes -= sum(gone_bytes)
        return Relieved(put_away_bytes=tuple(gone_bytes), lost=+by_sink)


def _calls(segment: Segment) -> int | None:
    """How many calls a segment holds, as a sink would get them; None when it is not there any more."""
    try:
        return sum(isinstance(record, CallRecord) for record in read_segment(segment).records)
    except FileNotFoundError:
        return None
    except OSError:
        # It cannot be read, now or ever, and would be in the way for as long: each line may have been a call.
        return segment.name.lines
