"""A call takes the first route that is for it, and meets its targets in an order that is explained."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.conditions import Condition, Hours, Match
from policies.facts import CallFacts
from policies.health import FULL, Look
from policies.plan import LeftOut, Router, draw, plan_for
from policies.routes_compiled import Route, RouteTarget
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


def call(model="MiniMax-M3", provider="minimax", session="", **caller):
    return CallFacts(
        provider=provider,
        operation="chat",
        request=RequestFacts(model=model),
        caller=Caller(session=session, **caller),
    )


def target(name, **more):
    return RouteTarget(id=name, provider=name, **more)


def route(*targets, name="r", conditions=(), hours=(), **more):
    return Route(name=name, targets=targets, match=Match(conditions=conditions, hours=hours), **more)


def order(a_route, a_call=None, call_id="c", **looks):
    plan = plan_for(a_route, a_call or call(), call_id, lambda one: looks.get(one.id, FULL))
    return [one.id for one in plan.targets]


OPEN, DRAINED = Look("open", 0, 50), Look("draining", 0)
CHAIN = route(target("a", tier=0), target("b", tier=1), target("c", tier=2))
CANARY = route(target("old", weight=9), target("new", weight=1), target("spare", tier=1))


def test_tiers_are_tried_in_their_order():
    assert order(CHAIN) == ["a", "b", "c"]


def test_a_target_that_is_not_well_is_left_out_and_named():
    plan = plan_for(CHAIN, call(), "c", lambda one: OPEN if one.id == "a" else FULL)

    assert [one.id for one in plan.targets] == ["b", "c"]
    assert plan.left_out == (LeftOut("a", "open"),)
    assert not plan.forced


def test_when_none_is_well_the_one_that_is_back_first_is_tried():
    looks = {"a": Look("open", 0, 90), "b": Look("rate_limited", 0, 20), "c": Look("draining", 0, 0)}
    plan = plan_for(CHAIN, call(), "c", lambda one: looks[one.id])

    assert [one.id for one in plan.targets] == ["b"]
    assert plan.forced
    assert plan.left_out == (LeftOut("a", "open"), LeftOut("c", "draining"))


def test_a_single_target_is_tried_even_if_it_is_not_well_but_not_if_it_was_taken_out_by_hand():
    only = route(target("a"))

    assert order(only) == ["a"]
    assert order(only, a=OPEN) == ["a"]
    assert order(only, a=DRAINED) == []


def test_weights_share_out_the_calls_of_a_tier():
    first = Counter(order(CANARY, call_id=f"call-{n}")[0] for n in range(4000))

    assert first["old"] + first["new"] == 4000
    assert 320 < first["new"] < 480


def test_the_rest_of_the_tier_comes_before_the_next_tier():
    assert {tuple(order(CANARY, call_id=f"call-{n}")) for n in range(200)} == {
        ("old", "new", "spare"),
        ("new", "old", "spare"),
    }


@given(st.text(min_size=1, max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_a_session_keeps_to_its_target(session, one_id, other_id):
    in_session = call(session=session)

    assert order(CANARY, in_session, one_id) == order(CANARY, in_session, other_id)


def test_a_route_can_be_sticky_by_another_field_or_by_none():
    by_user = route(*CANARY.targets, sticky="user")
    by_tag = route(*CANARY.targets, sticky="tag:env")
    by_none = route(*CANARY.targets, sticky="")
    ids = [f"call-{n}" for n in range(100)]

    assert len({tuple(order(by_user, call(user="jo"), one)) for one in ids}) == 1
    assert len({tuple(order(by_tag, call(tags={"env": "prod"}), one)) for one in ids}) == 1
    assert len({tuple(order(by_none, call(session="s"), one)) for one in ids}) == 2


def test_only_the_sessions_of_a_target_that_goes_move():
    three = route(target("a"), target("b"), target("c"))
    sessions = [call(session=f"s{n}") for n in range(300)]
    before = [order(three, one)[0] for one in sessions]
    after = [order(three, one, c=OPEN)[0] for one in sessions]

    assert all(now == was for was, now in zip(before, after, strict=True) if was != "c")
    assert set(after) == {"a", "b"}


def test_a_target_without_weight_comes_last_in_its_tier():
    cold = route(target("a", weight=0), target("b"))

    assert {tuple(order(cold, call_id=str(n))) for n in range(50)} == {("b", "a")}


def test_a_target_that_is_just_back_gets_its_share_and_the_next_tier_the_rest():
    starting = Look("", 1000)
    first = Counter(order(CHAIN, call_id=str(n), a=starting)[0] for n in range(2000))
    in_tier = Counter(order(CANARY, call_id=str(n), old=starting)[0] for n in range(2000))

    assert 140 < first["a"] < 260
    assert first["a"] + first["b"] == 2000
    # Nine times a tenth against one: 47 %.
    assert 850 < in_tier["old"] < 1050
    assert sorted(order(CHAIN, call_id="x", a=starting)) == ["a", "b", "c"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_draw_follows_from_its_texts(seed, name):
    assert 0 <= draw(seed, name) < 1
    assert draw(seed, name) == draw(seed, name)


# Which route.

TEAM = Condition(field="team", values=("search",))
MODEL = Condition(field="model", globs=("minimax-*",))


def found(routes, a_call, now_ns=0):
    one = Router(routes).find(a_call, now_ns)
    return one.name if one else None


@pytest.mark.parametrize(
    ("a_call", "name"),
    [
        (call(team="search"), "both"),
        (call(team="ads"), "model"),
        (call(team="search", model="gpt-5"), "team"),
        (call(team="ads", model="gpt-5"), None),
    ],
)
def test_the_first_route_whose_conditions_hold_is_taken(a_call, name):
    routes = [
        route(target("a"), name="both", conditions=(TEAM, MODEL)),
        route(target("a"), name="model", conditions=(MODEL,)),
        route(target("a"), name="team", conditions=(TEAM,)),
    ]

    assert found(routes, a_call) == name


def test_without_routes_nothing_is_found():
    assert found([], call()) is None


def test_a_route_is_for_its_hours():
    night = Hours(zone="UTC", weekdays=tuple(range(7)), spans=((0, 60),))
    router = Router([route(target("a"), name="night", hours=(night,)), route(target("b"), name="day")])

    assert router.find(call(), 0).name == "night"
    assert router.find(call(), 3600 * 10**9).name == "day"


def test_what_is_remembered_of_one_call_is_not_taken_for_another():
    router = Router([route(target("a"), name="team", conditions=(TEAM,))])
    names = [router.find(call(team=team), 0) for team in ("ads", "search", "ads", "search")]

    assert [one and one.name for one in names] == [None, "team", None, "team"]
