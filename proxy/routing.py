"""What a worker knows of the routes: which there are, how their targets are, and what retries they may still get.

Rebuilt when the policies change; what is known of a target stays where the target and its rule are the same.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter

import msgspec

from policies.alias_route import of_alias
from policies.compiled import KeyRule
from policies.facts import CallFacts
from policies.health import Health, Look
from policies.outcomes import Classifier
from policies.permitted import Barred, permitted
from policies.plan import Plan, Router, in_hours, plan_for
from policies.retrying import RetryBudget, is_limited
from policies.routes_compiled import NO_ROUTING, BreakerRule, RetryRule, Route, RouteTarget, Routing
from proxy.call import Call
from proxy.upstream.provider import Upstream


def worker_name() -> str:
    """A name that no other worker and no other machine has."""
    return f"{socket.gethostname()}-{os.getpid()}"


class TargetState(msgspec.Struct, frozen=True):
    """What a worker knows of one target."""

    health: Health
    budget: RetryBudget
    rules: tuple[BreakerRule, RetryRule]
    told: bytes = b""
    """What the head of an answer says of it, where it is the first that was tried."""


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """Where one call may go."""

    routes: "Routes"
    route: Route
    plan: Plan
    changes: tuple[str, ...] = ()
    """What was changed in the request before it had a route, by name."""
    barred: tuple[Barred, ...] = ()
    """Targets of the route that the caller's key may not use; the plan is without them."""
    is_limited: bool = True
    """Whether attempts may have limits of the route's own."""

    @property
    def places(self) -> tuple[tuple[str, str | None], ...]:
        """Provider and model of each target, for whoever reckons what the call may cost."""
        return tuple((target.provider, target.model) for target in self.plan.targets)

    def within(self, call: Call, places: Sequence[tuple[str, str | None]]) -> "Journey":
        """The same to these places alone; the row says which targets the call could not be held for."""
        kept = tuple(target for target in self.plan.targets if (target.provider, target.model) in places)
        call.reasons += [
            f"route:{self.route.name}:skip={one.id}:not_held" for one in self.plan.targets if one not in kept
        ]
        return msgspec.structs.replace(self, plan=msgspec.structs.replace(self.plan, targets=kept))


class _Straight(msgspec.Struct, frozen=True):
    """Where calls of a route go while all of its targets are well, when no lot is drawn among these."""

    journey: Journey
    healths: tuple[Health, ...]


_MOST_KINDS = 4096
"""Of calls whose routes are remembered; then the memory begins anew."""
_WHERE: dict[str, tuple[str, ...]] = {
    "provider": ("upstream.settings.name",),
    "dialect": ("dialect_name",),
    "model": ("facts.model",),
    "streaming": ("facts.streaming",),
    "operation": ("operation",),
    "key": ("key", "caller.key_id"),
}
"""Where a call has what a field of conditions is made of; what is not here is the caller's."""


def kind_of(fields: Sequence[str]) -> Callable[[Call], object] | None:
    """What tells calls apart that conditions on these fields (`policies.match`) could tell apart; None for tags.

    It is read off the call as it is, so that nearly no call needs `Routes.facts`.
    """
    if any(field.startswith("tag:") for field in fields):
        return None
    paths = [path for field in fields for path in _WHERE.get(field, (f"caller.{field}",))]
    return attrgetter(*paths) if paths else lambda _: None


