"""What calls of the past would have met under some policies: who would have been refused, by what, and what that saves.

The calls come in the order of time, one after the other, with what they used; the ledger is a simulated one in memory,
with the windows of the policies. Its memory is one number for each counter that still counts. PURE.

What it cannot know
-------------------
A call holds here what it used, not the worst case that it would have held: bodies are not stored. So what is counted as
refused is the least that would have been. A call that was refused in its time has no cost and is left out, as is one
that nobody has a bound for; and an app that is refused may do something else than it did. Top-ups are not counted.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from policies.compiled import Budget
from policies.decision import Allow, Deny
from policies.demand import MONEY_SCALE, Demand, Level, is_currency
from policies.downgrade import downgraded
from policies.engine import Engine
from policies.facts import CallFacts
from policies.ledger.arithmetic import carried, refilled
from policies.plan import Router
from policies.spent import whole
from policies.wording import number_text
from proxy.core.pricing import exact_sum

_NS = 10**9
_SWEEP_NS = 86_400 * _NS
_UNBOUNDED = "policy_unbounded"
_RULE_PARTS = 2


class StoredCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as its row has it."""

    at_ns: int
    """When it began, Unix time."""
    duration_ns: int
    facts: CallFacts
    """With what it used as its bounds."""
    was_refused: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    units: dict[str, Decimal] = {}
    costs: dict[str, Decimal] = {}
    """Currency -> amount; empty where nothing is known."""


