"""What the recorder asks of others: prices for attempts, and sinks that take batches."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec

from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, CallRecord


class Pricer(Protocol):
    """Knows what an attempt cost. Called from the threads of the sinks."""

    def price(self, attempt: AttemptRecord, call: CallRecord) -> Priced:
        """What one attempt of a call cost; never raises for a cost that is not known."""


class PricedCall(msgspec.Struct, frozen=True):
    """A call and what each of its attempts cost."""

    call: CallRecord
    prices: tuple[Priced, ...]
    """One for each of `call.attempts`."""
    instance: str = ""
    """The process that served it: the journal that its record stood in."""
    segment: int = 0
    """Number of the segment of that journal."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a parcel of segments holds. The same parcel always makes the same calls in the same order."""

    instance: str
    number: int
    """Of its first segment."""
    token: str
    """Stands for this batch for ever: a sink that has seen it may take nothing a second time."""
    calls: list[PricedCall]


class SinkUnavailableError(Exception):
    """The sink cannot take anything just now. The batch is offered again, later and later, and nothing is lost."""


class Sink(Protocol):
    """Somewhere outside that gets every call.

    A new sink is one class with a name. It is called from a thread of its own, one batch at a time, in the order of the
    journal; it may block. A batch is offered again after a crash or a `SinkUnavailableError`: a sink that
    must not count twice remembers the token. What it can never take it puts into quarantine itself.
    """

    name: str
    """Stable: the cursor is kept under it. Made of `a-z`, `0-9` and `-`."""

    def check(self) -> None:
        """Make sure that it can take batches: connect, prepare what is out there.

        Called before the first batch, and from time to time while there is none. Raises SinkUnavailableError.
        """

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Take a batch; returns what is to be counted of it, by name (`calls`, `attempts`, `refused` ...).

        Raises SinkUnavailableError.
        """

    def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class KnowsProcesses(Protocol):
    """A sink that keeps something for each process, and wants to hear when one is gone."""

    def forget(self, instance: str) -> None:
        """A process has ended, and every sink has all of its journal. Called until it succeeds, maybe more than once.

        Raises SinkUnavailableError.
        """


@runtime_checkable
class HasTrouble(Protocol):
    """A sink that takes every batch, and may be in trouble with what it makes of it."""

    @property
    def trouble(self) -> str:
        """What is wrong, for people; empty where nothing is. Asked from any thread."""
