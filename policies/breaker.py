"""The breaker of a target: a state machine as a table, and where it stands.

| state | meaning |
|---|---|
| `closed` | well: it gets its calls |
| `open` | failing: it gets none until `until_ns` |
| `half_open` | that time is over: it gets probes |
| `slow_start` | the probes were good: it gets a share of its calls that grows |
| `draining` | somebody took it out by hand: it gets none until it is restored |

Rules of this file: pure, the clock is an argument; everything that moves a state is in `TRANSITIONS`; an event that is
not in it for a state changes nothing. Standings of several workers, or machines, are joined by `later`, in any order
and as often as one likes: the word of the operator counts first, then the one who has seen more.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Literal

import msgspec

from policies.outcome_facts import Outcome
from policies.routes_compiled import ALL, BreakerRule

State = Literal["closed", "open", "half_open", "slow_start", "draining"]
Event = Literal["tripped", "cooled", "probe_failed", "probed_well", "ramped", "drain", "restore"]
Bearing = Literal["good", "bad", "slowed", "none"]
"""What an outcome says of the health of its target."""
NS_PER_MS = 1_000_000

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("closed", "tripped"): "open",
    ("slow_start", "tripped"): "open",
    ("open", "cooled"): "half_open",
    ("half_open", "probe_failed"): "open",
    ("half_open", "probed_well"): "slow_start",
    ("slow_start", "ramped"): "closed",
    ("closed", "drain"): "draining",
    ("open", "drain"): "draining",
    ("half_open", "drain"): "draining",
    ("slow_start", "drain"): "draining",
    ("draining", "restore"): "slow_start",
}
_BY_HAND: frozenset[Event] = frozenset({"drain", "restore"})
_RANKS: dict[State, int] = {"closed": 0, "slow_start": 1, "half_open": 2, "open": 3, "draining": 4}
"""Of two states that are as old as each other the more careful one counts."""
_MOST_DOUBLINGS = 30


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a breaker stands; instants are Unix time in nanoseconds, so that machines can compare them."""

    state: State = "closed"
    since_ns: int = 0
    until_ns: int = 0
    """End of `open` and of `slow_start`."""
    trips: int = 0
    """In a row, without having been closed between them."""
    ordered_ns: int = 0
    """When somebody last drained or restored it by hand."""
    moves: int = 0
    """Transitions so far."""


WELL = Standing()
"""Where every breaker begins."""


def bearing(outcome: Outcome) -> Bearing:
    """What an outcome says of its target's health.

    Only what is the provider's fault speaks against it. A rate limit is no failure: it says how much, not how well.
    A request that is refused for what is in it shows that the provider answers; one refused for the account's sake
    (keys, money) shows neither.
    """
    if outcome.outcome == "ok":
        return "good"
    if outcome.word in {"cancelled", "interrupted"} or outcome.rule == "way:request":
        return "none"
    if outcome.outcome == "rate_limit":
        return "slowed"
    if outcome.fault == "provider":
        return "bad"
    return "none" if outcome.fault == "account" else "good"


def moved(standing: Standing, event: Event, rule: BreakerRule, now_ns: int) -> Standing:
    """Where a breaker stands after an event; the very same standing where the event changes nothing."""
    state = TRANSITIONS.get((standing.state, event))
    if state is None:
        return standing
    if state == "slow_start" and rule.slow_start_ms <= 0:
        state = "closed"
    trips = standing.trips
    until_ns = 0
    if state == "open":
        trips += 1
        until_ns = now_ns + open_ms(rule, trips) * NS_PER_MS
    elif state == "slow_start":
        until_ns = now_ns + rule.slow_start_ms * NS_PER_MS
    elif state in {"closed", "draining"}:
        trips = 0
    return Standing(
        state=state,
        since_ns=now_ns,
        until_ns=until_ns,
        trips=trips,
        ordered_ns=max(now_ns, standing.ordered_ns + 1) if event in _BY_HAND else standing.ordered_ns,
        moves=standing.moves + 1,
    )


def at(standing: Standing, rule: BreakerRule, now_ns: int) -> Standing:
    """Where a breaker stands at an instant, when what only takes time has happened."""
    if now_ns < standing.until_ns:
        return standing
    if standing.state == "open":
        return moved(standing, "cooled", rule, now_ns)
    if standing.state == "slow_start":
        return moved(standing, "ramped", rule, now_ns)
    return standing


def open_ms(rule: BreakerRule, trips: int) -> int:
    """How long a breaker stays open the nth time in a row, in milliseconds."""
    return min(rule.open_ms << min(max(trips - 1, 0), _MOST_DOUBLINGS), max(rule.open_most_ms, rule.open_ms))


def share(standing: Standing, rule: BreakerRule, now_ns: int) -> int:
    """The share of its calls that a target gets, in ten-thousandths; during slow start it grows evenly."""
    if standing.state == "closed":
        return ALL
    if standing.state != "slow_start":
        return 0
    whole_ns = standing.until_ns - standing.since_ns
    gone_ns = min(max(now_ns - standing.since_ns, 0), whole_ns)
    first = min(max(rule.slow_start_share, 1), ALL)
    return ALL if whole_ns <= 0 else first + (ALL - first) * gone_ns // whole_ns


def later(one: Standing, other: Standing) -> Standing:
    """Which of two standings of one target counts."""
    return max(one, other, key=_age)


def joined(standings: Iterable[Standing]) -> Standing:
    """Where a target stands by all that is known of it."""
    return reduce(later, standings, WELL)


def _age(standing: Standing) -> tuple[int, int, int, int, int, int]:
    return (
        standing.ordered_ns,
        standing.moves,
        standing.since_ns,
        _RANKS[standing.state],
        standing.until_ns,
        standing.trips,
    )
