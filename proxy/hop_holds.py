"""What a further attempt of a call holds: as much again as the first one, where that may have been billed.

A call is admitted for the dearest target of its plan, once. An attempt that failed after the provider had begun to work
may cost all of it; then the next one has nothing left, and a cap would be passed by calls that fall back.
"""

import time

from msgspec.structs import replace

from policies.demand import Refused
from policies.shares import DRAWN_BY_FREE_CALLS
from proxy.call import Call
from proxy.governor import Governor


async def hold_again(governor: Governor | None, call: Call) -> bool:
    """Hold for one more attempt; False where a budget has no room for it."""
    permit = call.permit
    if governor is None or permit is None or not permit.demands:
        return True
    amounts = [
        demand.amount if demand.kind == "budget" and demand.unit not in DRAWN_BY_FREE_CALLS else 0
        for demand in permit.demands
    ]
    if not any(amounts):
        return True
    answer = await governor.ledger.extend(call.call_id, amounts, time.time_ns())
    if isinstance(answer, Refused):
        return False
    permit = call.permit or permit  # as it is now: the hold of the attempt before may have been extended meanwhile
    draws = tuple(replace(draw, held=draw.held + amount) for draw, amount in zip(permit.draws, amounts, strict=True))
    kept = {draw.counter for draw in permit.recorded}
    call.permit = replace(permit, draws=draws, recorded=tuple(draw for draw in draws if draw.counter in kept))
    return True
