"""What a model means where the path of a call names no provider for good. PURE."""

from collections.abc import Collection, Mapping

import msgspec

from policies.aliases import split_model
from policies.routes_compiled import Route

LONGEST_CHARS = 256
"""Of a model that names a provider: it goes into records and a header."""


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model leads. Nowhere, where it has neither."""

    route: Route | None = None
    """For the call as it is written; its targets that name no model get that of `stands_for`, where there is one."""
    stands_for: tuple[str, str] | None = None
    """Provider and model: of the alias, or as they are written. Without a route, it is as if these were asked for."""


def meaning_of(named: str, route: Route | None, aliases: Mapping[str, str], providers: Collection[str]) -> Meaning:
    """What a model means. A route that names it comes first, then what it stands for, then any other route.

    Args:
        named: The model as the app wrote it.
        route: That is for the call as it is written; None where none is.
        aliases: In lower case -> `provider/model`.
        providers: Names of the configured ones.
    """
    stands_for = None
    if len(named) <= LONGEST_CHARS and named.isprintable():
        stands_for = split_model(aliases.get(named.lower(), named), providers)
    is_left = route is not None and stands_for is not None and not names_model(route)
    return Meaning(route=None if is_left else route, stands_for=stands_for)


def names_model(route: Route) -> bool:
    """Whether a route says for which models it is."""
    return any(one.field == "model" and not one.negated for one in route.match.conditions)
