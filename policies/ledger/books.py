"""The books: the one place where the workers of all processes and machines meet over a counter.

A worker does not ask the books for each call. It borrows an amount of a counter (its *lease*), admits calls from that
in memory, and borrows again when it runs low. Invariants, kept by every implementation in one atomic step each:

1. Of a hard counter `spent + leases <= allowed` after every borrowing, so that no number of workers passes a cap.
2. All wants of a borrowing are met, or nothing is borrowed.
3. What a call used is posted once, by the recorder, from the journal: `spent` grows by what it used and the worker's
   lease shrinks by what the worker had set aside for it, in the same step. A batch is known by its token.
4. The lease of a process that is gone is freed when its journal has been posted to the end, not before: what it had
   under way is on the books by then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from policies.demand import Demand


class BooksUnavailableError(Exception):
    """The books cannot be reached or do not answer. Nothing is known to have changed."""


class Want(msgspec.Struct, frozen=True):
    """What a worker needs of a counter to go on."""

    demand: Demand
    need: int
    """Beyond what it has; 0 to be told how the counter stands."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a counter stands, and what one process has of it."""

    counter: str
    lease: int
    """Of the process that asked: held by its calls, used by them and not yet posted, or free."""
    posted: int
    """Of the process that asked: everything that was ever taken off its lease by postings."""
    spent: int
    leased: int
    """Of all processes."""
    allowed: int
    """Grace, top-ups and carry-over included."""
    room: int
    """What could still be borrowed; negative when more is spent than is allowed."""
    frees_at_ns: int | None = None
    """When what was needed may fit, where it does not now; None: nobody knows."""


class Borrowed(msgspec.Struct, frozen=True):
    """The answer to a borrowing."""

    granted: bool
    standings: tuple[Standing, ...]
    """One for each want, after it."""


class Glance(msgspec.Struct, frozen=True):
    """What changed around the leases of a process."""

    standings: tuple[Standing, ...]
    wanted: frozenset[str]
    """Counters that another process could not borrow from while this one has a lease of them."""


class Posting(msgspec.Struct, frozen=True):
    """What the calls of one process used of one counter, as the journal has it."""

    instance: str
    counter: str
    unit: str
    spent: int
    """What they used, by their priced records."""
    set_aside: int
    """What that process has set aside for them in its lease."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One counter as the books have it, for people and for comparing with the store."""

    counter: str
    family: str
    unit: str
    spent: int
    leased: int
    ends_at_ns: int | None


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """An amount added to the limit of a family of counters."""

    family: str
    amount: int
    reason: str
    by: str
    at_ns: int
    until_ns: int | None = None
    """Until when it counts; None: to the end of the window that it was made in."""


class Books(Protocol):
    """Blocks; called from one thread at a time. Every method raises BooksUnavailableError."""

    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """Meet all wants, with something over where there is plenty, or none.

        Where a want is not met and others have leases of that counter, they are asked to give back (`glance`).
        """

    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """Return what is free of leases. Counter -> amount."""

    def glance(self, instance: str) -> Glance:
        """The standing of every counter that the process has a lease of, and what others want of them.

        Of a standing here `allowed` and `room` are as at the last borrowing of anybody.
        """

    def post(self, token: str, postings: Iterable[Posting], now_ns: int) -> bool:
        """Book what calls used, once for each token; False when it was booked before."""

    def forget(self, instance: str) -> None:
        """A process is gone and all of its journal is posted: its leases are free."""

    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """Every counter of a family (of all where none is named), in the order of their names."""

    def correct(self, spent: Mapping[str, int], units: Mapping[str, str], now_ns: int) -> None:
        """Set what counters have spent: a rebuilding from the store. Leases stay."""

    def top_up(self, top_up: TopUp) -> None:
        """Add to the limit of a family."""

    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """All top-ups, oldest first."""

    def close(self) -> None:
        """Let go of files and connections."""
