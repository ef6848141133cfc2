"""A call tried against policies with counters that somebody states: what `explain` shows and `test` compares. PURE.

The counters here are as full as they are said to be; nothing is written anywhere.
"""

from collections.abc import Mapping, Sequence

import msgspec

from policies.answers import Aftermath, after_admission, refusal
from policies.clamp import clamped
from policies.compiled import Budget
from policies.decision import Allow, Deny
from policies.demand import Admitted, Demand, Level, Refused
from policies.engine import Engine
from policies.facts import CallFacts
from policies.match import Bound, Rule, condition_field, field_value, holds
from policies.routes_compiled import Route
from policies.windows import open_at


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the call does not fall under, and the first condition that keeps it out."""

    rule: Rule
    why: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call, and how."""

    decision: Allow | Deny
    """After the counters have been asked."""
    demands: tuple[Demand, ...]
    """What it draws on; also where it was refused."""
    matched: tuple[Bound, ...]
    missed: tuple[Missed, ...]
    aftermath: Aftermath
    reasons: tuple[str, ...]
    """All that would stand on its record."""


def attempt(engine: Engine, call: CallFacts, now_ns: int, spent: Mapping[str, int]) -> Trial:
    """Try a call.

    Args:
        engine: The policies.
        call: Its facts.
        now_ns: When, Unix time.
        spent: What is spent, in whole numbers of the unit's scale, by family (`budget:search|team=a`) or counter.
    """
    matched = tuple(engine.matcher.find(call, now_ns))
    decision = engine.decide(call, now_ns, lambda counter: _level(counter, spent))
    demands = decision.demands if isinstance(decision, Allow) else ()
    reasons = list(decision.reasons)
    aftermath = Aftermath()
    if isinstance(decision, Allow):
        refused = next((answer for one in demands if (answer := _refused(one, spent))), None)
        smaller = clamped(engine, call, decision, refused, now_ns) if refused is not None else None
        if refused is not None and smaller is not None:
            trial = attempt(engine, smaller, now_ns, spent)
            said = f"{refused.demand.policy}:clamp={smaller.request.max_output_tokens}"
            return msgspec.structs.replace(trial, reasons=(said, *trial.reasons))
        if refused is not None:
            decision = refusal(refused, now_ns)
            reasons += decision.reasons
        else:
            aftermath = after_admission(engine, call, demands, _admitted(demands, spent), now_ns)
            reasons += aftermath.reasons
    kept = {bound.order for bound in matched}
    missed = tuple(
        Missed(rule=rule, why=why_not(rule, call, now_ns))
        for order, rule in enumerate(engine.matcher.rules)
        if order not in kept
    )
    return Trial(
        decision=decision,
        demands=demands,
        matched=matched,
        missed=missed,
        aftermath=aftermath,
        reasons=tuple(reasons),
    )


def why_not(rule: Rule | Route, call: CallFacts, now_ns: int) -> str:
    """The first condition of a rule or route that a call does not meet; empty where it meets all."""
    for condition in rule.match.conditions:
        field = condition_field(condition)
        value = field_value(call, field)
        if not holds(condition, value):
            wanted = " or ".join((*condition.values, *condition.globs))
            return f"{field} is {value or 'not stated'}, not {'other than ' if condition.negated else ''}{wanted}"
    return "" if all(open_at(one, now_ns) for one in rule.match.hours) else "it is not its time"


def _spent(demand: Demand, spent: Mapping[str, int]) -> int:
    return spent.get(demand.counter, spent.get(demand.family, 0))


def _level(counter: str, spent: Mapping[str, int]) -> Level | None:
    amount = spent.get(counter, spent.get(counter.rpartition("@")[0] or counter))
    return None if amount is None else Level(counter=counter, spent=amount, held=0, allowed=0)


def _refused(demand: Demand, spent: Mapping[str, int]) -> Refused | None:
    used = _spent(demand, spent)
    over = used >= demand.limit if demand.enforce == "soft" else used + demand.amount > demand.limit
    if demand.enforce == "observe" or not over:
        return None
    held = used if demand.kind == "concurrent" else 0
    return Refused(demand=demand, spent=used - held, held=held, allowed=demand.limit, frees_at_ns=demand.ends_at_ns)


def _admitted(demands: Sequence[Demand], spent: Mapping[str, int]) -> Admitted:
    return Admitted(
        levels=tuple(
            Level(counter=one.counter, spent=_spent(one, spent), held=one.amount, allowed=one.limit) for one in demands
        ),
        would_refuse=tuple(
            one.counter for one in demands if one.enforce == "observe" and _spent(one, spent) + one.amount > one.limit
        ),
    )


def window_text(rule: Rule) -> str:
    """`each month (Europe/Berlin)`, `in any 24 h`, `in 60 s`: the time that a limit is for."""
    if not isinstance(rule, Budget):
        return f"in {rule.per_ns / 10**9:g} s" if rule.per_ns else "at the same time"
    window = rule.window
    if window.shape == "rolling":
        return f"in any {window.length_ns / 3600 / 10**9:g} h"
    return "in all" if window.shape == "total" else f"each {window.shape} ({window.zone})"
