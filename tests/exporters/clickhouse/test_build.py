from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.clickhouse import build
from exporters.clickhouse.build import attempt_rows, call_row, count, instant, money
from exporters.recorder.ports import PricedCall
from proxy.core.errors import ErrorFacts
from proxy.core.money import Money
from proxy.core.pricing import Line, Priced
from proxy.core.usage import Usage, UsagePart
from tests.fakes.records import STARTED_NS, any_call, attempt, call, call_id

CENT = Priced(
    amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="p", list_cost=Money(Decimal("0.01"), "USD")
)
YUAN = msgspec.structs.replace(CENT, amount=Decimal("0.07"), currency="CNY", list_cost=Money(Decimal("0.07"), "CNY"))
UNKNOWN = Priced(amount=None, currency="USD", reasons=("no_price",))


def priced(*pairs, **more):
    """A call of these (attempt, price) pairs."""
    attempts = tuple(pair[0] for pair in pairs)
    return PricedCall(call(1, **more | {"attempts": attempts}), tuple(pair[1] for pair in pairs))


def used(**figures):
    return Usage(**{"source": "provider", "complete": True} | figures)


def test_a_plain_call_is_one_row_and_one_attempt_row():
    one = priced((attempt(), CENT))
    row, (attempt_row,) = call_row(one), attempt_rows(one)
    assert (row.call_id, row.attempt, row.duration_ms) == (call_id(1), 1, 900.0)
    assert row.started_at == "1795000000.123456789"
    assert (attempt_row.started_at, attempt_row.duration_ms) == ("1795000000.124456789", 800.0)
    for shared in ("call_id", "team", "project", "user", "session", "tags", "key_id", "trace_id", "provider", "kind",
                   "host", "dialect", "operation", "model_requested", "model", "status", "outcome", "finish_class",
                   "input_tokens", "output_tokens", "usage_source", "cost", "currency", "cost_source", "price_id",
                   "list_cost", "billing"):  # fmt: skip
        assert getattr(row, shared) == getattr(attempt_row, shared), shared
    assert (row.cost, row.currency, row.costs) == ("0.01", "USD", {"USD": "0.01"})
    assert row.route == "/openai/v1/chat/completions"


def test_an_attempt_is_a_child_of_its_call():
    one = priced((attempt(), CENT))
    row, (attempt_row,) = call_row(one), attempt_rows(one)
    assert row.parent_span_id == "00f067aa0ba902b7"
    assert attempt_row.parent_span_id == row.span_id != attempt_row.span_id


def test_a_refused_call_has_a_row_and_no_attempt():
    refused = priced(outcome="refused", status=429, error_class="rate_limit", reasons=("budget team=search",))
    row = call_row(refused)
    assert attempt_rows(refused) == []
    assert (row.attempt, row.outcome, row.status, row.error_class) == (0, "refused", 429, "rate_limit")
    assert (row.model, row.cost, row.usage_source, row.cost_source) == ("gpt-4.1-mini", None, "none", "none")
    assert (row.reasons, row.fault) == (["budget team=search"], "provider")


def test_usage_and_cost_are_totals_over_the_attempts():
    row = call_row(
        priced(
            (attempt(1, usage=used(input_tokens=10, output_tokens=1, units={"images": Decimal(1)})), CENT),
            (attempt(2, usage=used(input_tokens=20, cached_input_tokens=5, units={"images": Decimal(2)})), CENT),
        )
    )
    assert (row.input_tokens, row.output_tokens, row.cached_input_tokens, row.reasoning_tokens) == (30, 1, 5, None)
    assert row.units == {"images": "3"}
    assert (row.cost, row.list_cost) == ("0.02", "0.02")


def test_the_rest_is_what_the_last_attempt_says():
    failed = attempt(
        1, status=503, outcome="error", error=ErrorFacts(error_class="overloaded", code="x"), usage=Usage(), ttfb_ns=1
    )
    good = attempt(2, model="backup", started_at_ns=STARTED_NS + 2_000_000_000, ttft_ns=70_000_000, response_id="r-2")
    row = call_row(priced((failed, UNKNOWN), (good, CENT)))
    assert (row.attempt, row.model, row.response_id, row.provider_code) == (2, "backup", "r-2", "")
    # Waited for since the start of the call, as the app has.
    assert (row.ttfb_ms, row.ttft_ms) == (2050.0, 2070.0)


def test_an_error_stands_with_its_judgement_on_its_attempt():
    error = ErrorFacts(
        error_class="rate_limit",
        code="1002",
        type="rate_limited",
        message="key sk-secret",
        retry_same="yes",
        fallback="yes",
    )
    (row,) = attempt_rows(priced((attempt(status=429, outcome="error", error=error), UNKNOWN)))
    assert (row.error_class, row.provider_code, row.error_type, row.fault) == (
        "rate_limit",
        "1002",
        "rate_limited",
        "provider",
    )
    assert (row.retry_same, row.fallback) == ("yes", "yes")


def test_the_words_of_an_error_are_not_in_a_row():
    error = ErrorFacts(error_class="auth", message="wrong key sk-secret")
    one = priced((attempt(error=error), UNKNOWN), error_class="auth")
    assert b"sk-secret" not in msgspec.json.encode([call_row(one), *attempt_rows(one)])


def test_two_currencies_are_never_added():
    row = call_row(priced((attempt(1), CENT), (attempt(2), YUAN), (attempt(3), CENT)))
    assert (row.cost, row.currency) == ("0.02", "USD")
    assert row.costs == {"USD": "0.02", "CNY": "0.07"}
    assert row.list_cost is None


