"""Which rules a call falls under, and with which counters: an index, and a memory of what was found.

Conditions are compared with plain text; nothing is evaluated. A rule with a condition that names whole values is filed
under them, so that a thousand budgets of a thousand teams are one look-up. What was found for a call is remembered by
the fields that any rule looks at, and only by those.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from policies.compiled import Budget, CompiledPolicies, Limit
from policies.conditions import Condition, Match
from policies.facts import CallFacts
from policies.windows import MINUTE_NS, open_at
from proxy.prices.match import matches

MAX_REMEMBERED = 16_384
"""Calls of so many kinds are remembered; then the memory begins anew."""
MAX_VALUE_CHARS = 256
"""Longer values match no condition; the identity room takes no longer ones either, but models come from bodies."""
FOLDED: Final = frozenset({"model", "provider"})
"""Fields that are compared without case."""

_ESCAPES = str.maketrans({char: f"%{ord(char):02X}" for char in "%|=@{}, \t\r\n"})
Reader = Callable[[CallFacts], str]

_READERS: dict[str, Reader] = {
    "team": attrgetter("caller.team"),
    "project": attrgetter("caller.project"),
    "user": attrgetter("caller.user"),
    "session": attrgetter("caller.session"),
    "provider": attrgetter("provider"),
    "operation": attrgetter("operation"),
    "dialect": attrgetter("dialect"),
    "key": lambda call: call.key or call.caller.key_id,
    "model": lambda call: (call.request.model or "").lower(),
    "streaming": lambda call: "true" if call.request.streaming else "false",
}

Rule = Budget | Limit
MatchKey = tuple[str | frozenset[int], ...]


class Bound(msgspec.Struct, frozen=True):
    """A rule that a call falls under, with the scope that its counters are of."""

    rule: Rule
    order: int
    family: str
    """`budget:search|team=search`."""
    scope: str
    """`team=search`; empty where the rule has one counter."""
    limit: int
    """Of this scope, in whole numbers of the unit's scale."""
    like: int
    """Rules of the same number hold the same amount for the same call."""


def field_value(call: CallFacts, field: str) -> str:
    """The value of a field: `team`, `model`, `tag:NAME` ...; empty where the call has none."""
    return reader(field)(call)


def reader(field: str) -> Reader:
    """What reads a field off a call."""
    if field.startswith("tag:"):
        name = field.removeprefix("tag:")
        return lambda call: call.caller.tags.get(name, "")
    return _READERS[field]


def condition_field(condition: Condition) -> str:
    """The field of a condition in the form of `field_value`."""
    return f"tag:{condition.tag}" if condition.field == "tag" else condition.field


def holds(condition: Condition, value: str) -> bool:
    """Whether one condition holds for a field's value."""
    found = value in condition.values or (
        len(value) <= MAX_VALUE_CHARS and any(matches(glob, value) for glob in condition.globs)
    )
    return found is not condition.negated


def scope_of(call: CallFacts, per: Sequence[str]) -> str:
    """`team=search|user=jo`: the values that choose a counter, escaped so that no two scopes read alike."""
    return scope_text(per, [field_value(call, field) for field in per])


def scope_text(per: Sequence[str], values: Sequence[str]) -> str:
    """The scope of these values of these fields."""
    return "|".join(f"{field}={value.translate(_ESCAPES)}" for field, value in zip(per, values, strict=True))


class Matcher:
    """The rules of one set of policies, ready to be asked; its memory changes how fast it answers, never what."""

    def __init__(self, policies: CompiledPolicies) -> None:
        self.rules: tuple[Rule, ...] = (*policies.budgets, *policies.limits)
        self._readers = [reader(one) for one in sorted({field for rule in self.rules for field in _fields(rule)})]
        self._filed: dict[str, dict[str, list[int]]] = {}
        self._others: list[int] = []
        for order, rule in enumerate(self.rules):
            self._file(order, rule.match)
        kinds = [_holding(rule) for rule in self.rules]
        self._like = [kinds.index(kind) for kind in kinds]
        self._remembered: dict[MatchKey, tuple[Bound, ...]] = {}
        self._by_hours = [order for order, rule in enumerate(self.rules) if rule.match.hours]
        self._closed: tuple[int, frozenset[int]] = (-1, frozenset())

    def find(self, call: CallFacts, now_ns: int) -> Sequence[Bound]:
        """The rules that a call falls under at an instant, in the order of the files: budgets, then limits."""
        key = self.key(call, now_ns)
        found = self._remembered.get(key)
        if found is None:
            found = self._match(call, self._closed_at(now_ns))
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def key(self, call: CallFacts, now_ns: int) -> MatchKey:
        """Everything of a call and an instant that any rule looks at: calls of one key fall under the same rules."""
        values = tuple([read(call) for read in self._readers])
        return (*values, self._closed_at(now_ns)) if self._by_hours else values

    def _match(self, call: CallFacts, closed: frozenset[int]) -> tuple[Bound, ...]:
        candidates = list(self._others)
        for field, by_value in self._filed.items():
            candidates += by_value.get(field_value(call, field), ())
        return tuple(
            self._bound(order, call)
            for order in sorted(candidates)
            if order not in closed
            and all(
                holds(condition, field_value(call, condition_field(condition)))
                for condition in self.rules[order].match.conditions
            )
        )

    def _bound(self, order: int, call: CallFacts) -> Bound:
        rule = self.rules[order]
        scope = scope_of(call, rule.per)
        family = f"{rule.policy}|{scope}" if scope else rule.policy
        return Bound(rule, order, family, scope, rule.overrides.get(scope, rule.limit), self._like[order])

    def _file(self, order: int, match: Match) -> None:
        """File a rule under the values of its narrowest plain condition."""
        plain = [one for one in match.conditions if one.values and not one.globs and not one.negated]
        if not plain:
            self._others.append(order)
            return
        narrowest = min(plain, key=lambda one: len(one.values))
        by_value = self._filed.setdefault(condition_field(narrowest), {})
        for value in dict.fromkeys(narrowest.values):
            by_value.setdefault(value, []).append(order)

    def _closed_at(self, now_ns: int) -> frozenset[int]:
        """The rules whose time it is not, by their place in the order."""
        minute = now_ns // MINUTE_NS
        if self._closed[0] != minute:
            closed = [
                order
                for order in self._by_hours
                if not all(open_at(one, now_ns) for one in self.rules[order].match.hours)
            ]
            self._closed = (minute, frozenset(closed))
        return self._closed[1]


def _fields(rule: Rule) -> Iterable[str]:
    yield from rule.per
    for condition in rule.match.conditions:
        yield condition_field(condition)


def _holding(rule: Rule) -> tuple[object, ...]:
    """Everything of a rule that decides how much it holds."""
    exchange = tuple(sorted(rule.exchange.items()))
    return (
        rule.unit,
        rule.unbounded,
        rule.assume_output_tokens,
        rule.unknown_price,
        rule.other_currency,
        exchange,
    )
