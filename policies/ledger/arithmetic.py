"""What both kinds of books reckon alike. PURE."""

from policies.demand import Carry, Demand

PLENTY = 16
"""A borrowing takes one part in so many of the room that is left, beyond its need: far from the cap calls seldom
borrow, near it a lease is as small as one call."""
_RATE_SHARE = 10
"""A borrowing from a bucket takes what it gains in a tenth of a second at most."""
_SECOND_NS = 1_000_000_000
BOUNDLESS = 2**61
"""Room of a counter that refuses nobody."""


def carried(carry: Carry | None, used: int) -> int:
    """What the window before leaves to this one, when `used` of it is spent or held."""
    return 0 if carry is None else min(carry.most, max(0, carry.limit - used))


def extra(demand: Demand, need: int, room: int) -> int:
    """How much to lend beyond the need; never more than there is."""
    left = room - need
    if left <= 0 or not need:
        return 0
    if demand.kind == "rate":
        return min(left, demand.stated * _SECOND_NS // demand.per_ns // _RATE_SHARE)
    if demand.kind == "concurrent":
        return left // PLENTY
    return min(left // PLENTY, 64 * need)


def refilled(level: int, at_ns: int, demand: Demand, now_ns: int) -> tuple[int, int]:
    """Level of a token bucket at `now_ns`, and the instant up to which its gains are counted."""
    if now_ns <= at_ns:
        return level, at_ns
    gained = (now_ns - at_ns) * demand.stated // demand.per_ns
    if level + gained >= demand.limit:
        return demand.limit, now_ns
    # What the next whole token has gained already is not lost.
    return level + gained, at_ns + -(-gained * demand.per_ns // demand.stated)


def bucket_frees_at(demand: Demand, need: int, level: int, at_ns: int) -> int | None:
    """When a token bucket holds `need`; None when it never will."""
    if need > demand.limit or demand.stated <= 0:
        return None
    return at_ns + -(-max(0, need - level) * demand.per_ns // demand.stated)


def window_frees_at(demand: Demand, missing: int, used_of_also: list[int]) -> int | None:
    """When `missing` more fits: a rolling window loses its oldest bucket first, any other is empty at its end."""
    if not demand.bucket_ns:
        return demand.ends_at_ns
    leaves_at_ns = demand.starts_at_ns
    for used in used_of_also:
        leaves_at_ns += demand.bucket_ns
        missing -= used
        if missing <= 0:
            return leaves_at_ns
    return demand.ends_at_ns
