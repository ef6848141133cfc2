"""A trial says what would become of a call, and why."""

import pytest

from policies.compiled import Budget, CompiledPolicies, Limit, Window
from policies.conditions import Condition, Hours, Match
from policies.decision import Allow, Deny
from policies.engine import Engine
from policies.facts import CallFacts, Inputs
from policies.trial import attempt, why_not, window_text
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

CALL = CallFacts(
    provider="minimax",
    operation="chat",
    inputs=Inputs(text_bytes=976),
    request=RequestFacts(model="m", max_output_tokens=1000),
    caller=Caller(team="search"),
)


def budget(name="b", **more):
    defaults = {"policy": f"budget:{name}", "unit": "tokens", "limit": 10_000, "window": Window(shape="total")}
    return Budget(**{"name": name} | defaults | more)


def tried(*budgets, spent=None, limits=()):
    return attempt(Engine(CompiledPolicies(budgets=budgets, limits=limits)), CALL, 0, spent or {})


@pytest.mark.parametrize(
    ("rule", "spent", "fits"),
    [
        ({}, 7000, True),
        ({}, 7001, False),
        ({"grace": 1}, 7001, True),
        ({"enforce": "soft"}, 9999, True),
        ({"enforce": "soft"}, 10_000, False),
        ({"enforce": "observe"}, 99_999, True),
        ({"shadow": True}, 99_999, True),
    ],
)
def test_a_call_fits_or_not_by_how_strict_the_rule_is(rule, spent, fits):
    decision = tried(budget(**rule), spent={"budget:b": spent}).decision

    assert isinstance(decision, Allow if fits else Deny)


def test_what_is_spent_may_be_said_of_one_window():
    rule = budget(window=Window(shape="day"))

    assert isinstance(tried(rule, spent={"budget:b@1970-01-01T00:00:00Z": 9999}).decision, Deny)
    assert isinstance(tried(rule, spent={"budget:b@1970-01-02T00:00:00Z": 9999}).decision, Allow)


def test_the_first_rule_that_does_not_fit_is_named():
    trial = tried(budget("a"), budget("b"), budget("c"), spent={"budget:b": 9999, "budget:c": 9999})

    assert trial.decision.message.startswith("budget b")
    assert [demand.policy for demand in trial.demands] == ["budget:a", "budget:b", "budget:c"]


def test_rules_that_do_not_match_say_why():
    match = Match(conditions=(Condition(field="team", values=("ads",), globs=("s?",)),))
    never = Match(hours=(Hours(zone="UTC", weekdays=(0,), spans=((0, 60),)),))
    trial = tried(budget("a", match=match), budget("b", match=never), budget("c"))

    assert [(one.rule.name, one.why) for one in trial.missed] == [
        ("a", "team is search, not ads or s?"),
        ("b", "it is not its time"),
    ]
    assert [bound.rule.name for bound in trial.matched] == ["c"]


def test_a_negated_condition_says_what_it_is_other_than():
    match = Match(conditions=(Condition(field="team", values=("search",), negated=True),))

    assert why_not(budget(match=match), CALL, 0) == "team is search, not other than search"
    assert why_not(budget(), CALL, 0) == ""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (budget(), "in all"),
        (budget(window=Window(shape="month", zone="Europe/Berlin")), "each month (Europe/Berlin)"),
        (budget(window=Window(shape="rolling", length_ns=86_400 * 10**9, buckets=24)), "in any 24 h"),
        (Limit(name="l", policy="limit:l", unit="calls", limit=1, per_ns=60 * 10**9), "in 60 s"),
        (Limit(name="l", policy="limit:l", unit="concurrent", limit=1), "at the same time"),
    ],
)
def test_the_time_of_a_limit_reads_plainly(rule, text):
    assert window_text(rule) == text


def test_a_call_that_is_clamped_goes_with_less():
    trial = tried(budget(clamp_min=100), spent={"budget:b": 7500})

    assert isinstance(trial.decision, Allow)
    assert trial.reasons == ("budget:b:clamp=500", "budget:b:hold=2500tokens")
    assert [demand.amount for demand in trial.demands] == [2500]


def test_a_call_that_would_be_left_with_too_little_is_refused():
    trial = tried(budget(clamp_min=600), spent={"budget:b": 7500})

    assert isinstance(trial.decision, Deny)
    assert not any(":clamp=" in reason for reason in trial.reasons)
