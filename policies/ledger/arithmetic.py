"""What both kinds of books reckon alike; `redis_scripts.lua` says the same in Lua. PURE."""

import re

from policies.demand import Carry, Demand

PLENTY = 16
"""A borrowing takes one part in so many of the room that is left, beyond its need: far from the cap calls seldom
borrow, near it a lease is as small as one call."""
MOST_TIMES = 64
"""Nor more than so many times its need."""
RATE_SHARE = 10
"""A borrowing from a bucket takes what it gains in a tenth of a second at most."""
SECOND_NS = 1_000_000_000
CLOCK_AHEAD_NS = 3600 * SECOND_NS
"""A bucket that was filled by a clock so far ahead begins anew at the present."""
DAY_NS = 86_400 * SECOND_NS
KEPT_NS = 40 * DAY_NS
"""How long at least a counter is kept after it ended, and a process after it was last heard of."""
_KEPT_WINDOWS = 12
_KEPT_MOST_NS = 400 * DAY_NS
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def family_of(counter: str) -> str:
    """The family that a counter belongs to: its name without the window, which begins with a date."""
    family, _, window = counter.rpartition("@")
    return family if _DATE.match(window) else counter


def is_strict(demand: Demand) -> bool:
    """Whether a want that does not fit is refused: only a budget can be soft."""
    return demand.enforce == "hard" or (demand.enforce == "soft" and demand.kind != "budget")


def kept_until_ns(demand: Demand) -> int | None:
    """Until when a counter is kept: twelve windows beyond its end, from 40 to 400 days; None: for ever."""
    if demand.ends_at_ns is None:
        return None
    beyond_ns = _KEPT_WINDOWS * (demand.ends_at_ns - demand.starts_at_ns)
    return demand.ends_at_ns + min(_KEPT_MOST_NS, max(KEPT_NS, beyond_ns))


def carried(carry: Carry, used: int) -> int:
    """What the window before leaves to this one, when `used` of it is spent or held."""
    return min(carry.most, max(0, carry.limit - used))


def extra(demand: Demand, need: int, room: int) -> int:
    """How much to lend beyond the need; never more than there is."""
    if not need:
        return 0
    left = room - need
    if demand.kind == "rate":
        return max(0, min(left, demand.stated * SECOND_NS // demand.per_ns // RATE_SHARE))
    if left <= 0:
        return 0 if is_strict(demand) else need
    return left // PLENTY if demand.kind == "concurrent" else min(left // PLENTY, MOST_TIMES * need)


def refilled(level: int, at_ns: int, demand: Demand, now_ns: int, lent: int) -> tuple[int, int]:
    """Level of a token bucket at `now_ns`, and the instant up to which its gains are counted.

    What is lent and may be unused still counts as in the bucket: it cannot be refilled.
    """
    capacity = demand.limit - lent
    if at_ns - now_ns > CLOCK_AHEAD_NS:
        return min(level, capacity), now_ns
    if now_ns <= at_ns or level >= capacity:
        return min(level, capacity), max(at_ns, now_ns)
    gained = (now_ns - at_ns) * demand.stated // demand.per_ns
    if level + gained >= capacity:
        return capacity, now_ns
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


def older_of(demand: Demand) -> str | None:
    """The counter just before this one, whose late calls take room from it; None where there is none."""
    if demand.also:
        return demand.also[-1]
    return demand.carry.counter if demand.carry is not None else None
