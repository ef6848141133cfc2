"""Takes one sink along the journal: makes parcels of segments, hands their calls over, moves the cursors.

An INSERT costs a store 25 to 55 ms of its processor however few rows it has, so what waits goes together: segments of
all instances, up to a size. The order is what makes it exact: the parcel is noted, the sink gets it, then the cursors
move. After a kill or a failure the very same parcel is offered again, under the same token.

What a sink is to get may be given up while it is behind (`exporters.recorder.relief`): that is counted in the
transaction in which it is stepped over, and never touches a parcel that is on its way.

Blocking work for the sink's own thread; segments are given up in that of the journal's reader.
"""

import contextlib
import hashlib
import threading
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
GIVEN_UP = "given_up"
"""Counted by a sink, and as a loss: calls that it will never get, as the journal had no room for them any longer."""
_AHEAD = 100
"""Segments of an instance looked up at once: a look costs as much as its folder is long."""


class Waiting(msgspec.Struct, frozen=True):
    """A segment that a sink does not have."""

    segment: Segment
    sealed_at_ns: int
    size_bytes: int
    gone: int = 0
    """Segments of its instance right before it that somebody removed."""


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

    def __init__(
        self,
        sink: Sink,
        segments: PricedSegments,
        state: State,
        journal_dir: Path,
        *,
        max_parcel_bytes: int | None = None,
    ) -> None:
        self.sink = sink
        self.cursors = state.cursors(sink.name)
        """Instance -> number of the last segment that the sink has, or will never get."""
        self._max_parcel_bytes = max_parcel_bytes
        self._lock = threading.Lock()
        """Over what is on its way and what is given up, never while the sink is at work."""
        self._passed = state.passed(sink.name)
        self._segments = segments
        self._state = state
        self._journal_dir = journal_dir
        self._under_way = state.parcel(sink.name)
        self._held = _by_instance(self._under_way)
        self._ahead: deque[Waiting] = deque()

    def next_parcel(self, read: Mapping[str, int]) -> Parcel | None:
        """What the sink is to get next; None when it has all. Raises OSError, sqlite3.Error.

        Args:
            read: Instance -> number of the last segment that was read.
        """
        if self._under_way:
            again = self._found_again(self._under_way)
            if again is None:
                self._let_go()
            self._under_way = []
            if again is not None:
                return again
        if not self._ahead:
            self._ahead.extend(self._waiting(read))
        with self._lock:
            for waiting in [waiting for waiting in self._ahead if self._has(waiting.segment)]:
                self._ahead.remove(waiting)
            if not self._ahead:
                return None
            together = _together(self._ahead, self._max_parcel_bytes)
            parcel = Parcel(
                tuple(waiting.segment for waiting in together),
                together[0].sealed_at_ns,
                gone=sum(waiting.gone for waiting in together),
            )
            self._state.commit_parcel(self.sink.name, parcel.keys)
            self._held = _by_instance(parcel.keys)
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
        reached = {name: max(0, number, *self._held.get(name, ())) for name, number in dict(parcel.keys).items()}
        with self._lock:
            self._commit(reached, counts)

    def has(self, segment: Segment) -> bool:
        """Whether the sink has a segment, or will never get it: as far as it is concerned, it may be put away."""
        with self._lock:
            return self._has(segment)

    def reached(self, instance: str) -> int:
        """Number of the segment of an instance up to which the sink has each, is being given it, or never will be."""
        return max(self.cursors.get(instance, 0), self._passed.get(instance, 0), *self._held.get(instance, ()))

    def waiting_segments(self, read: Mapping[str, int]) -> int:
        """How many segments the sink is yet to get, of those that were read."""
        total = 0
        for instance, last in read.items():
            cursor, passed = self.cursors.get(instance, 0), self._passed.get(instance, 0)
            total += max(0, last - max(cursor, passed))
            if passed > cursor:
                total += len(self._held.get(instance, ()))
        return total

    def give_up(self, lost: Iterable[tuple[Segment, int]]) -> int:
        """Step over segments for good, but for those on their way to the sink; the calls that it loses by that.

        Args:
            lost: Segments and how many calls each holds: of each instance, in order, all that are there behind
                `reached`. Those that the sink has are left alone.

        Raises sqlite3.Error: nothing is given up then.
        """
        with self._lock:
            marks: dict[str, int] = {}
            counts: Counter[str] = Counter()
            for segment, calls in lost:
                instance, number = segment.instance, segment.number
                before = marks.get(instance, self.reached(instance))
                if number > before:
                    # A new sink never had those to lose that were put away before it.
                    counts["segments_gone"] += number - before - 1 if before else 0
                    counts[GIVEN_UP] += calls
                    counts["given_up_segments"] += 1
                    marks[instance] = number
            if not marks:
                return 0
            cursors = {name: number for name, number in marks.items() if name not in self._held}
            passed = {name: number for name, number in marks.items() if name in self._held}
            losses = +Counter({GIVEN_UP: counts[GIVEN_UP]})
            self._state.commit_given_up(self.sink.name, cursors=cursors, passed=passed, counts=+counts, losses=losses)
            self.cursors.update(cursors)
            self._passed.update(passed)
            return counts[GIVEN_UP]

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
        # Of an instance that is gone as a whole the cursor stays: it may come back.
        left = {segment.instance for segment in segments}
        gone = sum(instance in left for instance, _ in keys) - len(segments)
        return Parcel(tuple(segments), min(sealed_at_ns), gone=gone)

    def _let_go(self) -> None:
        """Nothing is left of the parcel under way: what was given up behind it is behind the cursor now."""
        with self._lock:
            if passed := dict(self._passed):
                gone = sum(len(self._held.get(instance, ())) for instance in passed)
                self._commit(passed, Counter(segments_gone=gone))
            self._held = {}

    def _has(self, segment: Segment) -> bool:
        instance, number = segment.instance, segment.number
        if number <= self.cursors.get(instance, 0):
            return True
        return number <= self._passed.get(instance, 0) and number not in self._held.get(instance, ())

    def _waiting(self, read: Mapping[str, int]) -> list[Waiting]:
        """The next segments for this sink, oldest first."""
        found: list[Waiting] = []
        for instance, last in read.items():
            # Else what is given up meanwhile, and then put away, would look as if somebody had removed it.
            with self._lock:
                found += self._waiting_of(instance, last)
        return merge(found)

    def _waiting_of(self, instance: str, last: int) -> list[Waiting]:
        found: list[Waiting] = []
        after = self.cursors.get(instance, 0)
        if after >= last:
            return found
        sealed = list_segments(self._journal_dir, instance, after=after).sealed
        numbers = sorted(number for number in sealed if number <= last)
        if not numbers:
            # Somebody removed them: that is counted, and the journal goes on. A new sink never had them to lose.
            self._commit({instance: last}, Counter(segments_gone=last - after) if after else Counter())
            return found
        before = after or numbers[0] - 1
        for number in numbers[:_AHEAD]:
            with contextlib.suppress(FileNotFoundError):
                stat = sealed[number].path.stat()
                found.append(Waiting(sealed[number], stat.st_mtime_ns, stat.st_size, number - before - 1))
                before = number
        return found

    def _commit(self, cursors: Mapping[str, int], counts: Counter[str]) -> None:
        """Under the lock: what was given up behind a parcel is behind the cursor when that has gone."""
        moved = {instance: max(number, self._passed.get(instance, 0)) for instance, number in cursors.items()}
        self._state.commit_delivered(self.sink.name, moved, +counts)
        self.cursors.update(moved)
        for instance in moved:
            self._passed.pop(instance, None)
        self._held = {}


def _by_instance(keys: Iterable[tuple[str, int]]) -> dict[str, frozenset[int]]:
    numbers: dict[str, set[int]] = {}
    for instance, number in keys:
        numbers.setdefault(instance, set()).add(number)
    return {instance: frozenset(found) for instance, found in numbers.items()}


def _together(ahead: Iterable[Waiting], max_bytes: int | None) -> list[Waiting]:
    """The first of what waits, as much as goes into one parcel."""
    limit_bytes = MAX_PARCEL_BYTES if max_bytes is None else min(MAX_PARCEL_BYTES, max_bytes)
    chosen: list[Waiting] = []
    size_bytes = 0
    for waiting in ahead:
        size_bytes += waiting.size_bytes
        if chosen and (size_bytes > limit_bytes or len(chosen) >= MAX_PARCEL_SEGMENTS):
            break
        chosen.append(waiting)
    return chosen


def merge(found: list[Waiting]) -> list[Waiting]:
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
