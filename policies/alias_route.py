"""The way of a call that asks for an alias. PURE."""

from collections.abc import Collection

from msgspec.structs import replace

from policies.aliases import split_model
from policies.routes_compiled import Route, RouteTarget


def of_alias(name: str, route: Route | None, providers: Collection[str]) -> Route | None:
    """The route of a call that asks for an alias: no provider knows that name, so no target is left with it.

    Args:
        name: What the alias stands for.
        route: That is for the call as it is written; None where none is.
        providers: Names of the configured ones.
    """
    split = split_model(name, providers)
    if split is None:
        return route
    provider, model = split
    if route is None:
        return Route(name="alias", targets=(RouteTarget(id=name, provider=provider, model=model),))
    if all(target.model is not None for target in route.targets):
        return route
    return replace(route, targets=tuple([replace(one, model=one.model or model) for one in route.targets]))
