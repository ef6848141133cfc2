"""What is wrong with a route is said when the policies load, with its place and what would be right."""

import pytest

from policies.conditions import Condition, Match
from policies.routes_check import Known, Problem, problems_of
from policies.routes_compiled import HedgeRule, OutcomeRule, RetryRule, Route, RouteTarget, Routing

CHAT, MESSAGES = "openai.chat", "anthropic.messages"
PROVIDERS = {
    "minimax": Known(dialects=frozenset({CHAT, MESSAGES}), keys=frozenset({"eu", "us"})),
    "openai": Known(dialects=frozenset({CHAT})),
    "anthropic": Known(dialects=frozenset({MESSAGES})),
}


def target(provider, **more):
    return RouteTarget(**{"id": provider, "provider": provider} | more)


def route(*targets, conditions=(), **more):
    chosen = targets or (target("minimax"), target("openai", tier=1))
    return Route(**{"name": "r", "place": "p.yaml:1", "targets": chosen, "match": Match(conditions=conditions)} | more)


def told(*routes, outcomes=()):
    return [one.message for one in problems_of(Routing(routes=routes, outcomes=outcomes), PROVIDERS)]


def test_a_good_route_has_no_problems():
    assert told(route()) == []


def test_a_problem_has_its_place():
    found = problems_of(Routing(routes=(route(target("nobody")),)), PROVIDERS)

    message = "route r: there is no provider 'nobody'; there are anthropic, minimax, openai"
    assert found == [Problem("p.yaml:1", message, ("routes", "r", "targets"))]


TEAM = Condition(field="team", values=("a", "b"))


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (route(targets=()), "no targets"),
        (route(target("minimx")), "did you mean minimax?"),
        (route(target("minimax", key="ue")), "no key 'ue'; there are eu, us"),
        (route(target("openai", key="eu")), "openai has no key 'eu'"),
        (route(target("openai"), target("openai", tier=1)), "is in it 2 times"),
        (route(target("minimax", tier=1), target("openai")), "rising order"),
        (route(target("minimax", weight=0)), "no target of tier 0 has a weight"),
        (route(target("minimax", weight=-1)), "below 0"),
        (route(target("openai"), target("anthropic", tier=1)), "no dialect that all of its targets speak"),
        (
            route(conditions=(Condition(field="dialect", values=(MESSAGES,)),)),
            "openai does not speak anthropic.messages",
        ),
        (route(target("minimax"), hedge=HedgeRule(after_ms=5)), "nothing to hedge with"),
        (
            route(target("minimax"), target("openai"), hedge=HedgeRule(after_ms=5), hold_head=False),
            "no second target could answer",
        ),
        (route(target("minimax"), target("openai"), continue_marked=True), "not there yet"),
        (route(sticky="mood"), "no field 'mood'"),
        (
            route(conditions=(TEAM, Condition(field="team", values=("c",)))),
            "no call has two values of team: a, b and c",
        ),
        (route(conditions=(TEAM, Condition(field="team", values=("a", "b", "c"), negated=True))), "must not be a, b"),
        (route(retry=RetryRule(retry_on=("auth",), retry_not_on=("auth",))), "retry and not to retry on auth"),
        (route(retry=RetryRule(fall_back_on=("auth",), fall_back_not_on=("auth",))), "not to fall back on auth"),
        (route(retry=RetryRule(tries_each=0)), "at least once"),
        (route(retry=RetryRule(tries_each=5, tries_most=4)), "more than the 4 in all"),
        (route(retry=RetryRule(backoff_first_ms=9, backoff_most_ms=8)), "longer than the longest"),
        (route(retry=RetryRule(attempt_ms=9, call_ms=8)), "whole call 8 ms"),
    ],
)
def test_what_cannot_be_right_is_told_once(one, words):
    (message,) = told(one)

    assert words in message
    assert message.startswith("route r: ")


def test_a_target_that_is_translated_for_need_not_speak_the_dialect():
    assert told(route(target("openai"), target("anthropic", tier=1, translate=MESSAGES))) == []


@pytest.mark.parametrize(
    "conditions",
    [
        (TEAM, Condition(field="team", values=("a",), negated=True)),
        (TEAM, Condition(field="user", values=("c",))),
        (TEAM, Condition(field="team", globs=("c*",))),
        (
            Condition(field="tag", tag="x", values=("1",)),
            Condition(field="tag", tag="y", values=("2",)),
        ),
    ],
)
def test_conditions_that_can_hold_together_are_no_contradiction(conditions):
    assert told(route(conditions=conditions)) == []


def test_a_route_that_no_call_reaches_is_told():
    late = route(name="late", conditions=(TEAM,))

    assert told(route(name="all"), late) == ["route late: no call reaches it, for route all before it takes every call"]
    assert told(late, route(name="all")) == []


def test_names_are_there_once():
    assert told(route(conditions=(TEAM,)), route()) == ["route r: there is another of that name at p.yaml:1"]


def test_an_alias_stands_for_a_model_of_a_known_provider():
    routing = Routing(aliases={"fast": "minimax/MiniMax-M3", "bad": "minimx/x", "bare": "gpt-5"})

    assert [one.message for one in problems_of(routing, PROVIDERS)] == [
        "alias bad: 'minimx/x' is no provider/model; did you mean minimax?",
        "alias bare: 'gpt-5' is no provider/model; there are anthropic, minimax, openai",
    ]


def outcome(**more):
    return OutcomeRule(**{"name": "o", "place": "p.yaml:2", "statuses": ((200, 200),), "outcome": "billing"} | more)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (outcome(statuses=()), "every attempt"),
        (outcome(statuses=(), fault="client"), "every attempt"),
        (outcome(statuses=((500, 400),)), "ends before it begins"),
        (outcome(outcome="ok", fallback="yes"), "neither tried again"),
        (outcome(schema_asked=False, answer_is_json=False), "where JSON was asked for"),
    ],
)
def test_an_outcome_rule_that_cannot_be_right_is_told(rule, words):
    (message,) = told(outcomes=(rule,))

    assert words in message


def test_a_good_outcome_rule_has_no_problems():
    assert told(outcomes=(outcome(), outcome(name="other", outcome="ok"))) == []
    assert told(outcomes=(outcome(), outcome())) == ["outcome o: there is another of that name at p.yaml:2"]
