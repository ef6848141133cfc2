"""Takes one sink along the journal: makes parcels of segments, hands their calls over, moves the cursors.

An INSERT costs a store 25 to 55 ms of its processor however few rows it has, so what waits goes together: segments of
all instances, up to a size. The order is what makes it exact: the parcel is noted, the sink gets it, then the cursors
move. After a kill or a failure the very same parcel is offered again, under the same token.

Blocking work for the sink's own thread.
"""

import contextlib
import hashlib
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from exporters.journal.reader import Segment, list_segments
from exporters.recorder.ports import Batch, PricedCall, Sink
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State

MAX_PARCEL_BYTES = 8 * 1024 * 1024
"""Of the segments together, unless one alone is larger: some 5,000 calls, for which 60 MB of memory are needed."""
MAX_PARCEL_SEGMENTS = 64
_AHEAD = 100
"""Segments of an instance looked up at once: a look costs as much as its folder is long."""


class Waiting(msgspec.Struct, frozen=True):
    """A segment that a sink does not have."""

    segment: Segment
    sealed_at_ns: int
    size_bytes: int


class Parcel(msgspec.Struct, frozen=True):
    """Segments that go to a sink together, in order within each instance; at least one."""

    segments: tuple[Segment, ...]
    sealed_at_ns: int
    """When the first of them was sealed, Unix time in nanoseconds."""
    gone: int = 0
    """Further segments that belonged to it and that somebody removed."""

    @property
    def keys(self) -> list[tuple[str, int]]:
        """(instance, number) of each."""
        return [(segment.instance, segment.number) for segment in self.segments]

    @property
    def token(self) -> str:
        """Stands for exactly these segments."""
        tokens = [segment.token for segment in self.segments]
        if len(tokens) == 1:
            return tokens[0]
        return f"{tokens[0]}+{len(tokens) - 1}-{hashlib.sha256(' '.join(tokens).encode()).hexdigest()[:32]}"


class Delivery:
    """One sink on its way along the journal."""

    def __init__(self, sink: Sink, segments: PricedSegments, state: State, journal_dir: Path) -> None:
        self.sink = sink
        self.cursors = state.cursors(sink.name)
        """Instance -> number of the last segment that the sink has."""
        self._segments = segments
        self._state = state
        self._journal_dir = journal_dir
        self._under_way = state.parcel(sink.name)
        self._ahead: deque[Waiting] = deque()

    def next_parcel(self, read: Mapping[str, int]) -> Parcel | None:
        """What the sink is to get next; None when it has all. Raises OSError, sqlite3.Error.

        Args:
            read: Instance -> number of the last segment that was read.
        """
        if self._under_way:
            again = self._found_again(self._under_way)
            self._under_way = []
            if again is not None:
                return again
        if not self._ahead:
            self._ahead.extend(self._waiting(read))
        if not self._ahead:
            return None
        together = _together(self._ahead)
        parcel = Parcel(tuple(waiting.segment for waiting in together), together[0].sealed_at_ns)
        self._state.commit_parcel(self.sink.name, parcel.keys)
        # Only now: were they forgotten before they are noted, a failure in between would step over them.
        for _ in together:
            self._ahead.popleft()
        return parcel

    def deliver(self, parcel: Parcel) -> None:
        """Hand over a parcel and move the cursors.

        Raises SinkUnavailableError, OSError or sqlite3.Error: the same parcel is to be tried again.
        """
        counts: Counter[str] = Counter(segments_gone=parcel.gone)
        calls: list[PricedCall] = []
        for segment in parcel.segments:
            try:
                found = self._segments.get(segment, self.sink.name)
            except FileNotFoundError:
                counts["segments_gone"] += 1
                continue
            counts.update(found.counts)
            calls += found.calls
        if calls:
            first = parcel.segments[0]
            batch = Batch(instance=first.instance, number=first.number, token=parcel.token, calls=calls)
            counts.update(self.sink.deliver(batch))
        # In order within each instance, so the last number of each is what remains.
        self._move(dict(parcel.keys), counts)

    def counts(self) -> dict[str, int]:
        """Everything the sink has counted so far, by name. Raises sqlite3.Error."""
        return self._state.counts(self.sink.name)

    def _found_again(self, keys: list[tuple[str, int]]) -> Parcel | None:
        """The parcel that was under way when the last recorder ended; None when nothing is left of it."""
        segments: list[Segment] = []
        sealed_at_ns: list[int] = []
        for instance, number in keys:
            segment = list_segments(self._journal_dir, instance, after=number - 1).sealed.get(number)
            with contextlib.suppress(FileNotFoundError):
                if segment is not None:
                    sealed_at_ns.append(segment.path.stat().st_mtime_ns)
                    segments.append(segment)
        if not segments:
            return None
        return Parcel(tuple(segments), min(sealed_at_ns), gone=len(keys) - len(segments))

    def _waiting(self, read: Mapping[str, int]) -> list[Waiting]:
        """The next segments for this sink, oldest first."""
        found: list[Waiting] = []
        for instance, last in read.items():
            after = self.cursors.get(instance, 0)
            if after >= last:
                continue
            sealed = list_segments(self._journal_dir, instance, after=after).sealed
            numbers = sorted(number for number in sealed if number <= last)
            if not numbers:
                # Somebody removed them: that is counted, and the journal goes on. A new sink never had them to lose.
                self._move({instance: last}, Counter(segments_gone=last - after) if after else Counter())
            for number in numbers[:_AHEAD]:
                with contextlib.suppress(FileNotFoundError):
                    stat = sealed[number].path.stat()
                    found.append(Waiting(sealed[number], stat.st_mtime_ns, stat.st_size))
        return _merge(found)

    def _move(self, cursors: dict[str, int], counts: Counter[str]) -> None:
        self._state.commit_delivered(self.sink.name, cursors, +counts)
        self.cursors.update(cursors)


def _together(ahead: Iterable[Waiting]) -> list[Waiting]:
    """The first of what waits, as much as goes into one parcel."""
    chosen: list[Waiting] = []
    size_bytes = 0
    for waiting in ahead:
        size_bytes += waiting.size_bytes
        if chosen and (size_bytes > MAX_PARCEL_BYTES or len(chosen) >= MAX_PARCEL_SEGMENTS):
            break
        chosen.append(waiting)
    return chosen


def _merge(found: list[Waiting]) -> list[Waiting]:
    """Oldest first over the instances, in order within each, even where the clock went back."""
    latest: dict[str, int] = {}
    keyed: list[tuple[int, Waiting]] = []
    for waiting in found:
        instance = waiting.segment.instance
        latest[instance] = max(latest.get(instance, 0), waiting.sealed_at_ns)
        keyed.append((latest[instance], waiting))
    keyed.sort(key=lambda pair: pair[0])
    return [waiting for _, waiting in keyed]


def age_s(sealed_at_ns: int) -> float:
    """How long ago that was; 0 where the clock went back."""
    return max(0.0, (time.time_ns() - sealed_at_ns) / 1e9)
