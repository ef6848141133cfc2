"""When a budget will be spent if it goes on like this: what was spent in the last days, against what is left. PURE.

A week holds the working days and the days off, so a pace is taken over seven days, or over as long as there is
anything known, which is a day at least. Budgets of an hour or a day, and rolling ones, are left to thresholds: what
happens within a day is no pace.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from exporters.alerts.alert import Sighting, Signal
from exporters.alerts.reading import family_name
from policies.compiled import Budget
from policies.counters import counter_id
from policies.ledger.books import Recorded, TopUp
from policies.windows import Span, span_at
from policies.wording import number_text, rounded_text

NS = 10**9
DAY_NS = 86_400 * NS
BUCKET_NS = DAY_NS // 4
PACE_NS = 7 * DAY_NS
LEAST_NS = DAY_NS
"""How long a pace has to be known before it says anything."""
_TOTAL_AHEAD_NS = 14 * DAY_NS
"""Of a budget without a window it is worth saying so long before."""
_EARLY = 20
"""It has to be spent before the last part in so many of its window: a pace is not that exact."""
FORESEEN = frozenset({"week", "month", "total"})
"""Shapes of windows that a pace is told for."""
_LEAST_USED = 10
"""And at least one part in so many of it has to be spent."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A budget's counter of the present window."""

    budget: Budget
    family: str
    counter: str
    spent: int
    limit: int
    span: Span


def present_levels(
    budgets: Mapping[str, Budget], recorded: Iterable[Recorded], top_ups: Iterable[TopUp], now_ns: int
) -> list[Level]:
    """The counters whose end can be foreseen, of those that the books have."""
    added: dict[str, list[TopUp]] = {}
    for top_up in top_ups:
        added.setdefault(top_up.family, []).append(top_up)
    spans = {name: span_at(one.window, now_ns) for name, one in budgets.items() if one.window.shape in FORESEEN}
    found: list[Level] = []
    for one in recorded:
        policy, _, scope = one.family.partition("|")
        span, budget = spans.get(policy), budgets.get(policy)
        if span is None or budget is None or budget.shadow or one.counter != counter_id(one.family, span.label):
            continue
        limit = budget.overrides.get(scope, budget.limit)
        limit += sum(each.amount for each in added.get(one.family, ()) if _counts(each, span, now_ns))
        found.append(
            Level(budget=budget, family=one.family, counter=one.counter, spent=one.spent, limit=limit, span=span)
        )
    return found


def _counts(top_up: TopUp, span: Span, now_ns: int) -> bool:
    if top_up.at_ns > now_ns:
        return False
    return top_up.at_ns >= span.starts_ns if top_up.until_ns is None else top_up.until_ns > now_ns


def grown(levels: Iterable[Level], before: Mapping[str, int], *, first: bool) -> dict[str, int]:
    """Family -> what it has spent since the last look; a counter that is new has spent all of it since.

    Args:
        levels: As they stand.
        before: Counter -> what it had spent at the last look.
        first: Whether there was no look before this one: then nobody knows when it was spent.
    """
    if first:
        return {}
    rises = {level.family: level.spent - before.get(level.counter, 0) for level in levels}
    return {family: rise for family, rise in rises.items() if rise > 0}


def exhausted_at_ns(level: Level, lately: int, known_ns: int, now_ns: int, *, foreseen: bool = False) -> int | None:
    """When a budget will be spent at its pace; None where it will last, or nobody can tell.

    Args:
        level: Its counter.
        lately: What its family has spent in `known_ns`, which is `PACE_NS` at most.
        known_ns: For how long its spending was watched.
        now_ns: Unix time.
        foreseen: Whether it was told already: then it has to last clearly before it is called off.
    """
    left = level.limit - level.spent
    if left <= 0 or lately <= 0 or known_ns < LEAST_NS or level.spent * _LEAST_USED < level.limit:
        return None
    at_ns = now_ns + left * known_ns // lately
    if level.span.ends_ns is None:
        return at_ns if at_ns < now_ns + _TOTAL_AHEAD_NS else None
    early_ns = 0 if foreseen else (level.span.ends_ns - level.span.starts_ns) // _EARLY
    return at_ns if at_ns < level.span.ends_ns - early_ns else None


def run_rate(level: Level, lately: int, known_ns: int, at_ns: int) -> Sighting:
    """That a budget will be spent before its time."""

    def describe() -> Signal:
        unit, zone = level.budget.unit, ZoneInfo(level.budget.window.zone)
        day = datetime.fromtimestamp(at_ns / NS, UTC).astimezone(zone)
        a_day = lately * DAY_NS // known_ns
        ends_ns = level.span.ends_ns
        ends = ""
        if ends_ns is not None:
            ends = f" Its {level.budget.window.shape} ends on {_date(datetime.fromtimestamp(ends_ns / NS, zone))}."
        return Signal(
            kind="run_rate",
            severity="warning",
            title=f"{family_name(level.family)} will be exhausted on {_date(day)}",
            text=f"{rounded_text(level.spent, unit)} of {rounded_text(level.limit, unit)} spent, and "
            f"{rounded_text(a_day, unit)} a day in the last {known_ns / DAY_NS:.1f} days.{ends}",
            fields={
                "policy": level.budget.policy,
                "counter": level.counter,
                "spent": number_text(level.spent, unit),
                "limit": number_text(level.limit, unit),
                "a_day": number_text(a_day, unit),
                "unit": unit,
                "exhausted_at": f"{datetime.fromtimestamp(at_ns // NS, UTC):%Y-%m-%dT%H:%M:%SZ}",
            },
        )

    return Sighting(key=run_rate_key(level.counter), kind="run_rate", describe=describe, until_ns=level.span.ends_ns)


def run_rate_key(counter: str) -> str:
    """What the forecast of a counter is remembered by."""
    return f"run_rate:{counter}"


def _date(day: datetime) -> str:
    return f"{day:%A}, {day.day} {day:%B}"