class RuleTally(msgspec.Struct, kw_only=True):
    """What one rule did."""

    refused: int = 0
    would_refuse: int = 0
    """In shadow, or only observed."""
    clamped: int = 0
    """Calls that would have gone with a lower output limit."""
    saved: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Currency -> what the refused calls had cost."""


class BudgetCurve(msgspec.Struct, kw_only=True):
    """How full a budget became."""

    unit: str
    counters: int = 0
    """Scopes and windows that were drawn on."""
    passed: int = 0
    """Counters that reached their limit."""
    by_day: dict[str, str] = msgspec.field(default_factory=dict)
    """Day (UTC) -> what was spent on it, of all counters."""
    fullest: str = ""
    """The counter that came nearest to its limit, or passed it furthest."""
    fullest_spent: str = "0"
    fullest_limit: str = "0"
    fullest_percent: int = 0


class Replayed(msgspec.Struct, kw_only=True):
    """What became of all calls."""

    calls: int = 0
    refused: int = 0
    downgraded: dict[str, int] = msgspec.field(default_factory=dict)
    """Model that would have been asked for instead -> calls."""
    routes: dict[str, int] = msgspec.field(default_factory=dict)
    """Route -> calls that would have taken it."""
    saved_by_downgrades: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Currency -> what downgraded calls had cost more than they would have, by the prices of both models."""
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    """Why nothing can be said -> calls."""
    costs: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Currency -> what all calls had cost."""
    saved: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """Currency -> what the refused ones had cost."""
    rules: dict[str, RuleTally] = msgspec.field(default_factory=dict)
    budgets: dict[str, BudgetCurve] = msgspec.field(default_factory=dict)


class Replay:
    """One set of policies on its way through the past. Calls are to be offered in the order of time.

    Args:
        engine: The policies.
        providers: Configured providers -> the dialects that each speaks, for downgrades to another one.
    """

    def __init__(self, engine: Engine, providers: Mapping[str, Container[str]] | None = None) -> None:
        self._engine = engine
        self._providers = providers or {}
        self._router = Router(engine.policies.routing.routes)
        self._routes: Counter[str] = Counter()
        self._ledger = _Ledger()
        self._curves = {one.policy: _Curve(one) for one in engine.policies.budgets}
        self._seen = Replayed()
        self._left_out: Counter[str] = Counter()
        self._downgraded: Counter[str] = Counter()

    def offer(self, call: StoredCall) -> None:
        """Decide one call, and draw on the counters as it did."""
        seen = self._seen
        seen.calls += 1
        for currency, cost in call.costs.items():
            _add(seen.costs, currency, cost)
        if call.was_refused:
            self._left_out["refused_then"] += 1
            return
        decision = self._engine.decide(call.facts, call.at_ns, self._ledger.level)
        if isinstance(decision, Deny):
            if decision.code == _UNBOUNDED:
                self._left_out["bound_not_known"] += 1
            else:
                self._refuse(_rule_of(decision), call)
            return
        self._draw(*self._routed(call, decision))

    def result(self) -> Replayed:
        """Everything so far."""
        return msgspec.structs.replace(
            self._seen,
            left_out=dict(self._left_out),
            routes=dict(self._routes),
            downgraded=dict(self._downgraded),
            budgets={name: curve.told() for name, curve in self._curves.items()},
        )

    def _routed(self, call: StoredCall, decision: Allow) -> tuple[StoredCall, Allow]:
        """The call on its route: as it would have been where it is downgraded, else as it was."""
        routing, now_ns = self._engine.policies.routing, call.at_ns
        change = downgraded(call.facts, decision, routing, self._router, self._providers, now_ns)
        route = change.route if change else self._router.find(call.facts, now_ns)
        if route is not None:
            self._routes[route.name] += 1
        if change is None:
            return call, decision
        anew = self._engine.decide(change.call, now_ns, self._ledger.level)
        if isinstance(anew, Deny):
            return call, decision
        costs = {currency: cost * self._share(call, change.call) for currency, cost in call.costs.items()}
        for currency, cost in call.costs.items():
            _add(self._seen.saved_by_downgrades, currency, cost - costs[currency])
        cheaper = msgspec.structs.replace(call, facts=change.call, costs=costs)
        return cheaper, msgspec.structs.replace(anew, downgrade=decision.downgrade)

    def _share(self, call: StoredCall, instead: CallFacts) -> Decimal:
        """What the same tokens cost at the other model, for each unit that they did; 1 where nobody knows."""
        was, would = (
            self._engine.rates.find(one.provider, one.request.model, one.operation, call.at_ns)
            for one in (call.facts, instead)
        )
        if was is None or would is None or was.currency != would.currency:
            return Decimal(1)
        inputs, outputs = call.input_tokens or 0, call.output_tokens or 0
        before = was.input_nano * inputs + was.output_nano * outputs
        after = would.input_nano * inputs + would.output_nano * outputs
        return Decimal(after) / before if before else Decimal(1)

    def _draw(self, call: StoredCall, decision: Allow) -> None:
        ledger, drawn = self._ledger, []
        ledger.sweep(call.at_ns)
        for demand in decision.demands:
            amount = used(call, demand)
            room = ledger.room(demand, call.at_ns)
            if not _fits(demand, amount, room):
                rule = self._rule(demand.policy)
                if demand.enforce == "observe":
                    rule.would_refuse += 1
                elif (less := self._clamped(call, demand, amount, room)) is not None:
                    rule.clamped += 1
                    amount = less
                else:
                    self._refuse(demand.policy, call)
                    return
            drawn.append((demand, amount))
        if decision.downgrade:
            self._downgraded[decision.downgrade] += 1
        for demand, amount in drawn:
            curve = self._curves.get(demand.policy)
            is_new = ledger.is_new(demand.counter)
            spent = ledger.take(demand, amount, call)
            if curve is not None:
                curve.add(demand, amount, spent, call.at_ns, is_new=is_new)

    def _clamped(self, call: StoredCall, demand: Demand, amount: int, room: int) -> int | None:
        """What a call draws that would have gone with less output; None where it would not have gone at all.

        Read off the share that its output had of it; the prices of the two are not looked at.
        """
        rule = next(
            (one.rule for one in self._engine.matcher.find(call.facts, call.at_ns) if _is(one.rule, demand)), None
        )
        outputs = call.output_tokens or 0
        if not isinstance(rule, Budget) or rule.clamp_min is None or outputs <= rule.clamp_min or room <= 0:
            return None
        inputs = 0 if demand.unit == "output_tokens" else call.input_tokens or 0
        least = -(-amount * (inputs + rule.clamp_min) // (inputs + outputs))
        return room if least <= room else None

    def _refuse(self, policy: str, call: StoredCall) -> None:
        rule = self._rule(policy)
        rule.refused += 1
        self._seen.refused += 1
        for currency, cost in call.costs.items():
            for saved in (rule.saved, self._seen.saved):
                _add(saved, currency, cost)

    def _rule(self, policy: str) -> RuleTally:
        return self._seen.rules.setdefault(policy, RuleTally())


class _Ledger:
    """Counters as they stand at the instant of the last call."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._ends_ns: dict[str, int] = {}
        self._also: dict[str, tuple[str, ...]] = {}
        self._buckets: dict[str, tuple[int, int]] = {}
        self._open: dict[str, list[int]] = defaultdict(list)
        self._swept_ns = 0

    def level(self, counter: str) -> Level | None:
        """How full a counter is, as the thresholds look at it."""
        spent = self._used(counter, self._also.get(counter, ()))
        return Level(counter=counter, spent=spent, held=0, allowed=0) if spent else None

    def room(self, demand: Demand, now_ns: int) -> int:
        """What is left of a counter."""
        if demand.kind == "rate":
            level, at_ns = self._buckets.get(demand.counter, (demand.limit, now_ns))
            self._buckets[demand.counter] = refilled(level, at_ns, demand, now_ns, 0)
            return self._buckets[demand.counter][0]
        if demand.kind == "concurrent":
            under_way = self._open[demand.counter]
            while under_way and under_way[0] <= now_ns:
                heapq.heappop(under_way)
            return demand.limit - len(under_way)
        allowed = demand.limit
        if demand.carry is not None:
            allowed += carried(demand.carry, self._spent.get(demand.carry.counter, 0))
        return allowed - self._used(demand.counter, demand.also)

    def is_new(self, counter: str) -> bool:
        """Whether nobody has drawn on it yet."""
        return counter not in self._spent

    def take(self, demand: Demand, amount: int, call: StoredCall) -> int:
        """Draw on a counter; what has been spent of it then, older buckets included."""
        counter = demand.counter
        if demand.kind == "rate":
            level, at_ns = self._buckets[counter]
            self._buckets[counter] = (level - amount, at_ns)
            return 0
        if demand.kind == "concurrent":
            heapq.heappush(self._open[counter], call.at_ns + call.duration_ns)
            return 0
        if demand.ends_at_ns is not None and counter not in self._spent:
            # What a window leaves to the next one is still asked for.
            length_ns = demand.ends_at_ns - demand.starts_at_ns
            self._ends_ns[counter] = demand.ends_at_ns + (length_ns if demand.carry is not None else 0)
        if demand.also:
            self._also[counter] = demand.also
        self._spent[counter] = self._spent.get(counter, 0) + amount
        return self._used(counter, demand.also)

    def sweep(self, now_ns: int) -> None:
        """Forget counters that count no more, once a day."""
        if now_ns - self._swept_ns < _SWEEP_NS:
            return
        self._swept_ns = now_ns
        for counter in [name for name, ends_ns in self._ends_ns.items() if ends_ns <= now_ns]:
            del self._ends_ns[counter], self._spent[counter]
            self._also.pop(counter, None)

    def _used(self, counter: str, also: tuple[str, ...]) -> int:
        return self._spent.get(counter, 0) + sum([self._spent.get(older, 0) for older in also])


