"""What is wrong with routes and outcome rules, found when the policies load: each problem a sentence, with its place.

Everything that is found is told at once, in the order of the files. What passes here can be acted on without a further
look: every provider and key is there, every target speaks what its route asks for, and no route or rule is in vain.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations

import msgspec

from policies.aliases import split_model
from policies.conditions import Condition
from policies.match import condition_field, reader
from policies.routes_compiled import OutcomeRule, RetryRule, Route, RouteTarget, Routing
from proxy.config.problems import KeyPath


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a route may rely on of a configured provider."""

    dialects: frozenset[str]
    """That it speaks on some path."""
    keys: frozenset[str] = frozenset()
    """Names of its keys."""


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong, and where."""

    place: str
    message: str
    path: KeyPath = ()
    """Where in the file, from its top."""


def problems_of(routing: Routing, providers: Mapping[str, Known]) -> list[Problem]:
    """Everything that is wrong; an empty list where nothing is."""
    found: list[Problem] = []
    for route in routing.routes:
        there: KeyPath = ("routes", route.name)
        for key, told in (
            ("targets", (*_targets(route, providers), *_tiers(route), *_fit(route, providers))),
            ("", tuple(_options(route))),
            ("match", tuple(_conditions(route.match.conditions))),
            ("retry", tuple(_retry(route.retry))),
        ):
            path = (*there, key) if key else there
            found += [Problem(route.place, f"route {route.name}: {one}", path) for one in told]
    for rule in routing.outcomes:
        there = ("outcomes", rule.name)
        found += [Problem(rule.place, f"outcome {rule.name}: {one}", there) for one in _outcome(rule)]
    found += _twice([(one.name, one.place) for one in routing.routes], "route")
    found += _twice([(one.name, one.place) for one in routing.outcomes], "outcome")
    found += _hidden(routing.routes)
    return found + [
        Problem(
            "",
            f"alias {alias}: {name!r} is no provider/model{perhaps(name.partition('/')[0], providers)}",
            ("aliases", alias),
        )
        for alias, name in routing.aliases.items()
        if split_model(name, providers) is None
    ]


def _targets(route: Route, providers: Mapping[str, Known]) -> Iterator[str]:
    if not route.targets:
        yield "it has no targets"
    for target in route.targets:
        known = providers.get(target.provider)
        if known is None:
            yield f"there is no provider {target.provider!r}{perhaps(target.provider, providers)}"
        elif target.key and target.key not in known.keys:
            yield f"{target.provider} has no key {target.key!r}{perhaps(target.key, known.keys)}"
        if target.weight < 0:
            yield f"the weight of {target.id} is below 0"
    for name, times in Counter(target.id for target in route.targets).items():
        if times > 1:
            yield f"the target {name} is in it {times} times"


def _tiers(route: Route) -> Iterator[str]:
    tiers = [target.tier for target in route.targets]
    if tiers != sorted(tiers):
        yield "its tiers are not in rising order"
    for tier in sorted(set(tiers)):
        if all(target.weight == 0 for target in route.targets if target.tier == tier):
            yield f"no target of tier {tier} has a weight"


def _fit(route: Route, providers: Mapping[str, Known]) -> Iterator[str]:
    """A target gets the app's own bytes: it has to speak what they are written in."""
    direct = [target for target in route.targets if not target.translate and target.provider in providers]
    wanted = _stated_values(route.match.conditions, "dialect")
    for dialect in wanted:
        for target in direct:
            if dialect not in providers[target.provider].dialects:
                yield f"{target.id} does not speak {dialect}, which the route asks for"
    if not wanted and direct and not frozenset.intersection(*(providers[one.provider].dialects for one in direct)):
        yield f"there is no dialect that all of its targets speak: {_spoken(direct, providers)}"


