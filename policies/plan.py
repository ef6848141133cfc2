"""Plans: which route a call takes, and its targets in the order in which they are tried.

Rules of this file: pure; health is asked through a function, chance comes from the call's own names. Within a tier the
order is drawn by weight from a hash of what the route is sticky by (rendezvous hashing): a session meets one target in
every worker, and when a target goes or comes only the sessions that it had, or gets, move. Calls without such a name
are spread by their id.
"""

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import groupby

import msgspec

from policies.facts import CallFacts
from policies.health import FULL, Look, Refusal
from policies.match import condition_field, field_value, holds, reader
from policies.routes_compiled import ALL, Route, RouteTarget
from policies.windows import open_at

MAX_REMEMBERED = 16_384
"""Calls of so many kinds are remembered; then the memory begins anew."""
_HASH_BITS = 53
"""As many as a float holds exactly."""

LookAt = Callable[[RouteTarget], Look]
"""How a target is; `Health.look` at the instant of the call."""


class LeftOut(msgspec.Struct, frozen=True):
    """A target of the route that the plan is without."""

    target: str
    """Its id."""
    why: Refusal


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call may go, in this order."""

    route: str
    """Name of the route."""
    targets: tuple[RouteTarget, ...]
    left_out: tuple[LeftOut, ...] = ()
    forced: bool = False
    """All targets were left out for their health; the one that is back first is tried all the same."""


def healthy(target: RouteTarget) -> Look:
    """How targets are that nobody knows anything of."""
    del target
    return FULL


def plan_for(route: Route, call: CallFacts, call_id: str, look_at: LookAt = healthy) -> Plan:
    """The targets of a route for one call. It is empty only where all of them have been drained."""
    targets = route.targets
    if len(targets) == 1:
        look = look_at(targets[0])
        if not look.refusal:
            return Plan(route=route.name, targets=targets)
        return _last_resort(route, [(targets[0], look)])
    looks = [(target, look_at(target)) for target in targets]
    name = field_value(call, route.sticky) if route.sticky else ""
    seed = f"{route.sticky}={name}" if name else call_id
    ordered: list[RouteTarget] = []
    starting: list[RouteTarget] = []
    for _, tier in groupby(looks, key=lambda one: one[0].tier):
        able = [(target, look.share) for target, look in tier if not look.refusal]
        if len(able) == 1 and able[0][1] < ALL and draw(seed, f"{able[0][0].id}|share") * ALL >= able[0][1]:
            # Alone in its tier and just back: of the calls that are not its share yet the next tier takes care.
            starting.append(able[0][0])
            continue
        ordered += by_lot(able, seed)
    if not ordered and not starting:
        return _last_resort(route, looks)
    return Plan(route=route.name, targets=(*ordered, *starting), left_out=_left_out(looks))


def by_lot(able: Sequence[tuple[RouteTarget, int]], seed: str) -> list[RouteTarget]:
    """Targets of one tier, each with its share in ten-thousandths, drawn by weight times share."""
    if len(able) < 2:
        return [target for target, _ in able]
    scored = [(_score(target, share, seed), -place, target) for place, (target, share) in enumerate(able)]
    return [target for _, _, target in sorted(scored, key=lambda one: one[:2], reverse=True)]


def draw(seed: str, name: str) -> float:
    """A number from 0 up to, not including, 1, that follows from two texts and is spread evenly."""
    digest = blake2b(f"{seed}\0{name}".encode("utf-8", "replace"), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _HASH_BITS)) / (1 << _HASH_BITS)


def _score(target: RouteTarget, share: int, seed: str) -> float:
    """The greater the earlier: the chance to be the greatest is the weight's part of all weights."""
    weight = max(target.weight, 0) * share
    if not weight:
        return -math.inf
    drawn = draw(seed, target.id)
    return -math.inf if drawn <= 0.0 else math.log(drawn) / weight


def _last_resort(route: Route, looks: Sequence[tuple[RouteTarget, Look]]) -> Plan:
    """The target that is back first, where none is well; never one that was taken out by hand."""
    possible = [(look.back_at_ns, place) for place, (_, look) in enumerate(looks) if look.refusal != "draining"]
    left_out = _left_out(looks)
    if not possible:
        return Plan(route=route.name, targets=(), left_out=left_out)
    chosen = looks[min(possible)[1]][0]
    others = tuple(one for one in left_out if one.target != chosen.id)
    return Plan(route=route.name, targets=(chosen,), left_out=others, forced=True)


def _left_out(looks: Sequence[tuple[RouteTarget, Look]]) -> tuple[LeftOut, ...]:
    return tuple([LeftOut(target.id, look.refusal) for target, look in looks if look.refusal])


class Router:
    """Finds the route of a call: the first whose conditions hold. Its memory changes how fast it answers, never what.

    Args:
        routes: In the order of their files.
    """

    def __init__(self, routes: Sequence[Route] = ()) -> None:
        self.routes = tuple(routes)
        self.fields = tuple(sorted({condition_field(one) for route in self.routes for one in route.match.conditions}))
        """That conditions are about; nothing else of a call says which routes it fits."""
        self._readers = [reader(field) for field in self.fields]
        self._remembered: dict[tuple[str, ...], tuple[Route, ...]] = {}

    def find(self, call: CallFacts, now_ns: int) -> Route | None:
        """The route that a call takes at an instant (Unix time in nanoseconds); None where none is for it."""
        if not self.routes:
            return None
        return in_hours(self.fitting(call), now_ns)

    def fitting(self, call: CallFacts) -> tuple[Route, ...]:
        """The routes for a call, whatever the hour."""
        key = tuple([read(call) for read in self._readers])
        found = self._remembered.get(key)
        if found is None:
            found = tuple(route for route in self.routes if _is_for(route, call))
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found


def in_hours(routes: Sequence[Route], now_ns: int) -> Route | None:
    """The first of them that is in force at an instant (Unix time in nanoseconds)."""
    for route in routes:
        if not route.match.hours or all(open_at(one, now_ns) for one in route.match.hours):
            return route
    return None


def _is_for(route: Route, call: CallFacts) -> bool:
    return all(holds(one, field_value(call, condition_field(one))) for one in route.match.conditions)
