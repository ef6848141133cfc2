"""The reckoning of the books, by tables and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.demand import Carry, Demand
from policies.ledger import arithmetic

SECOND_NS = 10**9


def demand(**fields):
    values = {
        "counter": "b",
        "family": "b",
        "policy": "budget:b",
        "unit": "USD",
        "amount": 1,
        "limit": 60,
        "stated": 60,
    }
    return Demand(**values | fields)


RATE = demand(kind="rate", per_ns=60 * SECOND_NS)


@pytest.mark.parametrize(("used", "carried"), [(0, 30), (60, 30), (80, 20), (100, 0), (120, 0)])
def test_a_window_leaves_what_it_did_not_use_up_to_the_most(used, carried):
    assert arithmetic.carried(Carry(counter="a", limit=100, most=30), used) == carried


@given(need=st.integers(0, 10**6), room=st.integers(-(10**6), 10**9), kind=st.sampled_from(["budget", "concurrent"]))
def test_no_more_is_lent_beyond_the_need_than_there_is(need, room, kind):
    more = arithmetic.extra(demand(kind=kind), need, room)

    assert 0 <= more <= max(0, room - need)
    assert more == 0 or need > 0


@given(level=st.integers(0, 60), steps=st.lists(st.integers(0, 90 * SECOND_NS), max_size=8), lent=st.integers(0, 60))
def test_a_bucket_gains_at_its_pace_however_often_it_is_looked_at(level, steps, lent):
    seen = (min(level, 60 - lent), 0)
    now_ns = 0
    for step in steps:
        now_ns += step
        seen = arithmetic.refilled(*seen, RATE, now_ns, lent)

    assert seen[0] == min(60 - lent, min(level, 60 - lent) + now_ns // SECOND_NS)


def test_a_bucket_says_when_it_holds_enough_and_that_it_never_will():
    assert arithmetic.bucket_frees_at(RATE, 10, 4, 0) == 6 * SECOND_NS
    assert arithmetic.bucket_frees_at(RATE, 61, 60, 0) is None


def test_a_rolling_window_loses_its_oldest_bucket_first():
    rolling = demand(starts_at_ns=100, bucket_ns=10, ends_at_ns=500)

    assert arithmetic.window_frees_at(rolling, 5, [3, 2, 9]) == 120
    assert arithmetic.window_frees_at(rolling, 50, [3, 2, 9]) == 500
    assert arithmetic.window_frees_at(demand(ends_at_ns=7), 5, []) == 7


def test_a_counter_is_kept_for_twelve_windows_but_not_for_less_than_40_days_nor_more_than_400():
    day_ns = arithmetic.DAY_NS

    def kept_days(window_days):
        found = demand(starts_at_ns=0, ends_at_ns=window_days * day_ns)
        return (arithmetic.kept_until_ns(found) - found.ends_at_ns) / day_ns

    assert [kept_days(days) for days in (1, 10, 100)] == [40, 120, 400]
    assert arithmetic.kept_until_ns(demand(ends_at_ns=None)) is None


@pytest.mark.parametrize(
    ("counter", "family"),
    [
        ("budget:a|team=x@2026-11-01T00:00:00Z", "budget:a|team=x"),
        ("budget:a|user=jo@example", "budget:a|user=jo@example"),
    ],
)
def test_a_family_is_the_counter_without_its_window(counter, family):
    assert arithmetic.family_of(counter) == family
