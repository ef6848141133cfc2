"""What a worker's ledger does with its leases when no call asks for them: it hears of changes, gives back, lets go.

Each method gives the step for the books' thread, or applies what a step has said; memory is changed before a step that
gives something away, and after one that brings something.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from policies.demand import Demand
from policies.ledger.books import Books, Glance
from policies.ledger.counter import LeasedCounter

TRIM_S = 1.0
"""How often a lease is cut down to what it needs."""
KEPT_TIMES = 3
"""How many times what was taken since is kept then: with 5 calls a second of each of 300 users, 0.034 borrowings and
0.04 amounts given back for each call, where keeping it once took 0.062 and 0.2."""
IDLE_S = 10.0
"""After how long without use the books hear that a counter is of no more use here."""
BEAT_S = 60.0
"""How often the books hear of a process that has counters, whatever it does: one that was not heard of for ten minutes
may be forgotten, and its leases lent to others."""
LAPSE_S = 300.0
"""After how long without the books a process counts its leases as gone, well before anybody would forget it."""
_WANTED_S = 2.0
"""How long after another process has wanted a counter everything that becomes free of it is given back at once."""
_MOST_KNOWN = 20_000
"""Counters of windows under way that are remembered though nothing of them is on lease."""
_MOST_LEFT = 500
"""Counters that are let go of in one step."""

Work = Callable[[], object]


class Tending:
    """Looks after the leases of one process.

    Args:
        books: Where they come from.
        instance: Name of the process.
        counters: Those that it knows; shared with the ledger.
        clock: Unix time in nanoseconds.
    """

    def __init__(
        self, books: Books, instance: str, counters: dict[str, LeasedCounter], clock: Callable[[], int]
    ) -> None:
        self.since = -1
        """Up to where the changes of the books are known."""
        self.lent: dict[str, LeasedCounter] = {}
        """Counters of which something is on lease, or was a moment ago."""
        self._books = books
        self._instance = instance
        self._counters = counters
        self._clock = clock
        self._idle: dict[str, float] = {}
        """Counters of which nothing is, in the order in which they came to be so, and since when."""
        self._wanted: dict[str, float] = {}
        """Counters that others want, and until when that is believed."""
        self._newly_wanted: frozenset[str] = frozenset()
        self._trimmed_at_s = 0.0
        self._beat_at_s = 0.0
        self._reached_at_s = 0.0

    def counter(self, demand: Demand) -> LeasedCounter:
        """The counter of a demand, that is about to be borrowed from."""
        name = demand.counter
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = LeasedCounter(demand)
        self._idle.pop(name, None)
        self.lent[name] = counter
        return counter

    def glance(self) -> Callable[[], Glance]:
        """To hear of changes."""
        return partial(self._books.glance, self._instance, self.since)

    def apply(self, glance: Glance) -> None:
        """Take what a glance has said."""
        self.since = glance.at
        self._newly_wanted |= glance.wanted
        for name in glance.buckets & self._counters.keys():
            self._counters[name].reconsider()
        for standing in glance.standings:
            counter = self._counters.get(standing.counter)
            if counter is not None:
                counter.told(standing)
                if not counter.is_idle and standing.counter not in self.lent:
                    # A borrowing whose answer was lost on the way.
                    self._idle.pop(standing.counter, None)
                    self.lent[standing.counter] = counter

    def lost(self) -> None:
        """The books are new: they know of no lease, and what is used has to be put on lease again."""
        self.since = 0 if self.since >= 0 else -1
        for counter in self._counters.values():
            counter.lost()

    def missed(self, now_s: float) -> None:
        """The books did not answer: after a while they may have lent to others what is on lease here."""
        if not self._reached_at_s or now_s - self._reached_at_s < LAPSE_S:
            return
        self._reached_at_s = 0.0
        # When they answer again they say what is left, and what is used is put on lease again where nothing is.
        self.since = 0 if self.since >= 0 else -1
        for counter in self._counters.values():
            counter.lapsed()

    def before(self, demands: Sequence[Demand]) -> Work | None:
        """To give back what would stand in the way of a borrowing for these demands."""
        names: set[str] = set()
        for demand in demands:
            # What is free of an older bucket of a rolling window is room in the window.
            names.update(older for older in demand.also if older in self.lent)
            counter = self.lent.get(demand.counter)
            if counter is not None and (counter.limit, counter.enforce) != (demand.limit, demand.enforce):
                # It was lent under other terms.
                names.add(demand.counter)
        return self._give_back({name: self._counters[name].free for name in names})

    def due(self, now_s: float) -> Iterator[Work]:
        """Everything that is to be done now, one after the other. The books were reached just now."""
        self._reached_at_s = now_s
        self._wanted.update(dict.fromkeys(self._newly_wanted, now_s + _WANTED_S))
        self._newly_wanted = frozenset()
        if self._wanted:
            self._wanted = {name: until_s for name, until_s in self._wanted.items() if until_s > now_s}
        trims = now_s - self._trimmed_at_s >= TRIM_S
        spare: dict[str, int] = {}
        missing: dict[str, int] = {}
        for name, counter in self.lent.items():
            free = counter.free
            if counter.is_bucket:
                if counter.owed or (free > 0 and not counter.taken) or name in self._wanted:
                    spare[name] = free
                counter.taken = 0
            elif free < 0:
                missing[name] = -free
            elif name in self._wanted:
                spare[name] = free
            elif trims:
                # As much as the last second took may be needed in the next one, and calls come unevenly.
                spare[name] = free - KEPT_TIMES * counter.taken
        if missing:
            yield partial(self._books.cover, self._instance, missing, self._clock())
            for name, amount in missing.items():
                self._counters[name].lease += amount
        if (work := self._give_back(spare)) is not None:
            yield work
        if trims:
            self._trimmed_at_s = now_s
            yield from self._let_go(now_s)
            yield from self._beat(now_s)

    def all_back(self) -> Work:
        """To give back everything that is free."""
        work = self._give_back({name: counter.free for name, counter in self.lent.items()})
        return work if work is not None else (lambda: None)

    def _give_back(self, spare: dict[str, int]) -> Work | None:
        amounts: dict[str, int] = {}
        for name, amount in spare.items():
            counter = self._counters[name]
            if counter.is_bucket:
                free = max(0, counter.free)
                if free or counter.owed:
                    counter.reconsider()
                    amounts[name] = free + counter.owed
                    counter.lease -= free
                    counter.owed = 0
            elif amount > 0:
                counter.lease -= amount
                amounts[name] = amount
        return partial(self._books.give_back, self._instance, amounts, self._clock()) if amounts else None

    def _beat(self, now_s: float) -> Iterator[Work]:
        if now_s - self._beat_at_s >= BEAT_S:
            self._beat_at_s = now_s
            yield partial(self._books.give_back, self._instance, {}, self._clock())

    def _let_go(self, now_s: float) -> Iterator[Work]:
        for name, counter in list(self.lent.items()):
            counter.taken = 0
            if counter.is_idle:
                del self.lent[name]
                self._idle[name] = now_s
        names: list[str] = []
        for name, since_s in self._idle.items():
            if now_s - since_s < IDLE_S or len(names) >= _MOST_LEFT:
                break
            names.append(name)
        if not names:
            return
        yield partial(self._books.leave, self._instance, names)
        now_ns = self._clock()
        for name in names:
            del self._idle[name]
            counter = self._counters[name]
            # Its row is gone, and a new one begins to count.
            counter.posted = 0
            ends_at_ns = counter.demand.ends_at_ns
            over = ends_at_ns is not None and ends_at_ns < now_ns
            if over or counter.demand.kind != "budget" or len(self._counters) > _MOST_KNOWN:
                del self._counters[name]
