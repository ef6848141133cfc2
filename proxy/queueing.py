"""Calls that wait for a limit of a provider, in place of being refused at once.

A limit with `queue` has a line for each of its counters, in the memory of the worker. Rules of this file:
- The line is fair between callers: each in turn gets one of its calls to the front, however many it has waiting.
- Nobody passes a line: while somebody waits for a counter, a call that draws on it waits behind.
- Only the call at the front asks the ledger, whose answers are exact across workers; each worker has a line of its own.
- A call leaves the line when its app leaves, when its time is over, and when the task that it runs in ends. What it
  waited for is held only once it is admitted.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from policies.compiled import Limit
from policies.demand import Answer, Demand, Ledger, Refused
from proxy.call import Call

_NS = 10**9
_LEAST_S = 0.001
_LOOK_S = 0.25
"""How often the front looks where nobody knows when there will be room: another worker may have given some back."""


class Pause(Protocol):
    """Waits for one of some futures, but no longer than so many seconds."""

    async def __call__(self, futures: Collection[asyncio.Future[None]], timeout_s: float) -> None:
        """See above."""


async def _pause(futures: Collection[asyncio.Future[None]], timeout_s: float) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


class Line:
    """Who waits for one counter.

    Args:
        refused: Why there is a line.
    """

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        """The last no of the ledger."""
        self.front: asyncio.Future[None] | None = None
        """Whose turn it is."""
        self.size = 0
        self._callers: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def join(self, caller: str, turn: asyncio.Future[None]) -> None:
        """Wait behind the other calls of one's caller, and that behind the other callers."""
        self.size += 1
        self._callers.setdefault(caller, deque()).append(turn)
        if self.front is None:
            self._next()

    def leave(self, caller: str, turn: asyncio.Future[None]) -> None:
        """Have no more use for a place, at the front or before."""
        self.size -= 1
        if self.front is turn:
            self._next()
            return
        own = self._callers[caller]
        own.remove(turn)
        if not own:
            del self._callers[caller]

    def _next(self) -> None:
        self.front = None
        if not self._callers:
            return
        caller, own = self._callers.popitem(last=False)
        self.front = own.popleft()
        if own:
            self._callers[caller] = own
        if not self.front.done():
            self.front.set_result(None)


class Waiting:
    """Asks the ledger for calls, and lets those wait whose limit has a queue.

    Args:
        ledger: Who holds the counters.
        clock: Unix time in nanoseconds, as the ledger takes it.
        now_s: Of a clock that only goes forward.
        pause: How to wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Callable[[], int] = time.time_ns,
        now_s: Callable[[], float] = time.monotonic,
        pause: Pause = _pause,
    ) -> None:
        self.lines: dict[str, Line] = {}
        """By counter; none where nobody waits."""
        self._ledger = ledger
        self._clock = clock
        self._now_s = now_s
        self._pause = pause
        self._queues: dict[str, Limit] = {}
        self._changed: asyncio.Future[None] | None = None

    def install(self, limits: Iterable[Limit]) -> None:
        """Take new policies; whoever waits goes on waiting by the old ones."""
        self._queues = {limit.policy: limit for limit in limits if limit.queue_most}

    def wake(self) -> None:
        """A call has ended: there may be room. To be called where there are lines."""
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def admit(self, call: Call, demands: Sequence[Demand], now_ns: int) -> Answer:
        """Hold all demands or none; comes back when they are held, or when waiting is over or no use."""
        demand = self._in_line(demands)
        answer: Answer | None = None
        if demand is None:
            answer = await self._ledger.admit(call.call_id, demands, now_ns)
            if not isinstance(answer, Refused) or (demand := self._queued(answer)) is None:
                return answer
        began_s = self._now_s()
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call.waits = gone
        try:
            while True:
                limit = self._queues[demand.policy]
                until_s = began_s + limit.queue_wait_ns / _NS
                answer = await self._in_turn(call, demands, demand, limit.queue_most, until_s, answer)
                # Another limit with a line may be in the way now.
                again = self._queued(answer) if isinstance(answer, Refused) and not gone.done() else None
                if again is None or again.counter == demand.counter:
                    return answer
                demand = again
        finally:
            call.waits = None
            call.reasons.append(f"{demand.policy}:queued={self._now_s() - began_s:.3f}s")

    def _in_line(self, demands: Sequence[Demand]) -> Demand | None:
        """The demand that others wait for already."""
        if not self.lines:
            return None
        return next((one for one in demands if one.counter in self.lines and one.policy in self._queues), None)

    def _queued(self, refused: Refused) -> Demand | None:
        """What to wait for; None where that is not done, or no time would help."""
        demand = refused.demand
        too_large = demand.kind == "rate" and demand.amount > demand.limit
        return None if refused.unavailable or too_large or demand.policy not in self._queues else demand

    async def _in_turn(
        self, call: Call, demands: Sequence[Demand], demand: Demand, most: int, until_s: float, known: Answer | None
    ) -> Answer:
        counter = demand.counter
        line = self.lines.get(counter)
        if line is None:
            line = self.lines[counter] = Line(known if isinstance(known, Refused) else Refused(demand=demand))
        if line.size >= most:
            return replace(line.refused, demand=demand)
        caller = call.key or call.caller.key_id or f"{call.caller.team}/{call.caller.user}"
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.join(caller, turn)
        gone = call.waits
        waits_for = {turn} if gone is None else {turn, gone}
        try:
            if not turn.done():
                await self._pause(waits_for, until_s - self._now_s())
            if not turn.done() or call.client_gone:
                return replace(line.refused, demand=demand)
            return await self._at_front(call, demands, line, counter, until_s)
        finally:
            line.leave(caller, turn)
            if not line.size and self.lines.get(counter) is line:
                del self.lines[counter]

    async def _at_front(
        self, call: Call, demands: Sequence[Demand], line: Line, counter: str, until_s: float
    ) -> Answer:
        gone = call.waits
        while True:
            now_ns = self._clock()
            self._changed = changed = asyncio.get_running_loop().create_future()
            answer = await self._ledger.admit(call.call_id, demands, now_ns)
            if not isinstance(answer, Refused) or answer.demand.counter != counter:
                return answer
            line.refused = answer
            left_s = until_s - self._now_s()
            if left_s <= 0 or call.client_gone or answer.unavailable:
                return answer
            frees_at_ns = answer.frees_at_ns
            frees_s = _LOOK_S if frees_at_ns is None else max(_LEAST_S, (frees_at_ns - self._clock()) / _NS)
            waits_for = {changed} if gone is None else {changed, gone}
            await self._pause(waits_for, min(left_s, frees_s))
