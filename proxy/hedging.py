"""Targets of a call that run against each other: a slow one gets another beside it, and the first good answer wins.

Rules of this file:
- Both answers are held back; in the moment in which one is to go out the others are broken off, their connections
  closed. So the app gets bytes of exactly one.
- Every one of them is a row. What a loser cost is what its answer has told by then, else an estimate that says so: the
  provider had the request, and nobody will ever tell.
- Another target is begun only when as much again is held for it, and it stands in the journal beside the first.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from msgspec.structs import replace

from policies.pace import Pace
from policies.routes_compiled import HedgeRule
from proxy.aiming import Aim
from proxy.call import Call
from proxy.core.presumed import estimated_usage, held_usage
from proxy.core.record import AttemptRecord
from proxy.core.usage import Usage
from proxy.held_exchange import HeldExchange
from proxy.routed_attempt import Ended, RoutedAttempt
from proxy.upstream.errors import UpstreamError

LOST = "another target had answered first"
_ORIGIN = "hedge"
_NEVER_SENT = Usage(input_tokens=0, output_tokens=0, source="computed", origin=_ORIGIN, complete=True)
_MS_PER_S = 1000
_NS_PER_MS = 1_000_000


class Paces:
    """How long targets take to their first content, whole answers and streams each for themselves; of one worker."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], Pace] = {}

    def of(self, target_id: str, *, streaming: bool) -> Pace:
        """That of a target."""
        pace = self._known.get((target_id, streaming))
        if pace is None:
            pace = self._known[target_id, streaming] = Pace()
        return pace


class Walk(Protocol):
    """What a race asks of the walk of its call."""

    def try_in(self, lane: "Lane") -> Coroutine[Any, Any, Ended | None]:
        """Make a try at the target of a lane; None where it could not begin."""

    def spare(self, running: int) -> Coroutine[Any, Any, Aim | None]:
        """The next target, with as much held for it as it may cost; None where there is none beside so many."""

    def take(self, aim: Aim) -> None:
        """The spare target is begun: it is none to fall back to any more."""


class Lane:
    """One target in a race."""

    def __init__(self, race: "Race", aim: Aim, *, is_hedge: bool) -> None:
        self.race = race
        self.aim = aim
        self.is_hedge = is_hedge
        """Whether what it may cost is held already."""
        self.lost = False
        """Whether it was broken off, for another one or because the app left."""
        self.attempt: RoutedAttempt | None = None
        self.begun: AttemptRecord | None = None
        self.ended: Ended | None = None
        self.runs = True
        """Whether it is under way."""
        self.task: asyncio.Task[Any] | None = asyncio.current_task()

    def enter(self, attempt: RoutedAttempt, begun: AttemptRecord) -> None:
        """Its attempt is about to begin."""
        self.attempt, self.begun = attempt, begun
        attempt.on_exchange = self._began
        self.race.show_running(self)

    async def run(self, attempt: RoutedAttempt) -> Ended:
        """Make the attempt, to its end or to the moment in which it has lost."""
        try:
            ended = await attempt.run()
        except asyncio.CancelledError:
            if not self.lost or self.task is None or self.task.uncancel():
                raise  # the worker ends, whether it has lost or not
            ended = attempt.give_up(None if self.race.call.client_gone else _lost())
        self.begun = None
        self.ended = ended = self._reckoned(attempt, ended)
        self.race.note(self, ended)
        self.race.show_running(None)
        return ended

    def lose(self) -> None:
        """Break it off where it is."""
        if self.lost or not self.runs:
            return
        self.lost = True
        if self.attempt is None or self.begun is None or self.task is None:
            return  # it is asking the ledger, which is not to be interrupted: it will see that it lost
        exchange = self.attempt.exchange
        if exchange is None or exchange.ended:
            self.task.cancel()
        else:
            exchange.abandon(_lost())

    def claim(self) -> None:
        """Its answer is the one."""
        self.race.claim(self)

    def _began(self, exchange: HeldExchange) -> None:
        exchange.on_going = self.claim
        self.race.watch(exchange)

    def _reckoned(self, attempt: RoutedAttempt, ended: Ended) -> Ended:
        """What a loser cost."""
        record, call = ended.record, self.race.call
        if ended.error is None or ended.error.phase != "hedge" or record.usage.source != "none":
            return ended
        if attempt.exchange is None:
            return replace(ended, record=replace(record, usage=_NEVER_SENT))
        hold = call.permit.hold if call.permit is not None else None
        if hold is not None:
            record = replace(record, usage=held_usage(hold, _ORIGIN), held_cost=hold.cost)
        else:
            usage = estimated_usage(
                model=record.model,
                dialect=record.dialect,
                request_bytes=record.request_bytes,
                max_output_tokens=call.facts.max_output_tokens,
                origin=_ORIGIN,
            )
            record = replace(record, usage=usage)
        return replace(ended, record=replace(record, in_doubt=True))


