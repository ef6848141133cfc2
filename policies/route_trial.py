"""The route of an imagined call: which one and why, its targets in their order, and what each would change. PURE."""

from collections.abc import Container, Mapping
from typing import Any

import msgspec

from policies.alias_route import of_alias
from policies.decision import Allow, Decision
from policies.downgrade import Downgrade, call_at, downgraded
from policies.engine import Engine
from policies.facts import CallFacts
from policies.outcomes import Judge
from policies.parameter_filter import Asked, filter_parameters
from policies.plan import Plan, Router, plan_for
from policies.routes_compiled import Route, RouteTarget
from policies.trial import why_not
from policies.wording import amount_text


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A configured provider, as far as a trial needs it."""

    kind: str
    dialects: Container[str] = frozenset()
    currency: str = "USD"
    judge: Judge | None = None
    """What errors of it mean; None where nobody knows."""


class TargetTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What one target of the plan would mean."""

    target: RouteTarget
    changes: tuple[str, ...] = ()
    """In the request, by `policies.parameter_filter`."""
    refused: str = ""
    """Why it would be passed over for this request."""
    holds: dict[str, tuple[int, str]] = {}
    """Policy -> amount and unit that a call to it would hold."""
    unheld: str = ""
    """Why no call to it would be admitted."""


class RouteTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes make of a call."""

    route: Route | None
    missed: tuple[tuple[Route, str], ...] = ()
    """Routes before it that are not for the call, and the first condition that says so."""
    plan: Plan | None = None
    targets: tuple[TargetTrial, ...] = ()
    dearest: dict[str, tuple[int, str, str]] = {}
    """Policy -> amount and unit that the whole plan would hold, and the target that it is for."""
    downgrade: Downgrade | None = None


def try_route(
    engine: Engine,
    call: CallFacts,
    decision: Decision,
    places: Mapping[str, Place],
    now_ns: int,
    body: bytes | None = None,
) -> RouteTrial:
    """The route of a call.

    Args:
        engine: The policies.
        call: Its facts.
        decision: What was decided of it; its downgrade changes the route.
        places: Configured providers by name.
        now_ns: Unix time.
        body: Its request; one that says what the facts say, where it is not known.
    """
    routing = engine.policies.routing
    router = Router(routing.routes)
    dialects = {name: place.dialects for name, place in places.items()}
    change = downgraded(call, decision, routing, router, dialects, now_ns)
    asked = change.call if change else call
    route = change.route if change else router.find(call, now_ns)
    alias = routing.aliases.get((call.request.model or "").lower())
    if alias is not None and change is None:
        route = of_alias(alias, route, places)
    missed = tuple((one, why) for one in routing.routes if (why := why_not(one, asked, now_ns)))
    if route is None:
        return RouteTrial(route=None, missed=missed)
    plan = plan_for(route, asked, call.caller.session or "an imagined call")
    targets = tuple(_target(engine, call, one, places, now_ns, body or imagined_body(call)) for one in plan.targets)
    return RouteTrial(
        route=route, missed=missed, plan=plan, targets=targets, dearest=dearest_of(targets), downgrade=change
    )


def dearest_of(targets: tuple[TargetTrial, ...]) -> dict[str, tuple[int, str, str]]:
    """Policy -> the most that any target would hold, its unit, and that target."""
    made: dict[str, tuple[int, str, str]] = {}
    for one in targets:
        for policy, (amount, unit) in one.holds.items():
            if policy not in made or amount > made[policy][0]:
                made[policy] = (amount, unit, one.target.id)
    return made


def imagined_body(call: CallFacts) -> bytes:
    """A request that says no more than the facts do."""
    said: dict[str, Any] = {"model": call.request.model, "messages": [{"role": "user", "content": "?"}]}
    if call.request.max_output_tokens is not None:
        said["max_tokens"] = call.request.max_output_tokens
    if call.request.streaming:
        said["stream"] = True
    return msgspec.json.encode(said)


def _target(
    engine: Engine, call: CallFacts, target: RouteTarget, places: Mapping[str, Place], now_ns: int, body: bytes
) -> TargetTrial:
    place = places.get(target.provider) or Place(kind=target.provider)
    home = places.get(call.provider) or Place(kind=call.provider)
    filtered = filter_parameters(
        body,
        Asked(
            dialect=call.dialect,
            kind=place.kind,
            model=target.model,
            from_kind=home.kind,
            from_model=call.request.model or "",
            strict=target.strict,
        ),
    )
    there = msgspec.structs.replace(call_at(call, target), currency=place.currency)
    decided = engine.decide(there, now_ns)
    holds = {one.policy: (one.amount, one.unit) for one in decided.demands} if isinstance(decided, Allow) else {}
    return TargetTrial(
        target=target,
        changes=filtered.changes,
        refused=filtered.refused,
        holds=holds,
        unheld="" if isinstance(decided, Allow) else decided.message,
    )


def route_lines(trial: RouteTrial) -> list[str]:
    """The trial in words."""
    lines: list[str] = []
    change = trial.downgrade
    if change is not None:
        lines.append(f"Downgraded: it asks for {change.target.id} instead.")
    route = trial.route
    if route is None:
        lines.append("Its way: the provider that its path names; no route is for it.")
    else:
        lines.append(f"Its way: route {route.name}  [{route.place}]" if route.place else f"Its way: {route.name}")
        lines += [line for number, one in enumerate(trial.targets, 1) for line in _target_lines(number, one)]
        lines += _option_lines(route)
        for policy, (amount, unit, name) in trial.dearest.items():
            lines.append(f"  the hold of the plan by {policy}: {amount_text(amount, unit)}, the dearest, at {name}")
    lines += [f"  not {one.name}: {why}  [{one.place}]" for one, why in trial.missed]
    return lines


def as_json(trial: RouteTrial) -> dict[str, Any]:
    """The trial for programs."""
    return {
        "route": trial.route.name if trial.route else None,
        "downgrade": trial.downgrade.target.id if trial.downgrade else None,
        "targets": [
            {
                "target": one.target.id,
                "tier": one.target.tier,
                "weight": one.target.weight,
                "changes": list(one.changes),
                "refused": one.refused,
                "unheld": one.unheld,
                "holds": {policy: amount_text(*amount) for policy, amount in one.holds.items()},
            }
            for one in trial.targets
        ],
        "holds": {policy: amount_text(amount, unit) for policy, (amount, unit, _) in trial.dearest.items()},
        "missed": [{"route": one.name, "why": why} for one, why in trial.missed],
    }


def _target_lines(number: int, one: TargetTrial) -> list[str]:
    target = one.target
    lines = [f"  {number}. {target.id} (step {target.tier + 1}, weight {target.weight})"]
    if one.refused:
        lines.append(f"     passed over for this request: {one.refused}")
    if one.changes:
        lines.append(f"     changes: {', '.join(one.changes)}")
    if one.unheld:
        lines.append(f"     not admitted: {one.unheld}")
    return lines


def _option_lines(route: Route) -> list[str]:
    rule = route.retry
    lines = [f"  tries: {rule.tries_each} at each, {rule.tries_most} in all"]
    for what, classes in (
        ("tried again, too, on", rule.retry_on),
        ("not tried again on", rule.retry_not_on),
        ("falls back, too, on", rule.fall_back_on),
        ("does not fall back on", rule.fall_back_not_on),
    ):
        if classes:
            lines.append(f"  {what}: {', '.join(classes)}")
    limits = {
        name: getattr(rule, f"{name}_ms")
        for name in ("connect", "first_byte", "first_content", "idle", "attempt", "call")
    }
    stated = [f"{name} {limit / 1000:g} s" for name, limit in limits.items() if limit is not None]
    lines += [f"  limits: {', '.join(stated)}"] if stated else []
    if route.hold_head:
        held = f"{route.hold_head_ms / 1000:g} s or {route.hold_head_bytes} bytes"
        lines.append(f"  the head of a stream is held back until content comes, for {held} at most")
    else:
        lines.append("  the head of a stream is not held back")
    if route.hedge is not None:
        or_so = ", or after its own 95th percentile once that is known" if route.hedge.use_p95 else ""
        lines.append(f"  a second target after {route.hedge.after_ms / 1000:g} s without content{or_so}")
    if route.continue_marked:
        lines.append("  a stream that breaks off is gone on with by the next target, marked")
    return lines
