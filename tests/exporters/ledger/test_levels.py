"""Each budget is told once, by the fullest of its counters."""

from decimal import Decimal

from exporters.ledger.levels import budget_levels
from policies.compiled import Budget, Window
from policies.ledger.books import Recorded

USD = 10**9
NOW_NS = 1000


def budget(name, unit="USD", limit=5 * USD):
    return Budget(name=name, policy=f"budget:{name}", unit=unit, limit=limit, window=Window(shape="month"))


def counter(family, spent=0, leased=0, unit="USD", allowed=0, starts=0, ends=None):
    return Recorded(
        counter=f"{family}@x{starts}", family=family, unit=unit, spent=spent, leased=leased, allowed=allowed,
        starts_at_ns=starts, ends_at_ns=ends,
    )  # fmt: skip


BUDGETS = {one.policy: one for one in (budget("team"), budget("each"), budget("calls", "calls", 100))}


def told(*recorded):
    return {level.budget: (level.used, level.held, level.limit) for level in budget_levels(recorded, BUDGETS, NOW_NS)}


def test_a_counter_is_told_in_its_unit_with_what_is_allowed_where_that_is_known():
    assert told(counter("budget:team", 2 * USD, USD // 2), counter("budget:calls", 7, 3, "calls", allowed=120)) == {
        "team": (Decimal(2), Decimal("0.5"), Decimal(5)),
        "calls": (Decimal(7), Decimal(3), Decimal(120)),
    }


def test_of_many_counters_the_fullest_speaks_for_the_budget():
    counters = [counter(f"budget:each|user=u{n}", n * USD, allowed=5 * USD) for n in (1, 4, 2)]

    assert told(*counters) == {"each": (Decimal(4), Decimal(0), Decimal(5))}


def test_only_the_present_counts_and_buckets_of_a_rolling_window_count_together():
    assert told(
        counter("budget:team", 9 * USD, ends=NOW_NS),
        counter("budget:team", 9 * USD, starts=NOW_NS + 1),
        counter("budget:team", USD, starts=1, ends=NOW_NS + 1),
        counter("budget:team", USD, starts=2, ends=NOW_NS + 2),
    ) == {"team": (Decimal(2), Decimal(0), Decimal(5))}


def test_counters_of_budgets_that_are_gone_or_count_something_else_now_are_left_out():
    assert told(counter("budget:gone", USD), counter("budget:team", 5, unit="calls")) == {}
