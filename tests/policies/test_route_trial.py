"""A trial tells the route of a call, its targets in their order, what each changes, and what the plan holds."""

from msgspec.structs import replace

from policies.compiled import Budget, CompiledPolicies, ModelRate, Threshold, Window
from policies.conditions import Condition, Match
from policies.engine import Engine
from policies.facts import CallFacts, Inputs
from policies.route_trial import Place, as_json, route_lines, try_route
from policies.routes_compiled import RetryRule, Route, RouteTarget, Routing
from policies.trial import attempt
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

CHAT = "openai.chat"
PLACES = {
    "minimax": Place(kind="minimax", dialects=frozenset({CHAT})),
    "openai": Place(kind="openai", dialects=frozenset({CHAT})),
}
TARGETS = (
    RouteTarget(id="minimax/MiniMax-M3", provider="minimax", model="MiniMax-M3"),
    RouteTarget(id="openai/gpt-5", provider="openai", model="gpt-5", tier=1),
)
ROUTES = (
    Route(name="ads", match=Match(conditions=(Condition(field="team", values=("ads",)),)), targets=TARGETS[1:]),
    Route(name="chat", place="p.yaml:3", targets=TARGETS, retry=RetryRule(fall_back_on=("unknown",), call_ms=5000)),
)
RATES = (
    ModelRate(id="m", provider="minimax", models=("minimax-*",), currency="USD", input_nano=10**9, output_nano=10**9),
    ModelRate(id="o", provider="openai", models=("gpt-5",), currency="USD", input_nano=10**10, output_nano=10**10),
)
BUDGET = Budget(
    name="b",
    policy="budget:b",
    unit="USD",
    limit=5 * 10**9,
    window=Window(shape="total"),
    thresholds=(Threshold(at=5000, acts=("downgrade",), model="MiniMax-M2"),),
)
CALL = CallFacts(
    provider="minimax",
    operation="chat",
    dialect=CHAT,
    request=RequestFacts(model="MiniMax-M3", max_output_tokens=1000),
    caller=Caller(),
    inputs=Inputs(text_bytes=976),
)


def tried(routes=ROUTES, spent=0, body=None):
    engine = Engine(CompiledPolicies(budgets=(BUDGET,), rates=RATES, routing=Routing(routes=routes)))
    trial = attempt(engine, CALL, 0, {"budget:b": spent})
    return try_route(engine, CALL, trial.decision, PLACES, 0, body)


def test_the_route_that_is_taken_and_those_that_are_not_are_told():
    trial = tried()
    told = "\n".join(route_lines(trial))

    assert trial.route.name == "chat"
    assert [one.target.id for one in trial.targets] == ["minimax/MiniMax-M3", "openai/gpt-5"]
    assert "route chat  [p.yaml:3]" in told
    assert "not ads: team is not stated, not ads" in told
    assert "falls back, too, on: unknown" in told
    assert "limits: call 5 s" in told


def test_the_plan_holds_what_its_dearest_target_can_cost():
    trial = tried()

    first, second = (one.holds["budget:b"][0] for one in trial.targets)
    assert trial.dearest["budget:b"] == (second, "USD", "openai/gpt-5")
    assert second == 10 * first > 0


def test_what_a_target_changes_is_told():
    trial = tried(body=b'{"model":"MiniMax-M3","messages":[],"max_tokens":5,"reasoning_split":true}')

    assert trial.targets[0].changes == ()
    assert "model_replaced" in trial.targets[1].changes
    assert as_json(trial)["targets"][1]["changes"] == list(trial.targets[1].changes)


def test_a_threshold_that_is_passed_changes_the_route():
    trial = tried(spent=3 * 10**9)

    assert trial.downgrade.target.id == "minimax/MiniMax-M2"
    assert [one.target.id for one in trial.targets] == ["minimax/MiniMax-M2"]
    assert "asks for minimax/MiniMax-M2 instead" in route_lines(trial)[0]


def test_without_a_route_a_call_goes_where_its_path_says():
    trial = tried(routes=())

    assert (trial.route, trial.targets) == (None, ())
    assert "no route is for it" in route_lines(trial)[0]
    assert as_json(trial)["route"] is None


def test_an_alias_is_told_with_what_it_stands_for():
    engine = Engine(CompiledPolicies(routing=Routing(aliases={"fast": "openai/gpt-5"})))
    call = replace(CALL, request=RequestFacts(model="Fast"))
    trial = try_route(engine, call, attempt(engine, call, 0, {}).decision, PLACES, 0)

    assert [one.target.id for one in trial.targets] == ["openai/gpt-5"]
    assert route_lines(trial)[0] == "Its way: alias"