class Routes:
    """The routes of one worker.

    Args:
        upstreams: The configured providers by name.
        worker: A name that no other worker has.
        clock: Unix time in nanoseconds.
    """

    def __init__(
        self, upstreams: Mapping[str, Upstream], worker: str = "", *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.upstreams = upstreams
        self.clock = clock
        self.targets: dict[str, TargetState] = {}
        self.classifier = Classifier()
        self._worker = worker
        self.router = Router()
        self.routing = NO_ROUTING
        self._kind_of = kind_of(())
        self._found: dict[object, tuple[Route, ...]] = {}
        self._aliases: dict[str, str] = {}
        self._at_all_hours = True
        """Whether the hour is no matter to any route."""
        self._straight: dict[int, _Straight] = {}
        """By the identity of a route in `routing`."""
        self.keys: Mapping[str, KeyRule] = {}
        """What virtual keys stand for, by name."""

    def install(self, routing: Routing, keys: Mapping[str, KeyRule] | None = None) -> None:
        """Take new routes, and what keys may use; calls under way go on by the ones that they began with."""
        self.routing = routing
        self.keys = keys or {}
        self.router = Router(routing.routes)
        self._kind_of = kind_of(self.router.fields)
        self._found = {}
        self._aliases = routing.aliases
        self._at_all_hours = not any(route.match.hours for route in routing.routes)
        self.classifier = Classifier(routing.outcomes)
        kept: dict[str, TargetState] = {}
        for route in routing.routes:
            rules = (route.breaker, route.retry)
            for target in route.targets:
                if target.id in kept:
                    continue  # it stands in several routes: the first one's rules count
                known = self.targets.get(target.id)
                if known is None or known.rules != rules:
                    known = TargetState(
                        Health(route.breaker, self._worker),
                        RetryBudget(route.retry, time.monotonic_ns()),
                        rules,
                        head_lines(target.id, 1),
                    )
                kept[target.id] = known
        self.targets = kept
        self._straight = {id(route): self._straight_on(route) for route in routing.routes if _is_ladder(route)}

    def _straight_on(self, route: Route) -> _Straight:
        plan = Plan(route=route.name, targets=route.targets)
        journey = Journey(routes=self, route=route, plan=plan, is_limited=is_limited(route.retry))
        return _Straight(journey, tuple(self.targets[target.id].health for target in route.targets))

    def journey(self, call: Call) -> Journey | None:
        """The route of a call and its targets in their order; None where no route is for it.

        Routes are for calls that a dialect reads: of any other nobody could say whether its answer is good, nor where
        another provider takes it.
        """
        if call.route.dialect is None:
            return None
        kind_of, aliases = self._kind_of, self._aliases
        kind = None if kind_of is None else kind_of(call)
        found = self._found.get(kind)
        if found is None:
            found = self._find(call, kind)
        if not found and not aliases:
            return None
        now_ns = self.clock()
        route = found[0] if found and self._at_all_hours else in_hours(found, now_ns)
        alias = aliases.get((call.facts.model or "").lower()) if aliases else None
        if alias is not None:
            route = of_alias(alias, route, self.upstreams)
        if route is None:
            return None
        straight = self._straight.get(id(route))
        if straight is not None and call.key not in self.keys:
            for health in straight.healths:
                if not health.is_well(now_ns):
                    break
            else:
                return straight.journey
        return self.journey_on(route, self.facts(call), call)

    def _find(self, call: Call, kind: object) -> tuple[Route, ...]:
        """The routes for calls like this one, whatever the hour."""
        found = self.router.fitting(self.facts(call))
        if self._kind_of is not None:
            if len(self._found) >= _MOST_KINDS:
                self._found.clear()
            self._found[kind] = found
        return found

    def facts(self, call: Call) -> CallFacts:
        """What routes are chosen by."""
        upstream = call.upstream
        return CallFacts(
            provider=upstream.settings.name,
            operation=call.operation,
            request=call.facts,
            caller=call.caller,
            key=call.key,
            dialect=call.dialect_name,
            currency=upstream.currency,
            billable=call.route.billable,
        )

    def find(self, facts: CallFacts) -> Route | None:
        """The route of a call of these facts; None where none is for it."""
        return self.router.find(facts, self.clock())

    def journey_on(self, route: Route, facts: CallFacts, call: Call, changes: tuple[str, ...] = ()) -> Journey:
        """The targets of a route in their order for one call; `changes` name what was done to its request before."""
        now_ns = self.clock()

        def look(target: RouteTarget) -> Look:
            return self.state(target, route).health.look(now_ns)

        able, barred = permitted(route, facts, self.keys, now_ns)
        plan = plan_for(able, facts, call.call_id, look)
        return Journey(routes=self, route=route, plan=plan, changes=changes, barred=barred)

    def state(self, target: RouteTarget, route: Route) -> TargetState:
        """What is known of a target; of one that is in force no more nothing is, and nobody learns of it."""
        known = self.targets.get(target.id)
        if known is None:
            return TargetState(
                Health(route.breaker),
                RetryBudget(route.retry, time.monotonic_ns()),
                (route.breaker, route.retry),
                head_lines(target.id, 1),
            )
        return known


def head_lines(target_id: str, attempts: int, changes: str = "") -> bytes:
    """What the head of an answer says of how it came about."""
    lines = f"x-taximeter-target: {target_id}\r\nx-taximeter-attempts: {attempts}\r\n"
    return (lines + (f"x-taximeter-changes: {changes}\r\n" if changes else "")).encode("latin-1", "replace")


def _is_ladder(route: Route) -> bool:
    """Whether each tier has one target, so that their order is that of the route as long as all are well."""
    return all(one.tier < other.tier for one, other in pairwise(route.targets))
