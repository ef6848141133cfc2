from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.prometheus.calls import TOKEN_TYPES, CallMetrics
from exporters.prometheus.page import render
from exporters.recorder.ports import PricedCall
from proxy.core.errors import ErrorSeen, judge
from proxy.core.pricing import Priced
from proxy.core.record import Caller
from proxy.core.usage import Usage
from tests.fakes.records import STARTED_NS, any_call, attempt, call

CENT = Priced(amount=Decimal("0.01"), currency="USD", cost_source="book")
MS = 1_000_000


def error(error_class, status=400):
    return judge(ErrorSeen(status=status), error_class)


def counted(*calls, price=CENT, teams=0, models=100):
    metrics = CallMetrics(max_models=models, max_teams=teams)
    for one in calls:
        metrics.count(PricedCall(one, tuple(price for _ in one.attempts)))
    return {
        (sample.name.removeprefix("taximeter_"), *sample.labels.values()): sample.value
        for family in metrics.families()
        for sample in family.samples
    }


def test_a_good_call_is_counted_once_everywhere():
    found = counted(call(1, operation="chat", request_bytes=70, response_bytes=900))
    assert found["calls_total", "openai", "gpt-4.1-mini", "chat", "ok", "2xx"] == 1
    assert found["decisions_total", "allow", "none"] == 1
    assert found["attempts_total", "openai", "ok"] == 1
    assert found["provider_responses_total", "openai", "200"] == 1
    assert found["usage_reports_total", "openai", "provider"] == 1
    assert found["tokens_total", "openai", "gpt-4.1-mini", "input"] == 1000
    assert found["tokens_total", "openai", "gpt-4.1-mini", "output"] == 200
    assert found["cost_total", "openai", "gpt-4.1-mini", "USD", "metered"] == 0.01
    assert found["request_bytes_total", "openai"] == 70
    assert found["response_bytes_total", "openai"] == 900
    assert found["call_duration_seconds_count", "openai", "gpt-4.1-mini"] == 1
    assert not any(name.startswith(("retries", "call_errors", "streams", "team")) for name, *_ in found)


def test_a_refused_call_is_a_decision_with_its_reason_and_no_attempt():
    refused = call(1, outcome="refused", status=404, provider="", error_class="invalid_request")
    found = counted(
        # `call` gives every call an attempt; a refused one has none.
        type(refused)(
            **{f: getattr(refused, f) for f in refused.__struct_fields__}
            | {"attempts": (), "reasons": ("tags:too_many", "unknown_provider")}
        )
    )
    assert found["calls_total", "none", "other", "chat", "refused", "4xx"] == 1
    assert found["decisions_total", "deny", "unknown_provider"] == 1
    assert found["call_errors_total", "none", "other", "invalid_request"] == 1
    assert not any(name.startswith(("attempts", "overhead")) for name, *_ in found)


def test_an_error_is_counted_by_class_and_takes_no_part_in_the_latency():
    failed = call(
        1,
        attempt(1, outcome="error", status=429, error=error("rate_limit", 429)),
        outcome="error",
        status=429,
        error_class="rate_limit",
    )
    found = counted(failed)
    assert found["call_errors_total", "openai", "gpt-4.1-mini", "rate_limit"] == 1
    assert not any(name.startswith("call_duration") for name, *_ in found)


def test_every_attempt_is_counted_under_its_own_provider_and_the_call_under_the_last():
    tried = call(
        1,
        attempt(1, outcome="error", status=0, error=error("connect_error", 0), usage=Usage()),
        attempt(2, provider="azure", model="gpt-4.1-mini"),
    )
    found = counted(tried)
    assert found["calls_total", "azure", "gpt-4.1-mini", "chat", "ok", "2xx"] == 1
    assert found["attempts_total", "openai", "error"] == 1
    assert found["attempts_total", "azure", "ok"] == 1
    assert found["provider_responses_total", "openai", "none"] == 1
    assert found["retries_total", "azure"] == 1


def test_the_app_waits_for_its_first_token_from_the_start_of_its_call():
    late = attempt(
        2, started_at_ns=STARTED_NS + 300 * MS, ttft_ns=100 * MS, stream_end="done_marker", connect_ns=4 * MS
    )
    found = counted(call(1, late))
    assert found["time_to_first_token_seconds_sum", "openai", "gpt-4.1-mini"] == 0.4
    assert found["streams_total", "openai", "done_marker"] == 1
    assert found["connect_seconds_sum", "openai"] == 0.004
    assert found["time_to_first_byte_seconds_sum", "openai"] == 0.05


