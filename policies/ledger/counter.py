"""What one process has of a counter, and last knew of it. PURE."""

from policies.demand import Demand, Level
from policies.ledger.books import Standing

_REFUSE_S = 0.25
"""How long a refusal holds for others that need as much, unless the counter changes."""


class LeasedCounter:
    """The lease of one counter; plain numbers, since every call touches some."""

    __slots__ = (
        "_refused_need",
        "_refused_room",
        "_refused_until_s",
        "allowed",
        "demand",
        "enforce",
        "frees_at_ns",
        "heard",
        "is_bucket",
        "lease",
        "leased",
        "limit",
        "older_leased",
        "older_spent",
        "owed",
        "posted",
        "room",
        "settled",
        "spent",
        "taken",
        "used",
    )

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        """The last one that it was borrowed for."""
        self.is_bucket = demand.kind == "rate"
        self.limit = demand.limit
        self.enforce = demand.enforce
        self.heard = False
        """Whether the books have ever said how it stands."""
        self.lease = 0
        self.used = 0
        """Of the lease: held by calls under way, or settled and not yet posted."""
        self.settled = 0
        """Of `used`: what ended calls have set aside."""
        self.owed = 0
        """Of a bucket: what calls took from it and did not use; negative where they used more."""
        self.posted = 0
        self.spent = 0
        self.leased = 0
        self.allowed = 0
        self.older_spent = 0
        self.older_leased = 0
        self.room = 0
        """In the books, after the last borrowing."""
        self.taken = 0
        """Admitted since the lease was last cut down."""
        self.frees_at_ns: int | None = None
        """When what was refused last may fit."""
        self._refused_need = 0
        self._refused_room = 0
        self._refused_until_s = 0.0

    @property
    def free(self) -> int:
        """What calls can be admitted from; negative where they used more than they had held."""
        return self.lease - self.used

    @property
    def others(self) -> int:
        """What other processes have on lease."""
        return max(0, self.leased - self.lease) + self.older_leased if not self.is_bucket else 0

    @property
    def spent_by_now(self) -> int:
        """What is posted, and what this process knows of beyond it."""
        return self.spent + self.older_spent + self.settled

    @property
    def is_over(self) -> bool:
        """Whether more is used than is allowed, as far as is known."""
        if self.is_bucket:
            return self.room < 0
        return self.spent + self.older_spent + self.others + self.used > self.allowed

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in use here."""
        return not (self.used or self.lease or self.owed)

    def borrowed(self, demand: Demand, standing: Standing) -> None:
        """Take what the books say after a borrowing."""
        self.demand, self.limit, self.enforce, self.heard = demand, demand.limit, demand.enforce, True
        self.older_spent, self.older_leased = standing.older_spent, standing.older_leased
        self.room = standing.room
        if demand.kind == "rate":
            # What was taken out of a bucket is no longer on the books.
            self.lease += standing.lease
            self.spent, self.allowed = standing.spent, standing.allowed
        else:
            self.told(standing)

    def told(self, standing: Standing) -> None:
        """Take what the books say."""
        posted = standing.posted - self.posted
        self.posted = standing.posted
        if posted > 0:
            # Less only where the books were made anew: what was settled before is lost to them, and stays used here.
            self.used -= posted
            self.settled -= posted
        self.lease = standing.lease
        self.spent, self.leased, self.allowed = standing.spent, standing.leased, standing.allowed
        if standing.allowed - standing.spent - standing.leased > self._refused_room:
            self._refused_until_s = 0.0

    def lapsed(self) -> None:
        """Nobody knows whether the books still know of the lease: nothing of it is free until they say so."""
        self.lease = self.used if self.is_bucket else 0

    def lost(self) -> None:
        """The books know of no lease any more."""
        self.lapsed()
        self.owed = self.posted = self.leased = 0
        self._refused_until_s = 0.0

    def refuse(self, need: int, frees_at_ns: int | None, now_s: float) -> None:
        """Remember that so much could not be had."""
        self.frees_at_ns = frees_at_ns
        self._refused_need, self._refused_until_s = need, now_s + _REFUSE_S
        self._refused_room = self.allowed - self.spent - self.leased

    def reconsider(self) -> None:
        """There may be more now than at the last refusal."""
        self._refused_until_s = 0.0

    def refuses(self, demand: Demand, now_s: float, now_ns: int) -> bool:
        """Whether as much could not be had a moment ago, and nothing has changed since."""
        if self.is_bucket and self.frees_at_ns is not None and now_ns >= self.frees_at_ns:
            return False
        return (
            now_s < self._refused_until_s
            and demand.limit == self.limit
            and demand.enforce == self.enforce
            and demand.amount - self.free >= self._refused_need
        )

    def level(self) -> Level:
        """For status, metrics and thresholds."""
        if self.is_bucket:
            spent = max(0, self.spent - max(0, self.free) - self.owed)
            return Level(counter=self.demand.counter, spent=spent, held=0, allowed=self.allowed, exact=False)
        return Level(
            counter=self.demand.counter,
            spent=self.spent_by_now,
            held=self.used - self.settled + self.others,
            allowed=self.allowed,
            exact=False,
        )
