"""Which targets of a route a virtual key may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.compiled import KeyRule
from policies.facts import CallFacts
from policies.permitted import permitted
from policies.routes_compiled import Route, RouteTarget
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

A = RouteTarget(id="a/*", provider="a")
B = RouteTarget(id="b/big", provider="b", model="big", tier=1)
C = RouteTarget(id="c/small", provider="c", model="small", tier=2)
ROUTE = Route(name="r", targets=(A, B, C))


def call(model="m", key="app", operation="chat"):
    return CallFacts(
        provider="a", operation=operation, request=RequestFacts(model=model), caller=Caller(key_id=key), key=key
    )


def left(rule, facts=None):
    route, barred = permitted(ROUTE, facts or call(), {"app": rule}, 0)
    return [one.id for one in route.targets], {one.target: one.why for one in barred}


@pytest.mark.parametrize(
    ("may", "targets", "barred"),
    [
        ({"providers": ("a", "c")}, ["a/*", "c/small"], {"b/big": "key_provider"}),
        ({"models": ("m", "sm*")}, ["a/*", "c/small"], {"b/big": "key_model"}),
        ({"models": ("big",)}, ["b/big"], {"a/*": "key_model", "c/small": "key_model"}),
        ({"operations": ("embeddings",)}, [], dict.fromkeys(("a/*", "b/big", "c/small"), "key_operation")),
    ],
)
def test_each_target_is_asked_for_by_its_own_provider_and_model(may, targets, barred):
    assert left(KeyRule(name="app", **may)) == (targets, barred)


def test_a_key_without_bounds_and_a_call_without_a_key_leave_the_route_as_it_is():
    rules = {"app": KeyRule(name="app"), "other": KeyRule(name="other", providers=("a",))}

    assert permitted(ROUTE, call(), rules, 0) == (ROUTE, ())
    assert permitted(ROUTE, call(key=""), rules, 0) == (ROUTE, ())


@given(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from(["m", "big", "small"])))
def test_no_target_is_left_that_the_key_may_not_use(providers, models):
    rule = KeyRule(name="app", providers=tuple(providers), models=tuple(models))
    targets, barred = left(rule)

    for one in ROUTE.targets:
        may = (not providers or one.provider in providers) and (not models or (one.model or "m") in models)
        assert (one.id in targets, one.id in barred) == (may, not may)