def test_usage_without_a_price_is_counted_and_a_call_without_usage_is_not():
    unknown = Priced(amount=None, currency="USD")
    found = counted(call(1), call(2, attempt(1, usage=Usage())), price=unknown)
    assert found["unpriced_attempts_total", "openai", "gpt-4.1-mini"] == 1
    assert found["usage_reports_total", "openai", "none"] == 1
    assert not any(name.startswith("cost") for name, *_ in found)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1", "1E+40"])
def test_an_amount_that_no_counter_can_take_is_left_out_and_reported(amount):
    metrics = CallMetrics(max_models=9, max_teams=0)
    odd = Priced(amount=Decimal(amount), currency="USD")
    usage = Usage(input_tokens=-5, output_tokens=2**64, source="provider")
    assert metrics.count(PricedCall(call(1, attempt(1, usage=usage)), (odd,))) == 3
    names = {s.name for f in metrics.families() for s in f.samples}
    assert not names & {"taximeter_cost_total", "taximeter_tokens_total"}


@pytest.mark.parametrize(
    ("error_class", "label"),
    [("model_not_found", "other"), ("auth", "other"), ("server_error", "made-up"), ("timeout", "made-up")],
)
def test_a_name_that_an_app_made_up_gets_no_label_of_its_own(error_class, label):
    failed = call(1, attempt(1, model="made-up", outcome="error", error=error(error_class)), outcome="error")
    assert ("calls_total", "openai", label, "chat", "error", "2xx") in counted(failed)


def test_models_beyond_the_limit_are_other_and_counted():
    calls = [call(n, attempt(1, model=f"model-{n}")) for n in range(5)]
    found = counted(*calls, models=2)
    assert found["calls_total", "openai", "other", "chat", "ok", "2xx"] == 3
    assert found["label_overflows_total", "model"] > 0


def test_teams_are_told_only_where_they_are_asked_for():
    found = counted(call(1), call(2, caller=Caller(team="b")), call(3, caller=Caller()), teams=1)
    assert found["team_calls_total", "search", "ok"] == 1
    assert found["team_calls_total", "other", "ok"] == 1
    assert found["team_calls_total", "none", "ok"] == 1
    assert found["team_tokens_total", "search", "input"] == 1000
    assert found["team_cost_total", "search", "USD", "metered"] == 0.01
    assert not any(name.startswith("team") for name, *_ in counted(call(1)))


def test_no_label_tells_who_or_which_call():
    said = counted(call(1), teams=5)
    words = {value for key in said for value in key}
    assert not words & {"ada", "s-1", "k-1", "ranking", call(1).call_id}


def test_an_example_is_a_sampled_trace():
    metrics = CallMetrics(max_models=9, max_teams=0)
    metrics.count(PricedCall(call(1), (CENT,)))
    body, _ = render("application/openmetrics-text; version=1.0.0", metrics.families())
    assert f'# {{trace_id="{call(1).trace.trace_id}"}} 0.9'.encode() in body


def test_every_token_field_of_usage_that_is_no_part_of_a_part_is_told():
    left_out = {"cache_write_5m_tokens", "cache_write_1h_tokens", "total_tokens"}
    assert {f for f in Usage.__struct_fields__ if f.endswith("_tokens")} == TOKEN_TYPES.keys() | left_out


@settings(max_examples=60, deadline=None)
@given(st.lists(any_call, max_size=5), st.sampled_from([0, 2]))
def test_whatever_stands_in_a_record_it_is_counted_and_can_be_told(calls, teams):
    metrics = CallMetrics(max_models=2, max_teams=teams)
    for one in calls:
        metrics.count(PricedCall(one, tuple(CENT for _ in one.attempts)))
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        body, _ = render(accept, metrics.families())
        assert b"taximeter_label_overflows" in body


def test_a_try_at_another_target_is_a_fallback_and_one_at_the_same_is_not():
    failed = {"outcome": "error", "error": error("overloaded", 529)}
    tries = (attempt(1, target="a/m", **failed), attempt(2, target="a/m", **failed), attempt(3, target="b/m"))
    found = counted(call(1, *tries))
    assert found["fallbacks_total", "openai", "overloaded"] == 1
    assert found["retries_total", "openai"] == 2


def test_a_target_that_lost_a_race_is_none_that_was_fallen_back_from():
    lost = attempt(1, target="a/m", outcome="cancelled", error=error("unknown", 0), rule="way:hedge")
    found = counted(call(1, lost, attempt(2, target="b/m")))
    assert ("fallbacks_total", "openai", "unknown") not in found
    assert found["attempts_total", "openai", "cancelled"] == 1
