"""The ledger of a worker: it admits calls in memory, from what it has borrowed from the books.

Rules of this file:
1. `try_admit`, `settle` and `release` touch memory only.
2. Between two awaits nothing is half done: a call holds all of its demands or none.
3. All work with the books goes through one lock and one thread, so that what they said is applied in the order in which
   they did it.
4. A lease never counts as free what the books may already have given to another: it shrinks here before it is given
   back.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec

from policies.demand import Admitted, Answer, Demand, Level, Refused
from policies.ledger.books import Books, BooksUnavailableError, Borrowed, Standing, Want

T = TypeVar("T")

GLANCE_S = 0.05
"""How often a worker with leases looks whether another one needs them."""
RECLAIM_S = 0.25
"""How long a call that does not fit waits for others to give back what they do not use: they look five times in it."""
_POLL_S = 0.02
_TRIM_S = 1.0
"""How often a lease is cut down to what it needs."""


class _Counter:
    """What this process has of a counter, and last knew of it."""

    __slots__ = (
        "allowed",
        "ends_at_ns",
        "kind",
        "lease",
        "leased",
        "posted",
        "settled",
        "spent",
        "taken",
        "used",
    )

    def __init__(self, demand: Demand) -> None:
        self.kind = demand.kind
        self.ends_at_ns = demand.ends_at_ns
        self.lease = 0
        self.used = 0
        """Of the lease: held by calls under way, or settled and not yet posted."""
        self.settled = 0
        """Of `used`: what ended calls have set aside."""
        self.posted = 0
        self.spent = 0
        self.leased = 0
        self.allowed = 0
        self.taken = 0
        """Admitted since the lease was last cut down."""

    def apply(self, standing: Standing) -> None:
        """Take what the books say."""
        posted = standing.posted - self.posted
        self.posted = standing.posted
        self.used -= posted
        self.settled -= posted
        # What was taken out of a bucket is no longer on the books.
        self.lease = self.lease + standing.lease if self.kind == "rate" else standing.lease
        self.spent, self.leased, self.allowed = standing.spent, standing.leased, standing.allowed

    def forgotten(self) -> None:
        """The books have no lease of ours: it was all posted and given back."""
        if not self.used and self.kind != "rate":
            self.lease = self.posted = self.settled = 0

    @property
    def free(self) -> int:
        """What calls can be admitted from."""
        return self.lease - self.used

    @property
    def others(self) -> int:
        """What other processes have on lease."""
        return 0 if self.kind == "rate" else max(0, self.leased - self.lease)

    @property
    def spent_by_now(self) -> int:
        """What is posted, and what this process knows of beyond it."""
        return self.spent + self.settled

    def level(self, counter: str) -> Level:
        """For status, metrics and thresholds."""
        return Level(
            counter=counter,
            spent=self.spent_by_now,
            held=self.used - self.settled + self.others,
            allowed=self.allowed,
            exact=False,
        )


class LeasedLedger:
    """A ledger over books that others use as well.

    Args:
        books: Used from one thread of the ledger's own.
        instance: Name of this process, which its journal has too.
        clock: Unix time in nanoseconds, for what the ledger does on its own.
        reclaim_s: How long a call waits for other processes before it is refused.
    """

    def __init__(
        self,
        books: Books,
        instance: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        reclaim_s: float = RECLAIM_S,
    ) -> None:
        self.instance = instance
        self.failures: dict[str, int] = {}
        """What could not be done, by reason."""
        self._books = books
        self._clock = clock
        self._reclaim_s = reclaim_s
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lock = asyncio.Lock()
        self._counters: dict[str, _Counter] = {}
        self._holds: dict[str, tuple[Sequence[Demand], list[int | None]]] = {}
        self._trimmed_at_s = self._loop.time()
        self._glancing = self._loop.create_task(self._glance_for_ever())

    # memory only

    def try_admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer | None:
        """See policies.demand.Ledger."""
        del now_ns
        if call_id in self._holds:
            return Admitted()
        counters = self._counters
        found = []
        for demand in demands:
            counter = counters.get(demand.counter)
            if counter is None or counter.lease - counter.used < demand.amount:
                return None
            if demand.enforce == "soft" and counter.spent_by_now >= counter.allowed:
                return None
            found.append(counter)
        return self._take(call_id, demands, found)

    def settle(self, call_id: str, amounts: Sequence[int | None], now_ns: int) -> None:
        """See policies.demand.Ledger."""
        del now_ns
        held = self._holds.pop(call_id, None)
        if held is None:
            return
        for demand, hold, amount in zip(*held, amounts, strict=True):
            counter = self._counters.get(demand.counter)
            if counter is None or hold is None:
                continue
            spent = hold if amount is None else amount
            if demand.kind == "budget":
                counter.used += spent - hold
                counter.settled += spent
            elif demand.kind == "concurrent":
                counter.used -= hold
            else:
                # Tokens that were used are gone; those that were not are free again.
                counter.used -= hold
                counter.lease -= spent

    def release(self, call_id: str, now_ns: int) -> None:
        """See policies.demand.Ledger."""
        held = self._holds.get(call_id)
        if held is not None:
            self.settle(call_id, [0] * len(held[0]), now_ns)

    def held(self, call_id: str) -> Sequence[int | None]:
        """What is held for a call under way, for each of its demands; None where its counter could not be reached."""
        held = self._holds.get(call_id)
        return held[1] if held is not None else ()

    def level(self, counter: str) -> Level | None:
        """See policies.demand.Ledger."""
        known = self._counters.get(counter)
        return known.level(counter) if known is not None else None

    def levels(self) -> Mapping[str, Level]:
        """See policies.demand.Ledger."""
        return {name: counter.level(name) for name, counter in self._counters.items()}

    # with the books

    async def admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer:
        """See policies.demand.Ledger."""
        until_s = self._loop.time() + self._reclaim_s
        while True:
            async with self._lock:
                answer = self.try_admit(call_id, demands, now_ns)
                if answer is not None:
                    return answer
                try:
                    borrowed = await self._borrow(demands, now_ns)
                except BooksUnavailableError:
                    self._count("ledger_unavailable")
                    return self._without_books(call_id, demands)
                refused, may_change = self._refusal(demands, borrowed)
                if refused is None:
                    return self._take(call_id, demands, [self._counters[demand.counter] for demand in demands])
            if not may_change or self._loop.time() >= until_s:
                return refused
            await asyncio.sleep(_POLL_S)

    async def extend(self, call_id: str, amounts: Sequence[int], now_ns: int) -> Answer:
        """See policies.demand.Ledger."""
        held = self._holds.get(call_id)
        if held is None:
            return Admitted()
        demands, holds = held
        more = [msgspec.structs.replace(demand, amount=amount) for demand, amount in zip(demands, amounts, strict=True)]
        passing = f"{call_id}+"
        answer = await self.admit(passing, more, now_ns)
        taken = self._holds.pop(passing, None)
        if taken is not None and call_id in self._holds:
            for position, amount in enumerate(taken[1]):
                if amount is not None:
                    holds[position] = (holds[position] or 0) + amount
        elif taken is not None:
            # The call ended while it waited.
            self._holds[passing] = taken
            self.release(passing, now_ns)
        return answer

    async def close(self) -> None:
        """Give back what is free. What calls have set aside stays until the recorder has posted it."""
        self._glancing.cancel()
        await asyncio.gather(self._glancing, return_exceptions=True)
        async with self._lock:
            try:
                await self._give_back(lambda counter: counter.free)
            except BooksUnavailableError:
                self._count("ledger_unavailable")
        self._thread.shutdown(wait=False)

    async def look(self) -> None:
        """See how the leases stand, give up what another process wants, and from time to time what is not needed."""
        if not self._counters:
            return
        async with self._lock:
            try:
                glance = await self._ask(partial(self._books.glance, self.instance))
                told = {standing.counter for standing in glance.standings}
                for standing in glance.standings:
                    counter = self._counters.get(standing.counter)
                    if counter is not None:
                        counter.apply(standing)
                for name, counter in self._counters.items():
                    if name not in told:
                        counter.forgotten()
                wanted = glance.wanted
                await self._give_back(lambda c: c.free, only=wanted)
                if self._loop.time() - self._trimmed_at_s >= _TRIM_S:
                    self._trimmed_at_s = self._loop.time()
                    # As much as the last second took may be needed in the next one.
                    await self._give_back(lambda c: c.free - c.taken)
                    self._end_of_second()
            except BooksUnavailableError:
                self._count("ledger_unavailable")

    async def _glance_for_ever(self) -> None:
        while True:
            await asyncio.sleep(GLANCE_S)
            await self.look()

    async def _ask(self, step: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._thread, step)

    async def _borrow(self, demands: Sequence[Demand], now_ns: int) -> Borrowed:
        older = frozenset(counter for demand in demands for counter in demand.also)
        if older:
            # What is free of an older bucket of a rolling window is room in the window.
            await self._give_back(lambda c: c.free, only=older)
        wants = []
        for demand in demands:
            counter = self._counters.get(demand.counter)
            if counter is None:
                counter = self._counters[demand.counter] = _Counter(demand)
            wants.append(Want(demand, max(0, demand.amount - counter.free)))
        borrowed = await self._ask(partial(self._books.borrow, self.instance, wants, now_ns))
        for standing in borrowed.standings:
            self._counters[standing.counter].apply(standing)
        return borrowed

    async def _give_back(self, spare: Callable[[_Counter], int], *, only: frozenset[str] | None = None) -> None:
        amounts = {}
        for name, counter in self._counters.items():
            if only is not None and name not in only:
                continue
            amount = spare(counter)
            if amount > 0:
                counter.lease -= amount
                amounts[name] = amount
        if amounts:
            await self._ask(partial(self._books.give_back, self.instance, amounts, self._clock()))

    def _end_of_second(self) -> None:
        now_ns = self._clock()
        for name, counter in list(self._counters.items()):
            counter.taken = 0
            over = counter.ends_at_ns is not None and counter.ends_at_ns < now_ns
            if over and not counter.used and counter.lease <= 0:
                del self._counters[name]

    def _take(self, call_id: str, demands: Sequence[Demand], counters: Sequence[_Counter | None]) -> Admitted:
        """Hold every demand whose counter is there."""
        would_refuse: list[str] = []
        holds: list[int | None] = []
        for demand, counter in zip(demands, counters, strict=True):
            if counter is None:
                holds.append(None)
                continue
            counter.used += demand.amount
            counter.taken += demand.amount
            holds.append(demand.amount)
            if demand.enforce == "observe" and counter.spent + counter.others + counter.used > counter.allowed:
                would_refuse.append(demand.counter)
        self._holds[call_id] = (demands, holds)
        return Admitted(would_refuse=tuple(would_refuse)) if would_refuse else _ADMITTED

    def _refusal(self, demands: Sequence[Demand], borrowed: Borrowed) -> tuple[Refused, bool] | tuple[None, bool]:
        """The first demand that does not fit, and whether it may when others give back; None when all do."""
        for demand, standing in zip(demands, borrowed.standings, strict=True):
            counter = self._counters[demand.counter]
            soft = demand.enforce == "soft" and counter.spent_by_now >= counter.allowed
            missing = 0 if borrowed.granted else demand.amount - counter.free
            if not soft and missing <= standing.room:
                continue
            level = counter.level(demand.counter)
            refused = Refused(
                demand=demand,
                spent=level.spent,
                held=level.held,
                allowed=level.allowed,
                frees_at_ns=demand.ends_at_ns if soft else standing.frees_at_ns,
            )
            return refused, not soft and missing <= standing.room + counter.others
        return None, False

    def _without_books(self, call_id: str, demands: Sequence[Demand]) -> Answer:
        """What the policies say of a ledger that cannot be reached."""
        found: list[_Counter | None] = []
        for demand in demands:
            counter = self._counters.get(demand.counter)
            enough = counter is not None and counter.free >= demand.amount
            if not enough and demand.when_unavailable == "deny" and demand.enforce != "observe":
                return Refused(demand=demand, unavailable=True)
            found.append(counter if enough else None)
        uncounted = tuple(demand.counter for demand, counter in zip(demands, found, strict=True) if counter is None)
        return msgspec.structs.replace(self._take(call_id, demands, found), uncounted=uncounted)

    def _count(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1


_ADMITTED = Admitted()
