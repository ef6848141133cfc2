"""What a call asks for instead where a budget's threshold says so: a change of its route.

Rules of this file: pure. Only calls that generate text are downgraded, and only to a target that speaks their dialect:
a speech model is no cheaper chat model. The other model is asked for as if the app had named it, so that its own route
is taken; of that only the target itself and what stands behind it, since what stands before it may be dearer.
"""

from collections.abc import Container, Mapping

import msgspec

from policies.aliases import split_model
from policies.decision import Allow, Decision
from policies.facts import CallFacts
from policies.plan import Router
from policies.routes_compiled import Route, RouteTarget, Routing

HEADER = "x-taximeter-downgrade"
"""Tells the app the target that it was sent to for a budget's sake."""
OPERATIONS = frozenset({"chat"})
"""What is downgraded."""


class Downgrade(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes instead."""

    call: CallFacts
    """As if the app had asked for that model: to be decided anew, for its rules and its price are others."""
    target: RouteTarget
    route: Route
    """With the target first, and what stands behind it; a route of the target alone where none holds it."""


def downgraded(
    call: CallFacts,
    decision: Decision,
    routing: Routing,
    router: Router,
    providers: Mapping[str, Container[str]],
    now_ns: int,
) -> Downgrade | None:
    """What a call asks for instead; None where the decision names nothing, or nothing that the call could go to.

    Args:
        call: As it was decided.
        decision: Its `downgrade` is a model, an alias, or `provider/model`.
        routing: For its aliases.
        router: Of the same routing.
        providers: Configured providers -> the dialects that each speaks.
        now_ns: Unix time.
    """
    named = decision.downgrade if isinstance(decision, Allow) else ""
    if not named or call.operation not in OPERATIONS:
        return None
    provider, model = split_model(routing.aliases.get(named.lower(), named), providers) or (call.provider, named)
    is_there = provider == call.provider or (provider in providers and call.dialect in providers[provider])
    if not is_there or (provider == call.provider and model.lower() == (call.request.model or "").lower()):
        return None
    target = RouteTarget(id=f"{provider}/{model}", provider=provider, model=model)
    asked = call_at(call, target)
    return Downgrade(call=asked, target=target, route=_behind(router.find(asked, now_ns), target))


def call_at(call: CallFacts, target: RouteTarget) -> CallFacts:
    """The facts of a call as a target gets it."""
    request = call.request
    if target.model is not None:
        request = msgspec.structs.replace(request, model=target.model)
    return msgspec.structs.replace(call, provider=target.provider, request=request)


def _behind(route: Route | None, target: RouteTarget) -> Route:
    if route is None:
        return Route(name="downgrade", targets=(target,))
    # A target that leaves the app's own model would be asked for the dear one.
    named = [msgspec.structs.replace(one, model=one.model or target.model) for one in route.targets]
    found = next((one for one in named if _is_same(one, target)), None)
    if found is None:
        return msgspec.structs.replace(route, targets=(target,))
    return msgspec.structs.replace(route, targets=(found, *(one for one in named if one.tier > found.tier)))


def _is_same(one: RouteTarget, target: RouteTarget) -> bool:
    return one.provider == target.provider and (one.model or "").lower() == (target.model or "").lower()
