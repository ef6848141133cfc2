"""What was used is rounded up once, and what nobody knows is never taken for nothing."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from policies.demand import MAX_AMOUNT
from policies.spent import spent, whole
from proxy.core.errors import ErrorFacts
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, Draw
from proxy.core.usage import Usage


def attempt(usage=None, status=200):
    return AttemptRecord(
        attempt=1, span_id="s", started_at_ns=1, duration_ns=1, provider="p", kind="openai", host="h", status=status,
        usage=usage or Usage(),
    )  # fmt: skip


def usd(amount):
    return Priced(amount=None if amount is None else Decimal(amount), currency="USD")


USD = Draw(counter="b", unit="USD", held=50)


@pytest.mark.parametrize(
    ("amount", "unit", "number"),
    [
        ("0.0000000001", "USD", 1),
        ("1", "USD", 10**9),
        ("0.5", "tokens", 1),
        ("1.5", "images", 1_500_000),
        ("0", "USD", 0),
    ],
)
def test_amounts_are_whole_numbers_rounded_up(amount, unit, number):
    assert whole(Decimal(amount), unit) == number


def test_no_amount_is_larger_than_the_ledger_can_hold():
    assert whole(Decimal("1e30"), "USD") == MAX_AMOUNT


def test_attempts_are_added_before_they_are_rounded():
    assert spent(USD, [attempt(), attempt()], [usd("0.0000000004"), usd("0.0000000004")]) == 1


def test_an_attempt_without_a_cost_spends_at_least_what_was_held():
    assert spent(USD, [attempt()], [usd(None)]) == 50
    assert spent(USD, [attempt(), attempt()], [usd("0.000000060"), usd(None)]) == 60


def test_an_attempt_whose_provider_broke_off_without_an_answer_may_have_been_billed():
    reset = replace(attempt(status=0), error=ErrorFacts(error_class="connect_error"))
    assert spent(USD, [reset], [usd(None)]) == 0
    assert spent(USD, [replace(reset, in_doubt=True)], [usd(None)]) == 50
    assert spent(replace(USD, unit="tokens"), [replace(reset, in_doubt=True)], ()) == 50


@pytest.mark.parametrize("origin", ["hold", "hedge"])
def test_bounds_that_stand_in_for_a_usage_spend_all_that_was_held(origin):
    """They are priced at the usual rates; what was held is at the dearest ones, and at those of a dearer target."""
    bounds = attempt(Usage(input_tokens=2, output_tokens=3, source="estimated", origin=origin))
    assert spent(USD, [bounds], [usd("0.000000020")]) == 50
    assert spent(USD, [attempt(), bounds], [usd("0.000000045"), usd("0.000000020")]) == 65
    assert spent(replace(USD, unit="tokens"), [bounds], ()) == 50


def test_what_was_begun_beside_another_target_and_never_sent_spends_nothing():
    unsent = attempt(Usage(input_tokens=0, output_tokens=0, source="computed", origin="hedge"))
    assert spent(USD, [unsent], [usd("0")]) == 0


def test_an_attempt_that_was_turned_away_spends_nothing():
    assert spent(USD, [attempt(status=503)], [usd(None)]) == 0


@pytest.mark.parametrize("status", [0, 101, 200])
def test_an_attempt_that_we_ended_ourselves_spends_what_was_held(status):
    ours = replace(attempt(status=status), outcome="interrupted", error=ErrorFacts(error_class="unknown"))
    theirs = replace(ours, outcome="error")

    assert spent(USD, [ours], [usd(None)]) == 50
    assert spent(USD, [theirs], [usd(None)]) == 0


def test_a_call_that_was_never_tried_and_one_that_costs_nothing_spend_nothing():
    assert spent(USD, [], []) == 0
    assert spent(USD, [attempt()], [usd("1")], billable=False) == 0


def test_calls_are_counted_even_where_they_cost_nothing():
    assert spent(Draw(counter="b", unit="calls", held=1), [attempt()], [usd("0")], billable=False) == 1


def test_tokens_come_from_the_parts_or_else_from_the_total():
    draw = Draw(counter="b", unit="tokens", held=9)

    assert spent(draw, [attempt(Usage(input_tokens=2, output_tokens=3))], [usd("0")]) == 5
    assert spent(draw, [attempt(Usage(total_tokens=7))], [usd("0")]) == 7
    assert spent(draw, [attempt(Usage())], [usd("0")]) == 9
