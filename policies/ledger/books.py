"""The books: the one place where the workers of all processes and machines meet over a counter.

A worker does not ask the books for each call. It borrows an amount of a counter (its *lease*), admits calls from that
in memory, and borrows again when it runs low. Invariants, kept by every implementation in one atomic step each:

1. Of a hard counter `spent + leases <= allowed` after every borrowing, so that no number of workers passes a cap.
2. All wants of a borrowing are met, or nothing is borrowed.
3. What a call used is posted once, by the recorder, from the journal: `spent` grows by what it used and the worker's
   lease shrinks by what the worker had set aside for it, in the same step. The segments of a journal are posted in
   their order, and the last one is remembered: it is what makes a posting happen once.
4. The lease of a process that is gone is freed when its journal has been posted to the end, not before: what it had
   under way is on the books by then.
5. What a window leaves to the one after it (a carry-over, or the older buckets of a rolling window) stays true: a call
   that comes late to the older one finds no more room there than the newer one can do without.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from policies.demand import Demand


class BooksUnavailableError(Exception):
    """The books cannot be reached or do not answer. What was asked for may or may not have been done."""


class BooksLostError(BooksUnavailableError):
    """The books are not those that were here before: they have lost what was in them. The message says what to do."""


class Want(msgspec.Struct, frozen=True):
    """What a worker needs of a counter to go on."""

    demand: Demand
    need: int
    """Beyond what it has; 0 to be told how the counter stands."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a counter stands, and what one process has of it."""

    counter: str
    lease: int
    """Of the process that asked: held by its calls, used by them and not yet posted, or free. Of a bucket: what was
    lent just now."""
    posted: int
    """Of the process that asked: everything that was ever taken off its lease by postings."""
    spent: int
    """Of a bucket: how much of its capacity is gone, what was lent to the process that asked included."""
    leased: int
    """Of all processes."""
    allowed: int
    """Grace, top-ups and carry-over included. In a glance: as at the last borrowing of anybody."""
    room: int
    """What could still be borrowed; negative when more is spent than is allowed. In a glance without what older buckets
    of a rolling window take up."""
    reclaimable: int = 0
    """What other processes have on lease of what counts towards the limit."""
    older_spent: int = 0
    """Spent in the older buckets of a rolling window; 0 in a glance."""
    older_leased: int = 0
    frees_at_ns: int | None = None
    """When what was needed may fit, where it does not now; None: nobody knows."""


class Borrowed(msgspec.Struct, frozen=True):
    """The answer to a borrowing."""

    granted: bool
    standings: tuple[Standing, ...]
    """One for each want, after it."""


class Glance(msgspec.Struct, frozen=True):
    """What changed around the leases of a process."""

    at: int
    """Where the next glance goes on."""
    standings: tuple[Standing, ...]
    """Of counters that changed and that the process has a lease of; buckets are not among them."""
    wanted: frozenset[str]
    """Changed counters that another process could not borrow from."""
    buckets: frozenset[str] = frozenset()
    """Buckets that changed."""


class Posting(msgspec.Struct, frozen=True):
    """What some calls of one process used of one counter, as the journal has it."""

    counter: str
    unit: str
    spent: int
    """What they used, by their priced records."""
    set_aside: int
    """What that process has set aside for them in its lease."""


class Page(msgspec.Struct, frozen=True):
    """What the calls of one segment of a journal used."""

    instance: str
    segment: int
    """Counts up within the journal of the instance."""
    postings: tuple[Posting, ...]
    """At most one for each counter."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One counter as the books have it, for people and for comparing with the store."""

    counter: str
    family: str
    unit: str
    spent: int
    leased: int
    allowed: int
    """As at the last borrowing; 0 where nobody has borrowed."""
    starts_at_ns: int
    ends_at_ns: int | None


class Lender(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the books know it."""

    instance: str
    posted_up_to: int
    """Number of the last segment of its journal that is on the books."""
    seen_ns: int
    """When it, or the recorder for it, was last heard of, Unix time."""
    leases: int
    """How many counters it has a lease of."""
    included_up_to: int = 0
    """Number of the last segment that a rebuilding has counted; 0 where there was none."""

    @property
    def counted_up_to(self) -> int:
        """Number of the last segment of which the counters have what it says."""
        return max(self.posted_up_to, self.included_up_to)


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
    """Blocks; called from one thread at a time. Every method raises BooksUnavailableError.

    A step that failed may have been done all the same: every caller here can live with either.
    """

    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """Meet all wants, with something over where there is plenty, or none.

        Where a want is not met and others have leases that would help, they are asked to give back (`glance`).
        """

    def cover(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """Put more on lease, whatever is allowed: calls have used it already. Counter -> amount."""

    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """Return what is free of leases. Counter -> amount.

        Of a bucket that is always everything, and may be negative where calls used more than they had taken.
        """

    def leave(self, instance: str, counters: Sequence[str]) -> None:
        """Let go of leases that are empty: the process has no more use for these counters."""

    def glance(self, instance: str, since: int) -> Glance:
        """What changed since an earlier glance; `since` -1 only gives where to go on."""

    def post(self, pages: Sequence[Page], now_ns: int) -> int:
        """Book what calls used, each page once; how many of them were new."""

    def forget(self, instance: str) -> None:
        """A process is gone and all of its journal is posted: its leases are free."""

    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """Every counter of a family (of all where none is named) in the order of their names, without buckets."""

    def lenders(self) -> tuple[Lender, ...]:
        """Every process that the books know, in the order of their names."""

    def rebuild(
        self, spent: Mapping[str, int], units: Mapping[str, str], included: Mapping[str, int], now_ns: int
    ) -> tuple[str, ...]:
        """Set what counters have spent. Leases stay.

        Args:
            spent: Counter -> amount.
            units: Counter -> unit, for those that the books do not have.
            included: Instance -> last segment of its journal that the amounts include: earlier ones only shrink its
                lease when they are posted.
            now_ns: Unix time.

        Gives the processes of which segments are on the books that the amounts do not include; where there are any
        nothing was done.
        """

    def top_up(self, top_up: TopUp) -> None:
        """Add to the limit of a family."""

    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """All top-ups, oldest first."""

    def close(self) -> None:
        """Let go of files and connections."""
