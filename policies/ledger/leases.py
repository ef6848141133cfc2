"""The ledger of a worker: it admits calls in memory, from what it has borrowed from the books.

Rules of this file:
1. `try_admit`, `settle` and `release` touch memory only.
2. Between two awaits nothing is half done: a call holds all of its demands or none.
3. All work with the books goes through one lock and one thread, so that what they said is applied in the order in which
   they did it, even where the call that asked has gone away.
4. A lease never counts as free what the books may already have given to another: it shrinks here before it is given
   back. What a call finds free when it begins to borrow is set aside for it meanwhile, and so is what it borrowed, from
   the moment at which the books' answer is applied until the call goes on.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, TypeVar

import msgspec
import structlog

from policies.demand import MAX_AMOUNT, Admitted, Answer, Demand, Level, Refused
from policies.ledger.arithmetic import is_strict
from policies.ledger.books import Books, BooksLostError, BooksUnavailableError, Borrowed, Want
from policies.ledger.counter import LeasedCounter
from policies.ledger.refusing import refusal, refused_by
from policies.ledger.tending import Tending

T = TypeVar("T")

GLANCE_S = 0.05
"""How often a worker with leases looks whether another one needs them."""
RECLAIM_S = 0.25
"""How long a call that does not fit waits for others to give back what they do not use: they look five times in it."""
_POLL_S = 0.02
_CROWD = 8
"""So many calls that wait ask at the full pace; more of them take turns."""
_REST = 5
"""With nothing on lease, one look in so many is enough."""
_ADMITTED = Admitted()

_Held = tuple[Sequence[Demand], Sequence[LeasedCounter | None], list[int] | None]
"""What a call holds: its demands, their counters (None where one could not be reached), and the amounts where they are
no longer those of the demands."""


class LeasedLedger:
    """A ledger over books that others use as well.

    Args:
        books: Used from one thread of the ledger's own, and closed with it.
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
        self._reclaim_s = reclaim_s
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lock = asyncio.Lock()
        self._counters: dict[str, LeasedCounter] = {}
        self._tending = Tending(books, instance, self._counters, clock)
        self._holds: dict[str, _Held] = {}
        self._passing = count()
        self._waiting = 0
        self._asked: asyncio.Future[Any] | None = None
        """What the books are doing, or have done and is not applied yet."""
        self._down = False
        """Whether the books did not answer when they were last asked."""
        self._glancing = self._loop.create_task(self._glance_for_ever())

    # memory only

    def try_admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer | None:
        """See policies.demand.Ledger."""
        del now_ns
        if call_id in self._holds:
            return _ADMITTED
        counters = self._counters
        found: list[LeasedCounter | None] = []
        over: list[str] | None = None
        for demand in demands:
            counter = counters.get(demand.counter)
            if counter is None:
                break
            amount = demand.amount
            used = counter.used + amount
            enforce = demand.enforce
            if used > counter.lease or counter.limit != demand.limit or counter.enforce != enforce:
                break
            counter.used = used
            counter.taken += amount
            found.append(counter)
            if enforce != "hard":
                if enforce == "soft" and counter.spent_by_now >= counter.allowed and not is_strict(demand):
                    break
                if enforce == "observe" and counter.is_over:
                    over = [*(over or ()), demand.counter]
        else:
            self._holds[call_id] = (demands, found, None)
            return _ADMITTED if over is None else Admitted(would_refuse=tuple(over))
        for demand, counter in zip(demands, found, strict=False):
            if counter is not None:
                counter.used -= demand.amount
                counter.taken -= demand.amount
        return None

    def settle(self, call_id: str, amounts: Sequence[int | None], now_ns: int) -> None:
        """See policies.demand.Ledger."""
        del now_ns
        held = self._holds.pop(call_id, None)
        if held is None:
            return
        demands, counters, holds = held
        for position, counter in enumerate(counters):
            if counter is None:
                continue
            demand = demands[position]
            hold = demand.amount if holds is None else holds[position]
            spent = amounts[position]
            if spent is None:
                spent = hold
            if demand.kind == "budget":
                counter.used -= hold
                if spent > hold:
                    # It may have been let go of meanwhile, where nothing was held of it.
                    counter = self._tending.counter(demand)  # noqa: PLW2901 - the one that counts now
                counter.used += spent
                counter.settled += spent
            else:
                counter.used -= hold
                if demand.kind == "rate":
                    counter.lease -= hold
                    counter.owed += hold - spent

    def release(self, call_id: str, now_ns: int) -> None:
        """See policies.demand.Ledger."""
        held = self._holds.get(call_id)
        if held is not None:
            self.settle(call_id, [0] * len(held[0]), now_ns)

    def held(self, call_id: str) -> Sequence[int | None]:
        """What is held for a call under way, for each of its demands; None where its counter could not be reached."""
        held = self._holds.get(call_id)
        if held is None:
            return ()
        demands, counters, holds = held
        amounts = holds if holds is not None else [demand.amount for demand in demands]
        return [None if counter is None else amount for counter, amount in zip(counters, amounts, strict=True)]

    def level(self, counter: str) -> Level | None:
        """See policies.demand.Ledger."""
        known = self._counters.get(counter)
        return known.level() if known is not None and known.heard else None

    def levels(self) -> Mapping[str, Level]:
        """See policies.demand.Ledger."""
        return {name: counter.level() for name, counter in self._counters.items() if counter.heard}

    # with the books

    async def admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer:
        """See policies.demand.Ledger."""
        until_s = self._loop.time() + self._reclaim_s
        while True:
            answer = self._at_once(call_id, demands, now_ns)
            if answer is not None:
                return answer
            async with self._lock:
                answer = self._at_once(call_id, demands, now_ns)
                if answer is not None:
                    return answer
                try:
                    answer, may_change = await self._borrow(call_id, demands, now_ns)
                except BooksUnavailableError as error:
                    self._failed(error)
                    return self._without_books(call_id, demands)
                self._answered()
            if isinstance(answer, Admitted):
                return answer
            if not may_change or self._loop.time() >= until_s:
                self._remember(answer)
                return answer
            self._waiting += 1
            try:
                await asyncio.sleep(_POLL_S * max(1.0, self._waiting / _CROWD))
            finally:
                self._waiting -= 1

    async def extend(self, call_id: str, amounts: Sequence[int], now_ns: int) -> Answer:
        """See policies.demand.Ledger."""
        held = self._holds.get(call_id)
        if held is None:
            return _ADMITTED
        demands = held[0]
        # What could not be counted at first is not counted later on; and a spent soft budget would refuse even nothing.
        positions = [position for position, one in enumerate(held[1]) if one is not None and amounts[position]]
        more = [msgspec.structs.replace(demands[position], amount=amounts[position]) for position in positions]
        passing = f"{call_id}+{next(self._passing)}"
        answer = await self.admit(passing, more, now_ns)
        taken = self._holds.pop(passing, None)
        if taken is None:
            return answer
        now_held = self._holds.get(call_id)
        if now_held is None:
            # The call ended while it waited.
            self._holds[passing] = taken
            self.release(passing, now_ns)
            return answer
        holds = now_held[2] if now_held[2] is not None else [demand.amount for demand in demands]
        for position, demand, counter in zip(positions, more, taken[1], strict=True):
            if counter is not None:
                holds[position] += demand.amount
        self._holds[call_id] = (demands, now_held[1], holds)
        return answer

    async def close(self) -> None:
        """Give back what is free. What calls have set aside stays until the recorder has posted it."""
        self._glancing.cancel()
        await asyncio.gather(self._glancing, return_exceptions=True)
        async with self._lock:
            try:
                await self._ask(self._tending.all_back())
            except BooksUnavailableError as error:
                self._failed(error)
        self._thread.submit(self._books.close)
        self._thread.shutdown(wait=False)

    async def look(self) -> None:
        """See how the leases stand, give up what another process wants, and from time to time what is not needed."""
        tending = self._tending
        if not self._counters and not self._down:
            return
        async with self._lock:
            try:
                await self._heard()
                tending.apply(await self._ask(tending.glance()))
                for work in tending.due(self._loop.time()):
                    await self._ask(work)
                self._answered()
            except BooksUnavailableError as error:
                self._failed(error, of_a_call=False)

    async def _glance_for_ever(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(GLANCE_S)
            turn += 1
            if not (self._tending.lent or self._down) and turn % _REST:
                continue
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a mistake must not end the giving back for good
                self._count("ledger_mistake")
                structlog.get_logger().exception("a mistake of the ledger")

    async def _ask(self, work: Callable[[], T], apply: Callable[[T], None] = lambda _: None) -> T:
        """Do it in the books' thread. Its outcome is applied in any case, before anything later is."""
        asked = self._loop.run_in_executor(self._thread, work)

        def done(future: "asyncio.Future[T]") -> None:
            if self._asked is future:
                self._asked = None
            if not future.cancelled() and future.exception() is None:
                apply(future.result())

        asked.add_done_callback(done)
        self._asked = asked
        return await asyncio.shield(asked)

    async def _heard(self) -> None:
        """Wait until what was asked last is answered and applied: whoever asked may have gone away."""
        if self._asked is not None:
            await asyncio.wait([self._asked])
        if self._asked is not None:
            # It was done already, and its answer is to be applied in this turn of the loop.
            await asyncio.sleep(0)

    def _at_once(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer | None:
        """The answer where memory has it: room, a refusal that still holds, or books that do not answer."""
        answer = self.try_admit(call_id, demands, now_ns)
        if answer is not None:
            return answer
        if self._down:
            self._count("ledger_unavailable")
            return self._without_books(call_id, demands)
        now_s = self._loop.time()
        for demand in demands:
            counter = self._counters.get(demand.counter)
            if counter is not None and counter.refuses(demand, now_s, now_ns):
                return refused_by(demand, counter, counter.frees_at_ns)
        return None

    async def _borrow(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> tuple[Answer, bool]:
        """Admit from what the books lend; else a refusal, and whether it may change when others give back."""
        await self._heard()
        if self._tending.since < 0:
            self._tending.apply(await self._ask(self._tending.glance()))
        if (work := self._tending.before(demands)) is not None:
            await self._ask(work)
        counters = [self._tending.counter(demand) for demand in demands]
        wants: list[Want] = []
        kept: list[int] = []
        for demand, counter in zip(demands, counters, strict=True):
            free = counter.free
            part = max(0, min(demand.amount, free))
            counter.used += part
            kept.append(part)
            wants.append(Want(demand, demand.amount - part - min(0, free)))
        waits = True

        def apply(borrowed: Borrowed) -> None:
            for position, (demand, standing) in enumerate(zip(demands, borrowed.standings, strict=True)):
                counter = self._tending.counter(demand)
                counter.borrowed(demand, standing)
                if borrowed.granted and waits:
                    # At once: other calls come before the one that waits hears of it.
                    counter.used += demand.amount - kept[position]
                    kept[position] = demand.amount

        try:
            borrowed = await self._ask(partial(self._books.borrow, self.instance, wants, now_ns), apply)
        finally:
            waits = False
            for counter, part in zip(counters, kept, strict=True):
                counter.used -= part
        # Nothing is awaited from here on: what was set aside cannot be taken by another.
        refused = refusal(wants, counters, borrowed)
        if refused is not None:
            return refused
        for demand, counter in zip(demands, counters, strict=True):
            counter.used += demand.amount
            counter.taken += demand.amount
        self._holds[call_id] = (demands, counters, None)
        over = tuple(
            demand.counter
            for demand, counter in zip(demands, counters, strict=True)
            if demand.enforce == "observe" and counter.is_over
        )
        return (Admitted(would_refuse=over) if over else _ADMITTED), False

    def _remember(self, refused: Refused) -> None:
        """A crowd of calls at a cap is not to ask the books one by one."""
        demand = refused.demand
        counter = self._counters.get(demand.counter)
        if counter is not None:
            # A soft budget that is spent refuses the smallest call.
            need = demand.amount - counter.free if is_strict(demand) else -MAX_AMOUNT
            counter.refuse(need, refused.frees_at_ns, self._loop.time())

    def _without_books(self, call_id: str, demands: Sequence[Demand]) -> Answer:
        """What the policies say of a ledger that cannot be reached."""
        found: list[LeasedCounter | None] = []
        for demand in demands:
            counter = self._counters.get(demand.counter)
            enough = counter is not None and counter.free >= demand.amount
            if not enough and demand.when_unavailable == "deny" and demand.enforce != "observe":
                return Refused(demand=demand, unavailable=True)
            found.append(counter if enough else None)
        for demand, counter in zip(demands, found, strict=True):
            if counter is not None:
                counter.used += demand.amount
                counter.taken += demand.amount
        self._holds[call_id] = (demands, found, None)
        return Admitted(uncounted=tuple(d.counter for d, c in zip(demands, found, strict=True) if c is None))

    def _answered(self) -> None:
        if self._down:
            self._down = False
            structlog.get_logger().info("the ledger answers again")

    def _failed(self, error: BooksUnavailableError, *, of_a_call: bool = True) -> None:
        if of_a_call:
            self._count("ledger_unavailable")
        self._tending.missed(self._loop.time())
        if isinstance(error, BooksLostError):
            self._tending.lost()
        if not self._down:
            self._down = True
            structlog.get_logger().error(
                "the ledger does not answer: each policy says what becomes of calls", why=str(error)
            )

    def _count(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1
