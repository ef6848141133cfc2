"""Compiled policies travel as JSON and come back as they were."""

from decimal import Decimal

import msgspec
import pytest

from policies.compiled import FORMAT, NO_POLICIES, Budget, CompiledPolicies, Window, from_json, to_json
from policies.conditions import Condition, Match
from policies.routes_compiled import NO_ROUTING, HedgeRule, OutcomeRule, Route, RouteTarget, Routing

BUDGET = Budget(
    name="search",
    policy="budget:search",
    unit="USD",
    limit=5 * 10**9,
    window=Window(shape="month", zone="Europe/Berlin"),
    exchange={"CNY": Decimal("0.14")},
)


def test_what_is_sent_to_a_worker_is_what_it_has():
    policies = CompiledPolicies(generation=3, hash="abc", budgets=(BUDGET,))

    assert from_json(to_json(policies)) == policies


def test_another_format_is_refused():
    with pytest.raises(msgspec.ValidationError, match="format"):
        from_json(to_json(CompiledPolicies(format=FORMAT + 1)))


def test_routes_outcomes_and_aliases_travel_with_the_rest():
    routing = Routing(
        routes=(
            Route(
                name="chat",
                match=Match(conditions=(Condition(field="model", values=("minimax-m3",)),)),
                targets=(RouteTarget(id="minimax", provider="minimax"), RouteTarget(id="b", provider="b", tier=1)),
                hedge=HedgeRule(after_ms=500),
            ),
        ),
        outcomes=(OutcomeRule(name="late", duration_over_ms=10, outcome="timeout"),),
        aliases={"fast": "minimax/MiniMax-M3"},
    )
    policies = CompiledPolicies(routing=routing)

    assert from_json(to_json(policies)) == policies


def test_a_worker_without_routes_gets_nothing_about_them():
    assert b"routing" not in to_json(NO_POLICIES)
    assert from_json(to_json(NO_POLICIES)).routing == NO_ROUTING