def _options(route: Route) -> Iterator[str]:
    if len(route.targets) == 1 and route.hedge is not None:
        yield "it has a single target, so that there is nothing to hedge with"
    if route.continue_marked:
        yield "continue: marked is not there yet: a stream that breaks off ends with an error event; leave it out"
    if route.hedge is not None and not route.hold_head:
        yield "hold_head: off sends bytes at once, so that no second target could answer in place of the first (hedge)"
    if route.sticky:
        try:
            reader(route.sticky)
        except KeyError:
            yield f"calls have no field {route.sticky!r} to be sticky by"


def _conditions(conditions: tuple[Condition, ...]) -> Iterator[str]:
    for one, other in combinations(conditions, 2):
        if condition_field(one) != condition_field(other) or one.globs or other.globs:
            continue
        first, second = set(one.values), set(other.values)
        field = condition_field(one)
        if not one.negated and not other.negated and not first & second:
            yield f"no call has two values of {field}: {_listed(one.values)} and {_listed(other.values)}"
        elif one.negated != other.negated:
            wanted, excluded = (second, first) if one.negated else (first, second)
            if wanted <= excluded:
                yield f"{field} has to be and must not be {_listed(sorted(wanted))}"


def _retry(rule: RetryRule) -> Iterator[str]:
    for both, what in (
        (set(rule.retry_on) & set(rule.retry_not_on), "retry"),
        (set(rule.fall_back_on) & set(rule.fall_back_not_on), "fall back"),
    ):
        if both:
            yield f"it says to {what} and not to {what} on {_listed(sorted(both))}"
    if rule.tries_each < 1 or rule.tries_most < 1:
        yield "a call has to be tried at least once"
    if rule.tries_each > rule.tries_most:
        yield f"{rule.tries_each} tries at each target are more than the {rule.tries_most} in all"
    if rule.backoff_first_ms > rule.backoff_most_ms:
        yield f"the first wait of {rule.backoff_first_ms} ms is longer than the longest of {rule.backoff_most_ms} ms"
    if rule.attempt_ms is not None and rule.call_ms is not None and rule.attempt_ms > rule.call_ms:
        yield f"an attempt may take {rule.attempt_ms} ms, but its whole call {rule.call_ms} ms"


def _outcome(rule: OutcomeRule) -> Iterator[str]:
    plain = OutcomeRule(name=rule.name, place=rule.place, outcome=rule.outcome)
    bare = msgspec.structs.replace(rule, retry_same=None, fallback=None, fault=None)
    if bare == plain:
        yield "it has no condition, and would be the outcome of every attempt"
    if rule.outcome == "ok" and bare != rule:
        yield "a good outcome is neither tried again nor anybody's fault"
    if any(first > last for first, last in rule.statuses):
        yield "a range of statuses ends before it begins"
    if rule.answer_is_json is False and rule.schema_asked is False:
        yield "an answer is only wrong for not being JSON where JSON was asked for"


def _hidden(routes: tuple[Route, ...]) -> Iterator[Problem]:
    """A route behind one that takes every call is never reached."""
    for place, route in enumerate(routes):
        if not route.match.conditions and not route.match.hours:
            for other in routes[place + 1 :]:
                message = f"route {other.name}: no call reaches it, for route {route.name} before it takes every call"
                yield Problem(other.place, message, ("routes", other.name))
            return


def _twice(named: Iterable[tuple[str, str]], what: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, place in named:
        if name in first:
            yield Problem(place, f"{what} {name}: there is another of that name at {first[name]}", (f"{what}s", name))
        first.setdefault(name, place)


def _stated_values(conditions: tuple[Condition, ...], field: str) -> tuple[str, ...]:
    return tuple(
        value
        for condition in conditions
        if condition_field(condition) == field and not condition.negated
        for value in condition.values
    )


def _spoken(targets: list[RouteTarget], providers: Mapping[str, Known]) -> str:
    return "; ".join(f"{one.id} speaks {_listed(sorted(providers[one.provider].dialects))}" for one in targets)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values) or "nothing"


def perhaps(name: str, names: Iterable[str]) -> str:
    """What was meant by an unknown name, or which there are; begins with `; `, and is empty where there is nothing."""
    there = sorted(names)
    near = get_close_matches(name, there, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(there[:10])}" if there else ""
