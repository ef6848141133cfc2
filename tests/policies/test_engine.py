"""Decisions are values with their reasons."""

import subprocess
import sys
from decimal import Decimal

import pytest
from msgspec import structs

from policies.compiled import Budget, CompiledPolicies, KeyRule, Limit, ModelRate, Threshold, Window
from policies.conditions import Condition, Match
from policies.demand import Level
from policies.engine import Allow, CallFacts, Deny, Engine, Target, decide
from policies.facts import Inputs
from policies.steps import Growth, Step
from proxy.core.facts import RequestFacts
from proxy.core.money import Money
from proxy.core.record import Caller

TEXT = Inputs(text_bytes=976)
NOW_NS = 1_795_000_000 * 10**9
USD = 10**9
RATE = ModelRate(
    id="x", provider="minimax", models=("minimax-*",), currency="USD", input_nano=10**9, output_nano=2 * 10**9
)


def call(provider="minimax", model="MiniMax-M3", key="", billable=True, inputs=TEXT, output=500, **more):
    return CallFacts(
        provider=provider,
        operation="chat",
        key=key,
        billable=billable,
        inputs=inputs,
        request=RequestFacts(model=model, max_output_tokens=output),
        caller=Caller(team="search", user="jo"),
        **more,
    )


def budget(name="b", **more):
    defaults = {"policy": f"budget:{name}", "unit": "USD", "limit": 5 * USD, "window": Window(shape="month")}
    return Budget(**{"name": name} | defaults | more)


def engine(*budgets, limits=(), rates=(RATE,), **more):
    return Engine(CompiledPolicies(budgets=budgets, limits=limits, rates=rates, **more))


def used(share):
    """A ledger that knows every counter to be so full."""
    return lambda counter: Level(counter=counter, spent=int(share * 5 * USD), held=0, allowed=5 * USD)


def test_without_a_policy_a_call_goes_where_its_path_says_with_its_own_model():
    a_call = CallFacts(provider="minimax", operation="chat", request=RequestFacts(model="MiniMax-M3"), caller=Caller())

    assert decide(a_call) == Allow(plan=(Target(provider="minimax", model=None),))


def test_a_budget_holds_the_most_that_the_call_can_cost():
    decision = engine(budget(per=("team",))).decide(call(), NOW_NS)

    assert isinstance(decision, Allow)
    # 976 bytes and 1024 tokens of frame at 0.001, 500 of output at 0.002
    assert [(demand.family, demand.amount) for demand in decision.demands] == [("budget:b|team=search", 3_000_000)]
    assert decision.reasons == ("budget:b:hold=0.003USD",)
    assert decision.hold.cost == Money(Decimal("0.003"), "USD")
    assert (decision.hold.input_tokens, decision.hold.output_tokens) == (2000, 500)


def test_nested_budgets_and_limits_all_apply_in_the_order_of_the_files():
    rules = [budget("org"), budget("team", per=("team",)), budget("user", per=("user",), unit="tokens", limit=10_000)]
    limits = (Limit(name="rpm", policy="limit:rpm", unit="calls", limit=60, per_ns=60 * 10**9),)
    decision = engine(*rules, limits=limits).decide(call(), NOW_NS)

    assert [demand.policy for demand in decision.demands] == ["budget:org", "budget:team", "budget:user", "limit:rpm"]
    assert decision.reasons[2:] == ("budget:user:hold=2500tokens", "limit:rpm:hold=1calls")


def test_a_call_that_falls_under_no_rule_holds_nothing():
    rule = budget(match=Match(conditions=(Condition(field="team", values=("other",)),)))

    assert engine(rule).decide(call(), NOW_NS) == Allow(plan=(Target(provider="minimax"),))


UNBOUNDED = {"inputs": None, "output": None}


@pytest.mark.parametrize(
    ("facts", "rule", "code", "says"),
    [
        (UNBOUNDED, {}, "policy_unbounded", "max_tokens"),
        (UNBOUNDED, {"unit": "tokens"}, "policy_unbounded", "max_tokens"),
        ({"model": "gpt-9"}, {}, "policy_unknown_price", "gpt-9"),
        ({"model": "gpt-9", "currency": "CNY"}, {}, "policy_other_currency", "CNY"),
    ],
)
def test_a_hard_cap_refuses_what_it_cannot_hold(facts, rule, code, says):
    decision = engine(budget(**rule)).decide(call(**facts), NOW_NS)

    assert isinstance(decision, Deny)
    assert (decision.status, decision.code) == (403, code)
    assert says in decision.message
    assert decision.reasons == (
        f"budget:b:deny:{decision.code.removeprefix('policy_')}" + ("=CNY" if "CNY" in says else ""),
    )