def test_an_unknown_price_is_null_and_counted_and_never_nothing():
    both = call_row(priced((attempt(1), CENT), (attempt(2), UNKNOWN)))
    assert (both.cost, both.unpriced_attempts, both.cost_reasons) == ("0.01", 1, ["no_price"])
    one = call_row(priced((attempt(1), UNKNOWN)))
    assert (one.cost, one.currency, one.unpriced_attempts, one.costs) == (None, "USD", 1, {})
    unused = call_row(priced((attempt(1, usage=Usage()), UNKNOWN)))
    assert (unused.cost, unused.unpriced_attempts) == (None, 0)


def test_a_sum_is_as_good_as_its_worst_part():
    row = call_row(
        priced(
            (attempt(1, usage=used(input_tokens=1, source="estimated")), msgspec.structs.replace(CENT, estimated=True)),
            (attempt(2, usage=used(input_tokens=1)), CENT),
        )
    )
    assert (row.usage_source, row.cost_estimated, row.usage_complete) == ("estimated", True, True)


def test_the_arithmetic_is_on_the_attempt():
    line = Line(
        part="input", quantity=Decimal(1263), rate=Decimal("0.30"), per=10**6, amount=Decimal("0.0003789"), price_id="p"
    )
    (row,) = attempt_rows(priced((attempt(), msgspec.structs.replace(CENT, lines=(line,)))))
    (told,) = row.price_lines
    assert (told.part, told.quantity, told.rate, told.per, told.amount) == ("input", "1263", "0.30", 10**6, "0.0003789")


def test_money_stated_by_the_provider_is_kept_beside_the_computed_one():
    stated = attempt(provider_cost=Money(Decimal("0.0123"), "USD"))
    one = priced((stated, CENT), (stated, CENT))
    assert [(row.provider_cost, row.provider_cost_currency) for row in attempt_rows(one)] == [("0.0123", "USD")] * 2
    assert (call_row(one).provider_cost, call_row(one).provider_cost_currency) == ("0.0246", "USD")


def test_usage_of_further_models_stands_beside_that_of_the_attempt():
    usage = used(input_tokens=10, parts=(UsagePart(kind="advisor", model="m-2", usage=used(input_tokens=3)),))
    (row,) = attempt_rows(priced((attempt(usage=usage), CENT)))
    assert row.input_tokens == 10
    assert [(part.kind, part.model, part.input_tokens) for part in row.usage_parts] == [("advisor", "m-2", 3)]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.01", "0.01"),
        ("1E-7", "0.0000001"),
        ("1E+3", "1000"),
        ("0.0000000000000000005", "0.000000000000000000"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("-3", "-3"),
        ("-0.00", "0.00"),
        ("99999999999999999999", "99999999999999999999"),
    ],
)
def test_an_amount_is_written_plainly_and_rounded_half_to_even_at_18_decimals(amount, text):
    assert money(Decimal(amount)) == text


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+20", "-1E+20"])
def test_an_amount_beyond_reason_is_not_known(amount):
    assert money(Decimal(amount)) is None


def test_a_figure_that_cannot_be_is_not_known():
    assert [count(figure) for figure in (None, -1, 0, 2**63 - 1, 2**63)] == [None, None, 0, 2**63 - 1, None]


def test_an_instant_out_of_range_is_moved_to_its_edge():
    assert instant(-5) == "0000000000.000000000"
    assert instant(1_500_000_000) == "0000000001.500000000"
    assert instant(2**63) == "4294967295.000000000"


@given(any_call)
def test_any_record_at_all_makes_rows(record):
    one = PricedCall(record, (CENT,) * len(record.attempts))
    rows = [call_row(one), *attempt_rows(one)]
    assert len(rows) == 1 + len(record.attempts)
    msgspec.json.encode(rows)


_AMOUNTS = st.decimals(-(10**22), 10**22, allow_nan=False)
ANY_PRICE = st.builds(
    Priced,
    amount=st.none() | _AMOUNTS,
    currency=st.sampled_from(["USD", "CNY"]),
    cost_source=st.sampled_from(["provider", "book", "none"]),
    price_id=st.text(max_size=3),
    estimated=st.booleans(),
    lower_bound=st.booleans(),
    reasons=st.lists(st.sampled_from(["no_price", "held"]), max_size=3).map(tuple),
    list_cost=st.none() | st.builds(Money, _AMOUNTS, st.just("USD")),
    billing=st.sampled_from(["metered", "subscription"]),
)


@given(any_call, ANY_PRICE)
def test_what_is_taken_over_from_an_only_attempt_is_what_adding_up_makes_of_it(record, price):
    attempts = record.attempts[:1] or (attempt(),)
    one = PricedCall(msgspec.structs.replace(record, attempts=attempts), (price,))
    taken_over = call_row(one)
    added_up = msgspec.structs.replace(taken_over, **dict.fromkeys(build._TOKENS), costs={}, cost=None)
    added_up = msgspec.structs.replace(
        added_up, usage_source="none", usage_origin="", usage_complete=False, list_cost=None, list_cost_currency="",
        provider_cost=None, provider_cost_currency="",
    )  # fmt: skip
    build._add_usage(added_up, [attempts[0].usage])
    build._add_cost(added_up, one)
    assert taken_over == added_up


def test_rows_at_hand_are_used():
    one = priced((attempt(1), CENT), (attempt(2), YUAN))
    assert call_row(one, attempt_rows(one)) == call_row(one)


def test_an_attempts_row_says_which_rule_judged_it_and_which_target_it_went_to():
    (row,) = attempt_rows(priced((attempt(rule="rule:teapot", target="minimax/m"), CENT)))
    assert (row.rule, row.target) == ("rule:teapot", "minimax/m")
