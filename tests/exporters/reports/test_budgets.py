from decimal import Decimal

import msgspec

from exporters.ledger.standing import Standing
from exporters.reports import budgets
from policies.demand import scale_of
from tests.fakes.finance import PERIOD

STANDING = Standing(
    budget="search", scope="team=a", counter="c", unit="USD", window="month", zone="UTC", begins_ns=PERIOD.since_ns,
    ends_ns=PERIOD.until_ns, limit=0, grace=0, carry=0, topped_up=0, top_ups=(), spent=0, held=0, passed=(),
    enforce="hard", shadow=False, exhausted_at_ns=None,
)  # fmt: skip


def standing(limit, spent, **more):
    scale = 10 ** scale_of(more.get("unit", "USD"))
    return msgspec.structs.replace(STANDING, limit=limit * scale, spent=spent * scale, **more)


def test_the_fullest_comes_first_and_amounts_are_in_the_unit():
    report = budgets.build(PERIOD, [standing(10, 2), standing(10, 9, budget="shop"), standing(50, 5, unit="tokens")])
    found = [(one["budget"], one["unit"], one["allowed"], one["spent"], one["remaining"], one["used"])
             for one in report.records(report.rows)]  # fmt: skip
    assert found == [
        ("shop", "USD", 10, 9, 1, Decimal("0.9")),
        ("search", "USD", 10, 2, 8, Decimal("0.2")),
        ("search", "tokens", 50, 5, 45, Decimal("0.1")),
    ]


def test_budgets_are_never_added_up():
    assert budgets.build(PERIOD, [STANDING, STANDING]).totals == ()


def test_no_budget_and_no_answer_are_told_apart():
    assert "There is no budget" in budgets.build(PERIOD, []).notes[0]
    assert budgets.build(PERIOD, [], "The ledger does not answer: no.").notes == ("The ledger does not answer: no.",)
