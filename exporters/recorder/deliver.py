"""Takes one sink along the journal: reads a segment, prices its calls, hands them over, moves the cursor.

Blocking work for the sink's own thread. The order is what makes it exact: first the sink has the batch, then the cursor
says so. A kill in between offers the batch again under the same token.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from exporters.journal.reader import Segment, list_segments, read_segment
from exporters.recorder.ports import Batch, PricedCall, Pricer, Sink
from exporters.recorder.state import State
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, CallRecord

_AHEAD = 100
"""Segments looked up at once: a look costs as much as the whole folder, memory as much as what it keeps."""


class Waiting(msgspec.Struct, frozen=True):
    """A segment that a sink does not have."""

    segment: Segment
    sealed_at_ns: int


class Delivery:
    """One sink on its way along the journal."""

    def __init__(self, sink: Sink, pricer: Pricer, state: State, journal_dir: Path) -> None:
        self.sink = sink
        self.cursors = state.cursors(sink.name)
        """Instance -> number of the last segment that the sink has."""
        self._pricer = pricer
        self._state = state
        self._journal_dir = journal_dir

    def waiting(self, read: Mapping[str, int]) -> list[Waiting]:
        """The next segments for this sink, oldest first; empty when it has all. Raises OSError, sqlite3.Error.

        Args:
            read: Instance -> number of the last segment that was read.
        """
        found: list[Waiting] = []
        for instance, last in read.items():
            after = self.cursors.get(instance, 0)
            if after >= last:
                continue
            sealed = list_segments(self._journal_dir, instance, after=after).sealed
            numbers = sorted(number for number in sealed if number <= last)
            if not numbers:
                # Somebody removed them: that is counted, and the journal goes on. A new sink never had them to lose.
                self._move(instance, last, Counter(segments_gone=last - after) if after else Counter())
            for number in numbers[:_AHEAD]:
                with contextlib.suppress(FileNotFoundError):
                    found.append(Waiting(sealed[number], sealed[number].path.stat().st_mtime_ns))
        return _merge(found)

    def deliver(self, segment: Segment) -> None:
        """Hand over one segment and move the cursor.

        Raises SinkUnavailableError, OSError or sqlite3.Error: it is to be tried again.
        """
        counts: Counter[str] = Counter()
        try:
            records = read_segment(segment).records
        except FileNotFoundError:
            records = []
            counts["segments_gone"] += 1
        calls = [self._priced(record, counts) for record in records if isinstance(record, CallRecord)]
        if calls:
            batch = Batch(instance=segment.instance, number=segment.number, token=segment.token, calls=calls)
            counts.update(self.sink.deliver(batch))
        self._move(segment.instance, segment.number, counts)

    def _move(self, instance: str, number: int, counts: Counter[str]) -> None:
        self._state.commit_delivered(self.sink.name, instance, number, counts)
        self.cursors[instance] = number

    def counts(self) -> dict[str, int]:
        """Everything the sink has counted so far, by name. Raises sqlite3.Error."""
        return self._state.counts(self.sink.name)

    def _priced(self, call: CallRecord, counts: Counter[str]) -> PricedCall:
        return PricedCall(call, tuple(self._price(attempt, call, counts) for attempt in call.attempts))

    def _price(self, attempt: AttemptRecord, call: CallRecord, counts: Counter[str]) -> Priced:
        try:
            priced = self._pricer.price(attempt, call)
        except Exception:  # noqa: BLE001 - whatever a price list does wrong, the call is recorded, as unpriced
            counts["pricing_failed"] += 1
            return Priced(amount=None, currency="", reasons=("pricing_failed",))
        if priced.amount is None and attempt.usage.source != "none":
            counts["unpriced"] += 1
        return priced


def _merge(found: list[Waiting]) -> list[Waiting]:
    """Oldest first over the instances, in order within each."""
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
