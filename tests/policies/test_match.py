"""Rules are found by what a call is, in the order in which they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.compiled import Budget, CompiledPolicies, Window
from policies.conditions import Condition, Hours, Match
from policies.facts import CallFacts
from policies.match import Matcher, condition_field, field_value, holds, scope_of
from policies.windows import NS
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

TOTAL = Window(shape="total")


def call(provider="minimax", model="MiniMax-M3", operation="chat", key="", streaming=False, **caller):
    return CallFacts(
        provider=provider,
        operation=operation,
        key=key,
        request=RequestFacts(model=model, streaming=streaming),
        caller=Caller(**caller),
    )


def budget(name, *conditions, per=(), hours=(), **more):
    match = Match(conditions=conditions, hours=hours)
    return Budget(name=name, policy=f"budget:{name}", match=match, per=per, unit="USD", limit=1, window=TOTAL, **more)


def names(rules, a_call, now_ns=0):
    return [bound.rule.name for bound in Matcher(CompiledPolicies(budgets=tuple(rules))).find(a_call, now_ns)]


def test_a_rule_without_conditions_is_for_every_call():
    assert names([budget("all")], call()) == ["all"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Condition(field="team", values=("search", "ads")), True),
        (Condition(field="team", values=("ads",)), False),
        (Condition(field="team", values=("ads",), negated=True), True),
        (Condition(field="team", values=("Search",)), False),
        (Condition(field="model", values=("minimax-m3",)), True),
        (Condition(field="model", globs=("minimax-*",)), True),
        (Condition(field="model", globs=("gpt-*",), negated=True), True),
        (Condition(field="provider", values=("openai",)), False),
        (Condition(field="operation", values=("chat",)), True),
        (Condition(field="streaming", values=("true",)), False),
        (Condition(field="key", values=("k_1",)), True),
        (Condition(field="tag", tag="env", values=("prod",)), True),
        (Condition(field="tag", tag="env", values=("",)), False),
        (Condition(field="tag", tag="none", values=("",)), True),
        (Condition(field="session", globs=("s-?",)), True),
    ],
)
def test_a_condition_looks_at_one_field(condition, found):
    a_call = call(team="search", key_id="k_1", tags={"env": "prod"}, session="s-1")

    assert names([budget("one", condition)], a_call) == (["one"] if found else [])


def test_every_condition_has_to_hold():
    both = (Condition(field="team", values=("search",)), Condition(field="user", values=("jo",)))

    assert names([budget("both", *both)], call(team="search", user="jo")) == ["both"]
    assert names([budget("both", *both)], call(team="search", user="al")) == []


def test_rules_come_in_the_order_in_which_they_stand():
    team = Condition(field="team", values=("search",))
    rules = [budget("b", team), budget("a"), budget("c", team), budget("d", Condition(field="model", globs=("m*",)))]

    assert names(rules, call(team="search")) == ["b", "a", "c", "d"]


def test_the_name_of_a_virtual_key_comes_before_its_fingerprint():
    rule = budget("one", Condition(field="key", values=("ci",)))

    assert names([rule], call(key="ci", key_id="k_1")) == ["one"]


def test_hours_are_looked_at_for_each_call():
    nights = Hours(zone="UTC", weekdays=tuple(range(7)), spans=((1320, 360),))
    matcher = Matcher(CompiledPolicies(budgets=(budget("night", hours=(nights,)), budget("always"))))
    hour_ns = 3600 * NS

    at = [[bound.rule.name for bound in matcher.find(call(), hour * hour_ns)] for hour in (21, 22, 23, 30, 21)]
    assert at == [["always"], ["night", "always"], ["night", "always"], ["always"], ["always"]]


def test_each_value_of_per_has_a_counter_of_its_own():
    matcher = Matcher(
        CompiledPolicies(budgets=(budget("each", per=("team", "tag:env"), overrides={"team=a|tag:env=x": 7}),))
    )
    (first,), (second,) = (matcher.find(call(team=team, tags={"env": "x"}), 0) for team in ("a", "b"))

    assert (first.family, first.limit) == ("budget:each|team=a|tag:env=x", 7)
    assert (second.family, second.limit) == ("budget:each|team=b|tag:env=x", 1)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=2, unique=True))
def test_two_scopes_never_read_alike(values):
    one, other = (scope_of(call(team=team, user=user), ("team", "user")) for team, user in values)

    assert one != other


VALUES = st.sampled_from(["", "a", "b", "ab"])
CONDITIONS = st.builds(
    Condition,
    field=st.sampled_from(["team", "user", "session"]),
    values=st.lists(VALUES, max_size=2).map(tuple),
    globs=st.sampled_from([(), ("a*",), ("?",)]),
    negated=st.booleans(),
)


@given(st.lists(st.lists(CONDITIONS, max_size=2), max_size=6), VALUES, VALUES, VALUES)
def test_the_index_finds_what_a_look_at_every_rule_finds(rules, team, user, session):
    a_call = call(team=team, user=user, session=session)
    plain = [
        str(number)
        for number, conditions in enumerate(rules)
        if all(holds(one, field_value(a_call, condition_field(one))) for one in conditions)
    ]

    assert names([budget(str(number), *conditions) for number, conditions in enumerate(rules)], a_call) == plain


def test_a_value_that_is_too_long_matches_no_glob():
    assert not holds(Condition(field="model", globs=("*",)), "x" * 10_000)
