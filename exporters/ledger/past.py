"""What budgets spent in windows that are over, and lately: by the books while they keep them, then by the store."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from exporters.alerts.pace import DAY_NS, PACE_NS
from exporters.ledger.comparing import Ask
from exporters.ledger.standing import Lately
from exporters.reports.question import Query
from policies.ledger.arithmetic import family_of
from policies.ledger.books import Recorded

_SPENT = """
SELECT counter, toString(sum(toInt128(amount))), toUnixTimestamp64Nano(min(started_at)), count()
FROM calls ARRAY JOIN mapKeys(draws) AS counter, mapValues(draws) AS amount
WHERE started_at >= fromUnixTimestamp64Nano({since_ns:Int64})
"""
_OF_POLICY = "AND (counter = {policy:String} OR startsWith(counter, {at:String}) OR startsWith(counter, {bar:String}))"
_LONGEST_WINDOW_NS = 32 * DAY_NS
_GROUPED = " GROUP BY counter ORDER BY counter"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a counter has spent."""

    counter: str
    scope: str
    window: str
    """Its start in UTC, `2026-11-01T00:00:00Z`; empty where there is none."""
    spent: int
    """In whole numbers of the unit's scale."""
    by: Literal["ledger", "store"]
    """Who says so."""
    calls: int | None = None
    """That drew on it, by the store; None where it was not asked."""


def history(policy: str, recorded: Iterable[Recorded], ask: Ask | None) -> list[Past]:
    """Every window of a budget (`budget:NAME`), the newest first. Raises what `ask` raises.

    Args:
        policy: Its name.
        recorded: Counters as the books have them.
        ask: Asks the store, which has the windows that the books have dropped; None: the books alone.
    """
    stored: dict[str, tuple[int, int]] = {}
    if ask is not None:
        parameters: dict[str, object] = {"since_ns": 0, "policy": policy, "at": f"{policy}@", "bar": f"{policy}|"}
        for counter, spent, _, calls in ask(Query(_SPENT + _OF_POLICY + _GROUPED, parameters)):
            stored[counter] = int(spent), int(calls)
    found = [
        _past(one.counter, one.spent, "ledger", stored[one.counter][1] if one.counter in stored else None)
        for one in recorded
        if one.family.partition("|")[0] == policy
    ]
    known = {one.counter for one in found}
    found += [_past(counter, spent, "store", n) for counter, (spent, n) in stored.items() if counter not in known]
    by_scope = sorted(found, key=lambda one: one.scope)
    return sorted(by_scope, key=lambda one: one.window, reverse=True)


def drawn(ask: Ask, recorded: Iterable[Recorded], at_ns: int) -> list[Recorded]:
    """Counters of windows that held an instant and that the books have dropped, by the store. Raises what `ask` raises.

    Of a total, which the books never drop, and of windows longer than a month it does not know all.
    """
    known = {one.counter for one in recorded}
    rows = ask(Query(_SPENT + _GROUPED, {"since_ns": max(0, at_ns - _LONGEST_WINDOW_NS)}))
    return [
        Recorded(
            counter=counter, family=family_of(counter), unit="", spent=int(spent), leased=0, allowed=0,
            starts_at_ns=int(first_ns), ends_at_ns=None,
        )
        for counter, spent, first_ns, _ in rows
        if counter not in known
    ]  # fmt: skip


def lately(ask: Ask, now_ns: int) -> Lately:
    """What each family has spent in the last seven days, or since there is anything. Raises what `ask` raises."""
    spent: dict[str, int] = {}
    first_ns = now_ns
    for counter, amount, earliest_ns, _ in ask(Query(_SPENT + _GROUPED, {"since_ns": max(0, now_ns - PACE_NS)})):
        family = family_of(counter)
        spent[family] = spent.get(family, 0) + int(amount)
        first_ns = min(first_ns, int(earliest_ns))
    known_ns = now_ns - first_ns
    # Who has called in the first of seven days has probably called before them, too.
    return Lately(spent=spent, known_ns=PACE_NS if known_ns > PACE_NS - DAY_NS else known_ns)


def _past(counter: str, spent: int, by: Literal["ledger", "store"], calls: int | None) -> Past:
    family = family_of(counter)
    scope, window = family.partition("|")[2], counter[len(family) + 1 :]
    return Past(counter=counter, scope=scope, window=window, spent=spent, by=by, calls=calls)