@pytest.mark.parametrize(
    ("facts", "rule", "amount", "reason"),
    [
        (UNBOUNDED, {"unbounded": USD}, USD, "budget:b:hold=1USD:unbounded"),
        (UNBOUNDED, {"unbounded": 0}, 0, "budget:b:hold=0USD:unbounded"),
        ({"model": "gpt-9"}, {"unknown_price": USD // 2}, USD // 2, "budget:b:hold=0.5USD:unknown_price"),
        (UNBOUNDED, {"enforce": "soft"}, 0, "budget:b:unbounded"),
        ({"model": "gpt-9"}, {"enforce": "observe"}, 0, "budget:b:unknown_price"),
        (UNBOUNDED, {"shadow": True}, 0, "shadow:budget:b:unbounded"),
        ({"output": None}, {"assume_output_tokens": 100}, 2_200_000, "budget:b:hold=0.0022USD"),
    ],
)
def test_what_stands_in_for_a_bound_is_the_policys_word(facts, rule, amount, reason):
    decision = engine(budget(**rule)).decide(call(**facts), NOW_NS)

    assert [demand.amount for demand in decision.demands] == [amount]
    assert decision.reasons == (reason,)


def test_a_bill_in_another_currency_is_exchanged_at_the_policys_rate_only():
    yuan = ModelRate(id="x", provider="minimax", models=("*",), currency="CNY", input_nano=10**9, output_nano=2 * 10**9)
    exchanged = engine(budget(exchange={"CNY": Decimal("0.14")}), rates=(yuan,)).decide(call(), NOW_NS)
    ignored = engine(budget(other_currency="ignore"), rates=(yuan,)).decide(call(), NOW_NS)

    assert (exchanged.demands[0].amount, exchanged.demands[0].bill) == (420_000, "CNY")
    assert (ignored.demands, ignored.reasons) == ((), ("budget:b:other_currency=CNY",))


def test_a_call_that_costs_nothing_draws_on_calls_alone():
    limits = (Limit(name="rpm", policy="limit:rpm", unit="calls", limit=60, per_ns=60 * 10**9),)
    decision = engine(budget(), limits=limits).decide(call(billable=False), NOW_NS)

    assert [demand.policy for demand in decision.demands] == ["limit:rpm"]


def test_a_rule_in_shadow_says_what_it_would_hold():
    decision = engine(budget(shadow=True)).decide(call(), NOW_NS)

    assert decision.reasons == ("shadow:budget:b:hold=0.003USD",)
    assert (decision.demands[0].enforce, decision.demands[0].shadow) == ("observe", True)


def thresholds(*acts, model=""):
    return {"thresholds": (Threshold(at=8000, acts=acts, model=model),)}


def test_below_a_threshold_nothing_happens():
    decision = engine(budget(**thresholds("deny"))).decide(call(), NOW_NS, used(0.79))

    assert isinstance(decision, Allow)


@pytest.mark.parametrize(
    ("act", "code", "status"), [("deny", "budget_threshold", 429), ("require_key", "key_required", 403)]
)
def test_a_threshold_can_refuse_before_the_limit_is_reached(act, code, status):
    decision = engine(budget(**thresholds(act))).decide(call(), NOW_NS, used(0.8))

    assert (decision.status, decision.code) == (status, code)
    assert decision.reasons[-1] == f"budget:b:at=80%:{act}"


@pytest.mark.parametrize("rule", [{"shadow": True}, {"enforce": "observe"}])
def test_a_threshold_of_a_rule_that_only_looks_refuses_nothing(rule):
    decision = engine(budget(**thresholds("deny"), **rule)).decide(call(), NOW_NS, used(1))

    assert isinstance(decision, Allow)
    assert decision.reasons[-1] == "shadow:budget:b:at=80%:deny"


def test_a_threshold_can_ask_for_another_model():
    decision = engine(budget(**thresholds("downgrade", model="MiniMax-M2"))).decide(call(), NOW_NS, used(0.9))

    assert decision.downgrade == "MiniMax-M2"
    assert decision.plan == (Target(provider="minimax"),)


@pytest.mark.parametrize(
    ("rule", "a_call", "status", "code"),
    [
        (KeyRule(name="ci", providers=("open*",)), call(key="ci"), 403, "key_provider"),
        (KeyRule(name="ci", models=("gpt-*",)), call(key="ci"), 403, "key_model"),
        (KeyRule(name="ci", operations=("embeddings",)), call(key="ci"), 403, "key_operation"),
        (KeyRule(name="ci", disabled=True), call(key="ci"), 401, "key_disabled"),
        (KeyRule(name="ci", expires_at_ns=NOW_NS), call(key="ci"), 401, "key_expired"),
    ],
)
def test_a_key_is_only_good_for_what_it_is_for(rule, a_call, status, code):
    decision = engine(keys={"ci": rule}).decide(a_call, NOW_NS)

    assert (decision.status, decision.code) == (status, code)


def test_a_key_may_do_what_it_is_for():
    rule = KeyRule(
        name="ci", providers=("minimax",), models=("minimax-*",), operations=("chat",), expires_at_ns=NOW_NS + 1
    )

    assert isinstance(engine(keys={"ci": rule}).decide(call(key="ci"), NOW_NS), Allow)


def test_a_decision_depends_on_nothing_that_was_decided_before():
    warm = engine(budget(per=("team",)), budget("total", window=Window(shape="total")))
    for number in range(50):
        warm.decide(call(output=number), NOW_NS + number * 86_400 * 10**9)

    assert warm.decide(call(), NOW_NS) == engine(
        budget(per=("team",)), budget("total", window=Window(shape="total"))
    ).decide(call(), NOW_NS)


def test_a_worker_that_decides_holds_neither_schema_nor_price_library():
    heavy = "pydantic yaml genai_prices typer"
    code = f"import sys, policies.engine, policies.answers, policies.inputs; print([m for m in '{heavy}'.split() if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("rule", "output", "step"),
    [
        (budget(assume_output_tokens=100), None, Step("tokens", 100, 200_000, cut=True)),
        (budget(assume_output_tokens=100), 500, None),
        (budget(assume_output_tokens=100, cuts=False), None, Step("tokens", 100, 200_000, cut=False)),
        (budget(assume_output_tokens=100, unit="tokens"), None, Step("tokens", 100, 100, cut=True)),
        (budget(assume_output_tokens=100, unit="output_tokens"), None, Step("tokens", 100, 100, cut=True)),
        (budget(assume_output_tokens=100, unit="input_tokens"), None, None),
        (budget(unbounded=7), None, Step("bytes", 1 << 20, 7, cut=True)),
        (budget(unbounded=7, step_bytes=5000), None, Step("bytes", 5000, 7, cut=True)),
        (budget(unbounded=0), None, None),
        (budget(unit="calls", assume_output_tokens=100), None, None),
    ],
)
def test_a_hold_that_is_no_bound_says_by_what_it_grows(rule, output, step):
    decision = engine(rule).decide(call(output=output), NOW_NS)

    assert isinstance(decision, Allow)
    assert decision.growth == (None if step is None else Growth((step,), 2 * 10**9))


def test_a_pace_and_a_model_with_a_limit_do_not_grow():
    limit = Limit(name="l", policy="limit:l", unit="tokens", limit=10**6, per_ns=1, assume_output_tokens=100)
    known = structs.replace(RATE, max_output_tokens=64)
    rule = budget(assume_output_tokens=100)

    assert engine(limits=(limit,)).decide(call(output=None), NOW_NS).growth is None
    assert engine(rule, rates=(known,)).decide(call(output=None), NOW_NS).growth is None
    assert engine(rule, limits=(limit,)).decide(call(output=None), NOW_NS).growth.steps[1] is None


def test_a_plan_grows_by_the_dearest_of_its_targets():
    dear = structs.replace(RATE, provider="other", output_nano=8 * 10**9)
    a_call = structs.replace(call(output=None), targets=(("other", None), ("minimax", None)))
    decision = engine(budget(assume_output_tokens=100), rates=(RATE, dear)).decide(a_call, NOW_NS)

    assert decision.growth == Growth((Step("tokens", 100, 800_000, cut=True),), 8 * 10**9)
