"""A downgrade is a change of route: to a model that the call could have asked for, and to nothing dearer behind it."""

import pytest

from policies.conditions import Condition, Match
from policies.decision import Allow, Deny
from policies.downgrade import downgraded
from policies.facts import CallFacts
from policies.plan import Router
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

CHAT, MESSAGES = "openai.chat", "anthropic.messages"
PROVIDERS = {"minimax": {CHAT, MESSAGES}, "openai": {CHAT}}


def target(name, tier=0):
    provider, _, model = name.partition("/")
    return RouteTarget(id=name, provider=provider, model=model or None, tier=tier)


def call(model="MiniMax-M3", operation="chat", dialect=CHAT):
    return CallFacts(
        provider="minimax",
        operation=operation,
        dialect=dialect,
        request=RequestFacts(model=model),
        caller=Caller(team="a"),
    )


def instead(model, *routes, of=None, aliases=None):
    routing = Routing(routes=routes, aliases=aliases or {})
    decision = Allow(plan=(), downgrade=model)
    return downgraded(of or call(), decision, routing, Router(routes), PROVIDERS, 0)


@pytest.mark.parametrize(
    ("model", "goes_to"),
    [
        ("MiniMax-M2", "minimax/MiniMax-M2"),
        ("openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("Cheap", "openai/gpt-5-nano"),
        ("deepseek/deepseek-chat", "minimax/deepseek/deepseek-chat"),
    ],
)
def test_another_model_is_asked_for_as_if_the_app_had_named_it(model, goes_to):
    found = instead(model, aliases={"cheap": "openai/gpt-5-nano"})

    assert (found.target.id, [one.id for one in found.route.targets]) == (goes_to, [goes_to])
    assert f"{found.call.provider}/{found.call.request.model}" == goes_to
    assert found.call.caller.team == "a"


@pytest.mark.parametrize(
    ("model", "of"),
    [
        ("", None),
        ("minimax-m3", None),
        ("minimax/MiniMax-M3", None),
        ("MiniMax-M2", call(operation="speech")),
        ("openai/gpt-5", call(dialect=MESSAGES)),
    ],
)
def test_what_a_call_cannot_ask_for_changes_nothing(model, of):
    assert instead(model, of=of) is None


def test_a_refused_call_is_not_downgraded():
    refused = Deny(status=429, code="x", message="x")

    assert downgraded(call(), refused, Routing(), Router(), PROVIDERS, 0) is None


def test_of_its_route_only_what_stands_behind_the_target_is_left():
    steps = ("minimax/MiniMax-M3", "openai/gpt-5-mini", "minimax/MiniMax-M2")
    route = Route(name="r", targets=tuple(target(name, tier) for tier, name in enumerate(steps)))

    assert [one.id for one in instead("openai/gpt-5-mini", route).route.targets] == list(steps[1:])
    assert [one.id for one in instead("minimax/other", route).route.targets] == ["minimax/other"]


def test_the_route_of_the_other_model_is_taken():
    small = Route(
        name="small",
        match=Match(conditions=(Condition(field="model", values=("minimax-m2",)),)),
        targets=(target("minimax"), target("openai/gpt-5-nano", 1)),
    )

    found = instead("MiniMax-M2", small)

    assert [(one.id, one.model) for one in found.route.targets] == [
        ("minimax", "MiniMax-M2"),
        ("openai/gpt-5-nano", "gpt-5-nano"),
    ]
    assert instead("openai/gpt-5-nano", small).route.name == "downgrade"