class Race:
    """The targets of one call that run at the same time.

    Args:
        call: Whose they are.
        rule: The route's.
        paces: Of the worker.
        walk: Of the call.
    """

    def __init__(self, call: Call, rule: HedgeRule, paces: Paces, walk: Walk) -> None:
        self.call = call
        self.won: Lane | None = None
        self.lanes: list[Lane] = []
        self.others = 0
        """How many ran beside the one that counts; known when it is over."""
        self._loop = asyncio.get_running_loop()
        self._rule = rule
        self._paces = paces
        self._walk = walk
        self._more = max(0, rule.most)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, first: Aim) -> Lane | None:
        """Race to the end; gives the lane that won or, where none did, the last one that failed."""
        try:
            # The first target runs in the walk's own task: nearly always it stays alone, and costs no more then.
            await self._run_lane(Lane(self, first, is_hedge=False))
            awaited = 0
            while awaited < len(self._tasks):  # a hedge that is slow gets one beside it
                awaited = len(self._tasks)
                await asyncio.gather(*self._tasks)
        finally:
            self._disarm()
            self.call.beside = ()
            self.call.running_beside = ()
            for task in self._tasks:
                task.cancel()
        over = [lane for lane in self.lanes if lane.ended is not None]
        counts = self.won or (over[-1] if over else None)
        self._part(counts)
        return counts

    def _part(self, counts: Lane | None) -> None:
        """Let go of everything: these refer to each other, and the garbage collector would have to find out."""
        for lane in self.lanes:
            attempt = lane.attempt
            if attempt is None:
                continue
            attempt.on_exchange = None
            if attempt.exchange is not None:
                attempt.exchange.on_going = None
            if lane is not counts:
                attempt.exchange = None
        self.others = len(self.lanes) - 1
        self.lanes.clear()
        self.won = None

    def claim(self, lane: Lane) -> None:
        """The answer of this lane goes to the app: every other one is broken off, now."""
        if self.won is not None:
            return
        self.won = lane
        for other in self.lanes:
            if other is not lane:
                other.lose()
        self.call.beside = ()
        if lane.attempt is not None and lane.attempt.exchange is not None:
            self.call.exchange = lane.attempt.exchange

    def watch(self, exchange: HeldExchange) -> None:
        """An exchange begins; those under way stay known to the call, so that limits and the app's end reach them."""
        exchanges = [lane.attempt.exchange for lane in self.lanes if lane.attempt is not None]
        self.call.beside = tuple(one for one in exchanges if one is not None and one is not exchange and not one.ended)

    def show_running(self, entering: Lane | None) -> None:
        """Put on the call what runs, for its line in the journal."""
        running = [lane.begun for lane in self.lanes if lane.begun is not None and lane is not entering]
        last = entering.begun if entering is not None else running.pop() if running else None
        if last is not None:
            self.call.running = last
        self.call.running_beside = tuple(running)

    def note(self, lane: Lane, ended: Ended) -> None:
        """Learn how long a target took, or had taken by the time at which it lost."""
        if ended.outcome.outcome != "ok" and (not lane.lost or self.call.client_gone):
            return
        took_ns = ended.record.ttft_ns or ended.record.duration_ns
        self._paces.of(lane.aim.target.id, streaming=self.call.streaming).note(took_ns // _NS_PER_MS)

    async def _run_lane(self, lane: Lane) -> None:
        self.lanes.append(lane)
        if self._more > 0:
            self._disarm()
            self._timer = self._loop.call_later(self._after_ms(lane.aim) / _MS_PER_S, self._is_due)
        try:
            ended = await self._walk.try_in(lane)
        finally:
            lane.runs, lane.begun = False, None
        if ended is not None and ended.outcome.outcome == "ok":
            self.claim(lane)
        if not any(other.runs for other in self.lanes):
            self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_due(self) -> None:
        if self.won is None and not self.call.client_gone:
            self._more -= 1
            self._tasks.append(self._loop.create_task(self._hedge()))

    def _after_ms(self, aim: Aim) -> int:
        known_ms = None
        if self._rule.use_p95:
            known_ms = self._paces.of(aim.target.id, streaming=self.call.streaming).p95_ms()
        return self._rule.after_ms if known_ms is None else known_ms

    async def _hedge(self) -> None:
        """Begin another target, where there is one and it may be held for."""
        aim = await self._walk.spare(sum(lane.runs for lane in self.lanes))
        is_over = self.won is not None or self.call.client_gone or not any(lane.runs for lane in self.lanes)
        if aim is not None and not is_over:
            self._walk.take(aim)
            await self._run_lane(Lane(self, aim, is_hedge=True))


def _lost() -> UpstreamError:
    return UpstreamError(LOST, phase="hedge")
