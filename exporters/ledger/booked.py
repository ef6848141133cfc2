"""What the ledger books for a call, and the store's row of it says. PURE."""

from exporters.recorder.ports import PricedCall
from policies.spent import spent


def booked(priced: PricedCall) -> dict[str, int]:
    """Counter -> what the call has used of it, in whole numbers of the counter's unit."""
    call, sums = priced.call, dict[str, int]()
    for draw in call.draws:
        used = spent(draw, call.attempts, priced.prices, billable=call.billable)
        sums[draw.counter] = sums.get(draw.counter, 0) + used
    return sums
