from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.report import exact_difference, exact_sum, ratio

AMOUNTS = st.decimals(
    min_value=-(10**19), max_value=10**19, places=18, allow_nan=False, allow_infinity=False
)  # 38 digits, as the store has them


def _units(amount):
    """The amount in its smallest unit, without any decimal arithmetic."""
    numerator, denominator = amount.as_integer_ratio()
    return numerator * 10**18 // denominator


@given(st.lists(AMOUNTS, max_size=20), st.randoms())
def test_a_sum_of_money_is_exact_in_any_order(amounts, random):
    scale = 10**18
    wanted = sum(_units(amount) for amount in amounts)
    shuffled = list(amounts)
    random.shuffle(shuffled)
    total = exact_sum([*shuffled, None])
    assert (total is None) is (not amounts)
    if total is not None:
        numerator, denominator = total.as_integer_ratio()
        assert numerator * scale == wanted * denominator


@given(AMOUNTS, AMOUNTS)
def test_a_difference_is_exact(one, other):
    difference = exact_difference(one, other)
    assert exact_sum([difference, other]) == one


def test_what_is_not_known_is_never_nothing():
    assert exact_sum([]) is None
    assert exact_sum([None, None]) is None
    assert exact_difference(None, Decimal(1)) is None
    assert ratio(None, Decimal(1)) is None
    assert ratio(Decimal(1), None) is None
    assert ratio(Decimal(0), Decimal(0)) is None


def test_a_ratio_has_six_decimals():
    assert ratio(1, 3) == Decimal("0.333333")
    assert ratio(Decimal("1e-18"), Decimal("3e-18")) == Decimal("0.333333")
