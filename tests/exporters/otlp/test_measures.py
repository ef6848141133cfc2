from decimal import Decimal

import pytest
from hypothesis import given

from exporters.otlp.measures import MEASURES, measured
from proxy.core.errors import REMEDIES, ErrorFacts
from proxy.core.semconv import metric_names
from proxy.core.usage import Usage
from tests.fakes.otlp_settings import priced
from tests.fakes.records import any_call, attempt, call

ALL_TOKENS = Usage(
    input_tokens=10,
    output_tokens=3,
    cached_input_tokens=4,
    cache_write_tokens=1,
    reasoning_tokens=2,
    source="provider",
)


def figures(record, convention="1.41", **more):
    return list(measured(priced(record, **more), convention))


def by_word(record, **more):
    return {one.word: one for one in figures(record, **more)}


def test_a_good_call_is_measured_once_and_each_attempt_too():
    words = [one.word for one in figures(call(1, attempt(1), attempt(2)))]
    assert words.count("request_duration") == 1
    assert words.count("operation_duration") == 2
    assert words.count("cost") == 2


def test_attributes_are_those_of_the_conventions_and_bounded():
    found = by_word(call(1, attempt(host="llm.example:8443")))
    assert dict(found["operation_duration"].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.response.model": "gpt-4.1-mini",
        "server.address": "llm.example",
        "server.port": 8443,
    }
    assert dict(found["request_duration"].attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/openai/v1/chat/completions",
        "url.scheme": "http",
    }
    assert found["operation_duration"].value == 0.8
    assert found["request_duration"].value == 0.9


def test_tokens_are_told_apart_by_their_type():
    found = [one for one in figures(call(1, attempt(usage=ALL_TOKENS))) if one.word == "token_usage"]
    assert {dict(one.attributes)["gen_ai.token.type"]: one.value for one in found} == {"input": 10, "output": 3}


def test_the_newer_convention_counts_every_kind_of_token():
    found = figures(call(1, attempt(usage=ALL_TOKENS)), "genai-dev")
    counted = {one.word: one.value for one in found if one.word.endswith("_tokens")}
    assert counted == {
        "input_tokens": 10,
        "output_tokens": 3,
        "cached_input_tokens": 4,
        "cache_write_tokens": 1,
        "reasoning_tokens": 2,
    }
    assert not [one for one in found if one.word == "token_usage"]


def test_money_is_measured_exactly_and_by_its_currency():
    cost = by_word(call(), cost="0.000000000000000001", currency="CNY")["cost"]
    assert cost.value == Decimal("0.000000000000000001")
    assert dict(cost.attributes)["taximeter.currency"] == "CNY"


@pytest.mark.parametrize("cost", [None, "0", "-1", "NaN"])
def test_a_cost_that_is_none_is_not_measured(cost):
    assert "cost" not in by_word(call(), cost=cost)


def test_the_first_content_is_measured_for_the_attempt_and_for_the_app():
    late = attempt(2, started_at_ns=call().started_at_ns + 400_000_000, ttft_ns=100_000_000)
    found = by_word(call(1, attempt(1), late, streaming=True))
    assert found["time_to_first_chunk"].value == pytest.approx(0.1)
    assert found["time_to_first_token"].value == pytest.approx(0.5)
    assert "time_to_first_token" not in by_word(call(1, attempt(ttft_ns=1)))


def test_a_failure_is_told_by_its_class():
    error = ErrorFacts(error_class="timeout")
    found = by_word(call(1, attempt(outcome="error", status=0, error=error), outcome="error", error_class="timeout"))
    assert dict(found["operation_duration"].attributes)["error.type"] == "timeout"
    assert dict(found["request_duration"].attributes)["error.type"] == "timeout"


@pytest.mark.parametrize(("error_class", "named"), [("model_not_found", False), ("auth", False), ("timeout", True)])
def test_a_model_that_may_be_made_up_is_no_attribute(error_class, named):
    error = ErrorFacts(error_class=error_class, fault=REMEDIES[error_class].fault)
    failed = figures(call(1, attempt(outcome="error", status=404, error=error), outcome="error"))
    (duration,) = [one for one in failed if one.word == "operation_duration"]
    assert ("gen_ai.request.model" in dict(duration.attributes)) is named
    assert dict(duration.attributes)["error.type"] == error_class


@pytest.mark.parametrize("convention", ["1.41", "genai-dev"])
def test_every_metric_of_a_convention_has_a_measure(convention):
    assert set(metric_names(convention)) <= set(MEASURES)


@pytest.mark.parametrize("convention", ["1.41", "genai-dev"])
@given(record=any_call)
def test_any_record_can_be_measured(convention, record):
    for one in figures(record, convention):
        assert one.word in metric_names(convention)
        assert one.value >= 0
        assert [name for name, _ in one.attributes] == sorted({name for name, _ in one.attributes})
