"""The routing of all files together: merged in their order, aliases resolved, and checked as a whole."""

from collections.abc import Mapping, Sequence

from policies.aliases import AliasError, resolve_aliases
from policies.compile_routes import RouteRules
from policies.routes_check import Known, problems_of
from policies.routes_compiled import NO_ROUTING, OutcomeRule, Route, Routing
from proxy.config.problems import KeyPath, Report

Sources = Sequence[tuple[Report, RouteRules]]
_ANY_DIALECT = frozenset({"any"})
"""What providers are taken to speak while nobody knows them: one that all of them share."""


def merged_routing(sources: Sources, providers: Mapping[str, Known] | None) -> Routing:
    """Routes, outcome rules and aliases of all files; mistakes are reported at the file that they stand in.

    Args:
        sources: Of each file its report and its rules.
        providers: The configured ones; None when they are not known, and what rests on them is not to be checked.
    """
    owners: dict[KeyPath, Report] = {}
    written: dict[str, str] = {}
    routes: dict[str, Route] = {}
    outcomes: dict[str, OutcomeRule] = {}
    for report, rules in sources:
        for route in rules.routes:
            owners.setdefault(("routes", route.name), report)
            routes.setdefault(route.name, route)  # a name that stands twice is told where files are read
        for rule in rules.outcomes:
            owners.setdefault(("outcomes", rule.name), report)
            outcomes.setdefault(rule.name, rule)
        for alias, name in rules.aliases.items():
            owners.setdefault(("aliases", alias), report)
            written.setdefault(alias, name)
    routing = Routing(
        routes=tuple(routes.values()),
        outcomes=tuple(outcomes.values()),
        aliases=_resolved(written, owners),
    )
    _report(routing, providers, owners, written)
    return NO_ROUTING if routing == NO_ROUTING else routing


def _resolved(written: Mapping[str, str], owners: Mapping[KeyPath, Report]) -> dict[str, str]:
    """The aliases that lead somewhere; each that does not is reported once, with all that it leads through."""
    left = dict(written)
    while True:
        try:
            return resolve_aliases(left)
        except AliasError as error:
            owners["aliases", error.alias].add(("aliases", error.alias), f"{error}; one has to be provider/model")
            for name in {error.alias, *error.chain}:
                left.pop(name, None)


def _report(
    routing: Routing,
    providers: Mapping[str, Known] | None,
    owners: Mapping[KeyPath, Report],
    written: Mapping[str, str],
) -> None:
    spelt = {alias.lower(): alias for alias in written}
    # What could not be read counts as left out: what only seems to be wrong for that is not told.
    unread = {path for path, report in owners.items() if report.has(path)}
    for problem in problems_of(routing, _imagined(routing) if providers is None else providers):
        section, name, *inner = problem.path
        owner: KeyPath = (section, spelt[str(name)] if section == "aliases" else name)
        if (owner in unread and not inner) or problem.message.endswith(_TOLD_BEFORE):
            continue
        owners[owner].add((*owner, *inner), problem.message.partition(": ")[2])


_TOLD_BEFORE = "it has no targets"
"""A file says so itself, with an example."""


def _imagined(routing: Routing) -> dict[str, Known]:
    """Providers as the routing takes them to be."""
    keys: dict[str, set[str]] = {}
    for route in routing.routes:
        for target in route.targets:
            keys.setdefault(target.provider, set()).add(target.key)
    for name in routing.aliases.values():
        provider, slash, _ = name.partition("/")
        if slash:
            keys.setdefault(provider, set())
    conditions = [one for route in routing.routes for one in route.match.conditions if one.field == "dialect"]
    dialects = _ANY_DIALECT.union(*(one.values for one in conditions))
    return {name: Known(dialects=dialects, keys=frozenset(named)) for name, named in keys.items()}
