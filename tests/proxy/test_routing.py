"""What a worker keeps of its targets while routes come and go."""

from types import SimpleNamespace
from typing import get_args

import pytest
from msgspec.structs import replace

from policies.conditions import Condition, Field, Match
from policies.match import field_value
from policies.routes_compiled import BreakerRule, Route, RouteTarget, Routing
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller
from proxy.routing import Routes, kind_of

TARGET = RouteTarget(id="a/m", provider="a", model="m")
ROUTE = Route(name="r", targets=(TARGET,))
UPSTREAM = SimpleNamespace(settings=SimpleNamespace(name="a"), currency="USD")


DIALECT = object()


def asked(dialect=DIALECT):
    return SimpleNamespace(
        upstream=UPSTREAM, operation="chat", facts=RequestFacts(model="m"), caller=Caller(), key="", call_id="c",
        dialect_name="openai.chat", route=SimpleNamespace(billable=True, dialect=dialect),
    )  # fmt: skip


def routes(*some, clock=lambda: 10**18):
    made = Routes({}, "w", clock=clock)
    made.install(Routing(routes=some))
    return made


def test_what_is_known_of_a_target_outlives_new_policies():
    made = routes(ROUTE)
    before = made.state(TARGET, ROUTE)
    made.install(Routing(routes=(ROUTE, replace(ROUTE, name="other", targets=(RouteTarget(id="b", provider="b"),)))))

    assert made.state(TARGET, ROUTE) is before


def test_a_target_whose_rule_has_changed_begins_anew():
    made = routes(ROUTE)
    before = made.state(TARGET, ROUTE)
    made.install(Routing(routes=(replace(ROUTE, breaker=BreakerRule(failures_in_row=1)),)))

    assert made.state(TARGET, ROUTE) is not before


def test_nobody_learns_of_a_target_that_is_in_force_no_more():
    made = routes()
    made.state(TARGET, ROUTE).health.drain(1)

    assert made.targets == {}


def test_a_call_gets_the_plan_of_the_first_route_for_it():
    journey = routes(ROUTE).journey(asked())

    assert journey.places == (("a", "m"),)
    assert journey.route is ROUTE


def test_a_call_that_no_dialect_reads_has_no_route():
    assert routes(ROUTE).journey(asked(dialect=None)) is None


def test_a_target_that_was_drained_is_not_in_the_plan():
    made = routes(ROUTE)
    made.state(TARGET, ROUTE).health.drain(10**18)

    assert made.journey(asked()).plan.targets == ()


MORE = {
    "caller": Caller(key_id="k", team="t", project="p", user="u", session="s"),
    "facts": RequestFacts(model="Other", streaming=True),
    "operation": "embed",
    "dialect_name": "d",
    "upstream": SimpleNamespace(settings=SimpleNamespace(name="b"), currency="USD"),
}


@pytest.mark.parametrize("field", [one for one in get_args(Field) if one != "tag"])
def test_calls_that_differ_in_a_field_are_told_apart_by_it(field):
    one, other = asked(), asked()
    vars(other).update(MORE)

    assert field_value(routes().facts(one), field) != field_value(routes().facts(other), field)
    assert kind_of([field])(one) == kind_of([field])(asked()) != kind_of([field])(other)


def test_calls_of_a_kind_have_the_routes_of_the_first_one_and_tags_are_looked_at_each_time():
    match = Match(conditions=(Condition(field="tag", tag="env", values=("x",)),))
    made = routes(replace(ROUTE, match=match))
    tagged = asked()
    tagged.caller = Caller(tags={"env": "x"})

    assert made.journey(asked()) is None
    assert made.journey(tagged) is not None
    assert made.journey(asked()) is None


def test_while_all_targets_are_well_calls_share_one_journey():
    two = replace(ROUTE, targets=(TARGET, RouteTarget(id="b", provider="b", tier=1)))
    made = routes(two)

    assert made.journey(asked()) is made.journey(asked())
    made.state(two.targets[0], two).health.drain(10**18)
    assert [one.id for one in made.journey(asked()).plan.targets] == ["b"]


def test_where_a_lot_is_drawn_each_call_has_a_journey_of_its_own():
    two = replace(ROUTE, targets=(TARGET, RouteTarget(id="b", provider="b")))
    made = routes(two)

    assert made.journey(asked()) is not made.journey(asked())
