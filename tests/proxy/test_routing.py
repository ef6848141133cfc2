"""What a worker keeps of its targets while routes come and go."""

from types import SimpleNamespace

from msgspec.structs import replace

from policies.routes_compiled import BreakerRule, Route, RouteTarget, Routing
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller
from proxy.routing import Routes

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
