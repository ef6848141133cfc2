"""Calls under way whose hold is no bound: it is extended in steps, and they are ended where a budget has no more.

Rules of this file:
- Nothing of it is on the hot path: the worker's timer looks, four times a second, at calls whose permit says so.
- What is held is raised in the ledger first, in the permit and the journal at once after that: whatever becomes of the
  call, it is settled, or closed after a crash, at what it held last.
- A call is ended only when what it holds is as good as used up: until then each look asks again.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from policies.answers import cut_short
from policies.demand import MONEY_SCALE, Admitted, Demand, Ledger, Refused
from policies.steps import Growth, Step
from policies.wording import amount_text
from proxy.call import Call, Permit
from proxy.core.money import Money
from proxy.core.record import Hold, OpenRecord
from proxy.cutting import cut
from proxy.exchange import Exchange
from proxy.held_exchange import HeldExchange
from proxy.measuring import MeasuringObserver

_MILLION = 1_000_000


class Journal(Protocol):
    """Where raised holds are noted."""

    def open_call(self, record: OpenRecord) -> bool:
        """The last such line of a call counts."""

    def lose(self, reason: str) -> None:
        """Something went wrong that no call may suffer from; counted by reason."""


class Extension:
    """What is held of one exchange, in steps, and who asks for more."""

    __slots__ = ("exchange", "growth", "held", "let_go", "observer", "task")

    def __init__(self, exchange: Exchange, observer: MeasuringObserver, growth: Growth) -> None:
        self.exchange = exchange
        self.observer = observer
        self.growth = growth
        self.held = [1] * len(growth.steps)
        self.let_go: set[int] = set()
        """Places of demands that have no more room, and whose policy lets the call go on."""
        self.task: asyncio.Task[None] | None = None

    def used(self, step: Step) -> int:
        """What of the answer has come, in what the step counts."""
        observer = self.observer
        return observer.tokens if step.counts == "tokens" else observer.passed_bytes + self.exchange.tunnelled_bytes

    def missing(self) -> list[int]:
        """How many further steps each demand needs."""
        return [
            0 if step is None or place in self.let_go else max(0, step.needed(self.used(step)) - self.held[place])
            for place, step in enumerate(self.growth.steps)
        ]


class Extender:
    """One for each worker.

    Args:
        journal: Where raised holds are noted.
        calls: Those under way; a call leaves it in the moment in which it is settled.
        clock: Unix time in nanoseconds, as the ledger takes it.
    """

    def __init__(self, journal: Journal, calls: Collection[Call], *, clock: Callable[[], int] = time.time_ns) -> None:
        self._journal = journal
        self._calls = calls
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, ledger: Ledger) -> None:
        """Ask for more where a hold is nearly used. Called by the worker's timer."""
        for call in self._calls:
            permit = call.permit
            if permit is None or permit.growth is None:
                continue
            extension = _extension(call, permit.growth)
            if extension is None or extension.task is not None or not any(extension.missing()):
                continue
            task = extension.task = asyncio.ensure_future(self._extend(call, extension, ledger))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Ask no more; call it before the ledger is closed."""
        for task in self._tasks:
            task.cancel()

    async def _extend(self, call: Call, extension: Extension, ledger: Ledger) -> None:
        try:
            while any(missing := extension.missing()):
                if not await self._ask(call, extension, ledger, missing):
                    return
        except Exception:  # noqa: BLE001 - a mistake here must not end a stream; it is counted instead
            self._journal.lose("extension_failed")
        finally:
            extension.task = None

    async def _ask(self, call: Call, extension: Extension, ledger: Ledger, missing: Sequence[int]) -> bool:
        """Hold so many steps more; whether there may be more to ask for."""
        permit = call.permit
        if permit is None:
            return False
        steps = extension.growth.steps
        amounts = [number * step.amount if step is not None else 0 for number, step in zip(missing, steps, strict=True)]
        answer = await ledger.extend(call.call_id, amounts, self._clock())
        if call not in self._calls:
            return False  # it was settled meanwhile, and the ledger has given back what came too late
        if isinstance(answer, Refused):
            return self._refused(call, extension, ledger, answer)
        for place, number in enumerate(missing):
            extension.held[place] += number
        self._raise(call, amounts, _more_tokens(steps, missing), answer)
        if not extension.exchange.ended:  # else the next line of the call in the journal has it
            self._journal.open_call(call.opened())
        return False

    def _raise(self, call: Call, amounts: Sequence[int], tokens: int, answer: Admitted) -> None:
        """Note what is held now, in the permit and the reasons."""
        permit = call.permit  # as it is now: another attempt may have held more meanwhile
        if permit is None:
            return
        draws = tuple(
            replace(draw, held=draw.held + amount) for draw, amount in zip(permit.draws, amounts, strict=True)
        )
        kept = {draw.counter for draw in permit.recorded}
        call.permit = replace(
            permit,
            draws=draws,
            recorded=tuple(draw for draw in draws if draw.counter in kept),
            hold=_raised(permit, tokens),
        )
        for demand, draw, amount in zip(permit.demands, draws, amounts, strict=True):
            if amount:
                _say(call, f"{demand.policy}:extended=", amount_text(draw.held, demand.unit).replace(" ", ""))
            if amount and demand.counter in answer.uncounted:
                _say(call, f"{demand.policy}:uncounted")
            if amount and demand.counter in answer.would_refuse:
                _say(call, f"{'shadow:' if demand.shadow else ''}{demand.policy}:would_cut")

    def _refused(self, call: Call, extension: Extension, ledger: Ledger, refused: Refused) -> bool:
        place = _place(call.permit, refused.demand)
        step = extension.growth.steps[place] if place is not None else None
        if place is None or step is None:
            return False
        if not step.cut:
            extension.let_go.add(place)
            _say(call, f"{refused.demand.policy}:finish")
            return True
        exchange = extension.exchange
        if exchange.ended or not step.is_used_up(extension.used(step), extension.held[place]):
            return False
        level = ledger.level(refused.demand.counter)
        if level is not None and not refused.unavailable:
            refused = replace(refused, spent=level.spent, held=level.held, allowed=level.allowed)
        cut(call, exchange, extension.observer, cut_short(refused, self._clock()))
        return False


def _extension(call: Call, growth: Growth) -> Extension | None:
    """That of the exchange under way; None where there is nothing to measure."""
    exchange = call.exchange
    if exchange is None or exchange.ended or not isinstance(exchange.observer, MeasuringObserver):
        return None
    if isinstance(exchange, HeldExchange) and not exchange.is_committed:
        return None  # held back for moments only; another answer may win, or be tried
    extension = call.extension
    if extension is None or extension.exchange is not exchange:
        extension = call.extension = Extension(exchange, exchange.observer, growth)
    return extension


def _place(permit: Permit | None, demand: Demand) -> int | None:
    demands = permit.demands if permit is not None else ()
    return next((place for place, one in enumerate(demands) if one.counter == demand.counter), None)


def _more_tokens(steps: Sequence[Step | None], numbers: Sequence[int]) -> int:
    """The output tokens that further steps are for, by the largest."""
    return max(
        number * step.each if step is not None and step.counts == "tokens" else 0
        for number, step in zip(numbers, steps, strict=True)
    )


def _raised(permit: Permit, tokens: int) -> Hold | None:
    """The most that a call may use, by so many output tokens more."""
    hold, growth = permit.hold, permit.growth
    if hold is None or growth is None or hold.output_tokens is None or not tokens:
        return hold
    cost = hold.cost
    if cost is not None:
        nano = -(-tokens * growth.output_nano // _MILLION)
        cost = Money(cost.amount + Decimal(nano).scaleb(-MONEY_SCALE), cost.currency)
    return replace(hold, output_tokens=hold.output_tokens + tokens, cost=cost)


def _say(call: Call, what: str, figure: str = "") -> None:
    """Put a reason on the row; one of the same kind that is there is replaced."""
    reasons = call.reasons
    place = next((place for place, reason in enumerate(reasons) if reason.startswith(what)), None)
    if place is None:
        reasons.append(what + figure)
    else:
        reasons[place] = what + figure
