"""Which targets of a plan a call can be held for. PURE.

A budget that cannot hold for one target of a route (it bills in a currency without a rate of exchange, its price or its
bound is not known) is no reason to refuse a call that another target can take: the plan goes on without that target,
and the call's row says so. A call that can be held for nowhere is refused as if its first target were the only one.
"""

from msgspec.structs import replace

from policies.decision import Decision, Deny
from policies.engine import Engine, LevelOf
from policies.facts import CallFacts

_NOTHING_TO_HOLD = frozenset({"policy_other_currency", "policy_unbounded", "policy_unknown_price"})


def held_for(
    engine: Engine, call: CallFacts, denied: Deny, now_ns: int, level_of: LevelOf
) -> tuple[CallFacts, Decision]:
    """The call with the targets that it can be held for alone, and the decision on that; `denied` is that on all."""
    if denied.code not in _NOTHING_TO_HOLD or len(call.targets) < 2:
        return call, denied
    alone = [(place, engine.decide(replace(call, targets=(place,)), now_ns, level_of)) for place in call.targets]
    kept = tuple(place for place, found in alone if not (isinstance(found, Deny) and found.code in _NOTHING_TO_HOLD))
    if not kept:
        return call, alone[0][1]
    narrowed = replace(call, targets=kept)
    return narrowed, engine.decide(narrowed, now_ns, level_of)
