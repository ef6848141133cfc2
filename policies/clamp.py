"""A call that does not fit into a budget because of its output limit: how low that limit has to be. PURE.

What a call holds grows with its output limit, and never faster than along the line through two of its points. So the
limit is read off that line, and what it then holds is reckoned by the engine itself before it is believed.
"""

import msgspec

from policies.compiled import Budget
from policies.decision import Allow
from policies.demand import Refused
from policies.engine import Engine
from policies.facts import CallFacts

HEADER = "x-taximeter-clamped"
"""What an app is told of it."""


def clamped(engine: Engine, call: CallFacts, decision: Allow, refused: Refused, now_ns: int) -> CallFacts | None:
    """The call with the highest output limit that fits; None where its rule does not clamp, or none would fit.

    Args:
        engine: The policies.
        call: As it came.
        decision: What they made of it.
        refused: The budget that it does not fit into.
        now_ns: When, Unix time.
    """
    demand = refused.demand
    least = _clamp_min(engine, call, demand.family, now_ns)
    if least is None or demand.kind != "budget" or demand.enforce != "hard" or refused.unavailable:
        return None
    room = refused.allowed - refused.spent - refused.held
    most = _output_limit(call, decision)
    if most is None or most <= least or room <= 0:
        return None
    floor = _amount(engine, call, least, demand.counter, now_ns)
    if floor is None or floor > room or demand.amount <= floor:
        return None
    tokens = least + (room - floor) * (most - least) // (demand.amount - floor)
    for limit in (min(tokens, most - 1), least):
        amount = _amount(engine, call, limit, demand.counter, now_ns)
        if amount is not None and amount <= room:
            return with_limit(call, limit)
    return None


def with_limit(call: CallFacts, tokens: int) -> CallFacts:
    """The call as one that states this output limit."""
    return msgspec.structs.replace(call, request=msgspec.structs.replace(call.request, max_output_tokens=tokens))


def _clamp_min(engine: Engine, call: CallFacts, family: str, now_ns: int) -> int | None:
    for bound in engine.matcher.find(call, now_ns):
        if bound.family == family:
            return bound.rule.clamp_min if isinstance(bound.rule, Budget) else None
    return None


def _output_limit(call: CallFacts, decision: Allow) -> int | None:
    """The output limit of one answer that the hold was made of."""
    if call.request.max_output_tokens is not None:
        return call.request.max_output_tokens
    held = decision.hold.output_tokens if decision.hold is not None else None
    answers = max(call.request.choices or 1, call.inputs.best_of if call.inputs else 1, 1)
    return None if held is None else held // answers


def _amount(engine: Engine, call: CallFacts, tokens: int, counter: str, now_ns: int) -> int | None:
    """What the call would hold of a counter with another output limit."""
    decision = engine.decide(with_limit(call, tokens), now_ns)
    if not isinstance(decision, Allow):
        return None
    return next((demand.amount for demand in decision.demands if demand.counter == counter), None)