class _Curve:
    """A budget on its way."""

    def __init__(self, budget: Budget) -> None:
        self._curve = BudgetCurve(unit=budget.unit)
        self._by_day: dict[int, int] = defaultdict(int)
        self._fullest = (-1.0, "", 0, 0)

    def add(self, demand: Demand, amount: int, spent: int, at_ns: int, *, is_new: bool) -> None:
        """A call has drawn on one of its counters, of which so much is spent now."""
        self._by_day[at_ns // _SWEEP_NS] += amount
        self._curve.counters += is_new
        self._curve.passed += spent >= demand.stated > spent - amount
        share = spent / demand.stated if demand.stated else float(spent > 0)
        if share > self._fullest[0]:
            self._fullest = (share, demand.counter, spent, demand.stated)

    def told(self) -> BudgetCurve:
        """The summary."""
        unit = self._curve.unit
        share, counter, spent, limit = self._fullest
        return msgspec.structs.replace(
            self._curve,
            by_day={
                f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}": number_text(amount, unit)
                for day, amount in sorted(self._by_day.items())
            },
            fullest=counter,
            fullest_spent=number_text(spent, unit),
            fullest_limit=number_text(limit, unit),
            fullest_percent=max(0, int(share * 100)),
        )


def used(call: StoredCall, demand: Demand) -> int:
    """What a call used of a counter, in whole numbers of its unit; what nobody knows is nothing."""
    unit = demand.unit
    if unit in {"calls", "concurrent"}:
        return 1
    if not call.facts.billable:
        return 0
    if is_currency(unit):
        amount = call.costs.get(unit, Decimal(0))
        if demand.bill and demand.exchange is not None:
            amount += call.costs.get(demand.bill, Decimal(0)) * demand.exchange
        return whole(amount, unit)
    inputs, outputs = call.input_tokens or 0, call.output_tokens or 0
    tokens = {"tokens": inputs + outputs, "input_tokens": inputs, "output_tokens": outputs}
    return tokens[unit] if unit in tokens else whole(call.units.get(unit, Decimal(0)), unit)


def _fits(demand: Demand, amount: int, room: int) -> bool:
    return room > 0 if demand.enforce == "soft" and demand.kind == "budget" else amount <= room


def _add(amounts: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    amounts[currency] = exact_sum((amounts.get(currency, Decimal(0)), amount))


def _is(rule: object, demand: Demand) -> bool:
    return getattr(rule, "policy", "") == demand.policy


def _rule_of(decision: Deny) -> str:
    """The rule that refused, by the last of the reasons: `budget:x`, `key:ci`."""
    said = decision.reasons[-1] if decision.reasons else decision.code
    return ":".join(said.split(":")[:_RULE_PARTS])


def money_text(amounts: Mapping[str, Decimal]) -> str:
    """`12.5 USD, 3 CNY`; a dash for nothing."""
    shown = [
        f"{round(amount, MONEY_SCALE).normalize():f} {currency}"
        for currency, amount in sorted(amounts.items())
        if amount
    ]
    return ", ".join(shown) or "-"
