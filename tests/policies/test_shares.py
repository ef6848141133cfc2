"""What is reckoned for one call holds for those that are alike, and for no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.compiled import Budget, ModelRate, Window
from policies.facts import CallFacts, Inputs
from policies.ratebook import RateBook
from policies.shares import ShareBook, Shares
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

RATE = ModelRate(id="x", provider="p", models=("m",), currency="USD", input_nano=10**6, output_nano=2 * 10**6)
RULE = Budget(name="b", policy="budget:b", unit="USD", limit=1, window=Window(shape="total"))


def call(text_bytes=100, model="m", output=10, team="", **more):
    return CallFacts(
        **{"provider": "p", "operation": "chat", "dialect": "openai.chat"} | more,
        request=RequestFacts(model=model, max_output_tokens=output),
        caller=Caller(team=team),
        inputs=Inputs(text_bytes=text_bytes),
    )


def book(*rates):
    return ShareBook(RateBook(rates or (RATE,)), reads_bodies=True)


def test_calls_of_about_the_same_length_hold_the_same_whoever_makes_them():
    one = book()

    assert one.find(call(100), 0) is one.find(call(900, team="other"), 0)
    assert one.find(call(100), 0) is not one.find(call(1000), 0)


@pytest.mark.parametrize(
    "other",
    [
        call(model="n"),
        call(output=11),
        call(provider="q"),
        call(operation="embeddings"),
        call(dialect=""),
        call(currency="CNY"),
        call(billable=False),
    ],
)
def test_calls_that_differ_in_what_a_bound_looks_at_do_not_share(other):
    one = book()

    assert one.find(call(), 0) is not one.find(other, 0)


def test_a_price_that_changes_makes_everything_anew():
    cheap, dear = (
        ModelRate(id=i, provider="p", models=("m",), currency="USD", input_nano=price, from_ns=since, until_ns=until)
        for i, price, since, until in (("a", 10**6, None, 500), ("b", 9 * 10**6, 500, None))
    )
    one = book(cheap, dear)
    amounts = [one.find(call(), at_ns).of(RULE, 0).amount for at_ns in (0, 499, 500, 10**18, 499)]

    assert amounts == [2000, 2000, 18_000, 18_000, 2000]


def test_a_call_that_costs_nothing_passes_money_by():
    assert book().find(call(billable=False), 0).of(RULE, 0) is None


FACTS = st.builds(call, text_bytes=st.integers(0, 40_000), output=st.none() | st.integers(0, 3))


@given(st.lists(FACTS, min_size=2, max_size=6))
def test_a_book_that_remembers_says_what_one_that_does_not_says(calls):
    one = book()

    for a_call in calls:
        assert one.find(a_call, 0).of(RULE, 0) == Shares(a_call, (RATE,)).of(RULE, 0)
