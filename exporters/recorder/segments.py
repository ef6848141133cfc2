"""What segments hold: read once and priced once for all sinks that come by at about the same time.

Who needs a segment first reads and prices it; a sink that comes meanwhile waits for that, one that comes later finds
it, and when every sink has it, it is let go. What is kept for sinks that are slow or down is bounded: a sink that is
far behind finds nothing, and reads for itself. So a cost is reckoned once, and is the same in all sinks that
keep up.
"""

import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import Future

import msgspec

from exporters.journal.reader import Content, Segment, read_segment
from exporters.recorder.ports import PricedCall, Pricer
from proxy.core.money import Money
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, CallRecord

MAX_KEPT_BYTES = 8 * 1024 * 1024
"""Of segments, as they lie on the disk: as much as one parcel."""


class PricedSegment(msgspec.Struct, frozen=True):
    """What every sink gets of a segment."""

    calls: tuple[PricedCall, ...]
    counts: Counter[str]
    """What is to be counted with them: `unreadable_lines`, `unpriced` (attempts with usage), `pricing_failed`."""


class _Kept:
    """A segment that some sinks have and some have not."""

    __slots__ = ("content", "is_taken", "lacking", "priced", "size_bytes")

    def __init__(self, lacking: Collection[str]) -> None:
        self.lacking = set(lacking)
        """Names of the sinks that have not had it."""
        self.is_taken = False
        """Whether somebody has priced it, or is at it."""
        self.content: Content | None = None
        """What the reader of the journal has read, until then."""
        self.priced: Future[PricedSegment | None] = Future()
        """None is its result when the segment could not be read."""
        self.size_bytes = 0


class PricedSegments:
    """Segments with their prices. Thread-safe; reading and pricing is done outside the lock.

    Args:
        pricer: What attempts cost.
        sinks: Names of all sinks. For one alone nothing is kept.
        max_bytes: How much is kept, in bytes of segments.
    """

    def __init__(self, pricer: Pricer, sinks: Collection[str] = (), *, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._pricer = pricer
        self._sinks = frozenset(sinks)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        """By the token of the segment, the oldest first."""
        self._kept_bytes = 0

    @property
    def kept_bytes(self) -> int:
        """Size of what is kept, in bytes of segments."""
        return self._kept_bytes

    def offer(self, segment: Segment, content: Content) -> None:
        """Here is what somebody has just read in a segment; it is kept if there is room."""
        with self._lock:
            if segment.token not in self._kept and self._kept_bytes + content.size_bytes <= self._max_bytes:
                kept = self._kept[segment.token] = _Kept(self._sinks)
                kept.content = content
                self._weigh(kept, content.size_bytes)

    def get(self, segment: Segment, sink: str) -> PricedSegment:
        """The calls of a segment for a sink. Raises OSError when it cannot be read at all."""
        with self._lock:
            kept, is_first = self._take(segment.token, sink)
            content, kept.content = kept.content, None
        if not is_first:
            # Where the first one has failed, everybody reads alone, and has an error of its own.
            return kept.priced.result() or self._price(segment, read_segment(segment))
        found: PricedSegment | None = None
        try:
            content = content or read_segment(segment)
            found = self._price(segment, content)
        finally:
            with self._lock:
                if self._kept.get(segment.token) is kept:
                    if content is None or found is None:
                        self._drop(segment.token)
                    else:
                        self._weigh(kept, content.size_bytes)
            kept.priced.set_result(found)
        return found

    def _take(self, token: str, sink: str) -> tuple[_Kept, bool]:
        """Note that a sink has the segment; and whether it is the first, who has to price it."""
        kept = self._kept.get(token)
        if kept is None:
            kept = self._kept[token] = _Kept(self._sinks)
        is_first, kept.is_taken = not kept.is_taken, True
        kept.lacking.discard(sink)
        if not kept.lacking:
            self._drop(token)
        return kept, is_first

    def _weigh(self, kept: _Kept, size_bytes: int) -> None:
        """Count what is kept, and let go of the oldest while it is too much."""
        self._kept_bytes += size_bytes - kept.size_bytes
        kept.size_bytes = size_bytes
        while self._kept_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, token: str) -> None:
        if (kept := self._kept.pop(token, None)) is not None:
            self._kept_bytes -= kept.size_bytes

    def _price(self, segment: Segment, content: Content) -> PricedSegment:
        # Read as whole once and damaged since: nobody else would ever say that these did not arrive.
        counts = Counter(unreadable_lines=len(content.bad) + content.missing)
        calls = [
            PricedCall(
                record,
                tuple([self._priced(attempt, record, counts) for attempt in record.attempts]),
                segment.instance,
                segment.number,
            )
            for record in content.records
            if isinstance(record, CallRecord)
        ]
        return PricedSegment(tuple(calls), +counts)

    def _priced(self, attempt: AttemptRecord, call: CallRecord, counts: Counter[str]) -> Priced:
        try:
            priced = self._pricer.price(attempt, call)
        except Exception:  # noqa: BLE001 - whatever a price list does wrong, the call is recorded, as unpriced
            counts["pricing_failed"] += 1
            priced = Priced(amount=None, currency="", reasons=("pricing_failed",))
        else:
            if priced.amount is None and attempt.held_cost is None and attempt.usage.source != "none":
                counts["unpriced"] += 1
        return priced if priced.amount is not None or attempt.held_cost is None else _as_held(priced, attempt.held_cost)


def _as_held(priced: Priced, held: Money) -> Priced:
    """The cost of an interrupted attempt whose usage cannot be priced: what was reserved for it."""
    return msgspec.structs.replace(
        priced, amount=held.amount, currency=held.currency, estimated=True, reasons=(*priced.reasons, "held")
    )
