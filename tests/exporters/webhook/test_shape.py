import json
from decimal import Decimal

import msgspec
from hypothesis import given

from exporters.clickhouse.rows import CallRow
from exporters.webhook.shape import FIELDS, event, instant, message
from proxy.core.errors import ErrorFacts
from proxy.core.usage import Usage
from tests.fakes.otlp_settings import priced
from tests.fakes.records import any_call, attempt, call

PROMISED = {
    "started_at": "2026-11-18T11:06:40.123456789Z",
    "call_id": "00000000000000000000000000000001",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "duration_ms": 900.0,
    "overhead_ms": 0.0,
    "key_id": "k-1",
    "team": "search",
    "project": "ranking",
    "user": "ada",
    "session": "s-1",
    "tags": {"env": "prod"},
    "provider": "openai",
    "host": "api.openai.com",
    "dialect": "openai.chat",
    "operation": "chat",
    "method": "POST",
    "route": "/openai/v1/chat/completions",
    "model_requested": "gpt-4.1-mini",
    "model": "gpt-4.1-mini",
    "status": 200,
    "outcome": "ok",
    "finish_class": "stop",
    "finish_reason": "stop",
    "input_tokens": 1000,
    "output_tokens": 200,
    "usage_source": "provider",
    "usage_complete": True,
    "cost": "0.01",
    "currency": "USD",
    "costs": {"USD": "0.01"},
    "cost_source": "book",
    "price_id": "p-1",
    "billing": "metered",
    "attempts": 1,
}


def test_the_shape_of_version_1_is_a_promise():
    said = json.loads(message([event(priced(call()))]))
    assert said == {
        "type": "taximeter.calls",
        "version": 1,
        "timestamp": PROMISED["started_at"],
        "data": {"calls": [PROMISED]},
    }


def test_every_field_is_a_column_of_the_store():
    assert set(FIELDS) <= set(CallRow.__struct_fields__)


def test_what_a_provider_said_in_words_is_not_told():
    error = ErrorFacts(error_class="auth", code="1004", message="Incorrect API key: sk-secret")
    failed = call(1, attempt(outcome="error", status=401, error=error), outcome="error", status=401, error_class="auth")
    said = event(priced(failed))
    assert (said["error_class"], said["provider_code"], said["fault"]) == ("auth", "1004", "account")
    assert "sk-secret" not in str(said)


def test_the_same_calls_make_the_same_bytes():
    events = [event(priced(call(number))) for number in (1, 2)]
    assert message(events) == message(events)


def test_a_count_of_0_is_told_and_one_that_nobody_knows_is_not():
    said = event(priced(call(1, attempt(usage=Usage(output_tokens=0, source="provider")))))
    assert said["output_tokens"] == 0
    assert "input_tokens" not in said


def test_amounts_are_exact():
    cost = "0.000000000000000001"
    assert Decimal(event(priced(call(), cost))["cost"]) == Decimal(cost)


def test_instants_are_told_in_utc_whatever_they_are():
    assert instant(0) == "1970-01-01T00:00:00.000000000Z"
    assert instant(-5) == "1970-01-01T00:00:00.000000000Z"
    assert instant(2**80).startswith("9999-12-31T23:59:59")


@given(any_call)
def test_any_record_can_be_told(record):
    said = msgspec.json.decode(message([event(priced(record))]))
    assert said["data"]["calls"][0]["attempts"] == len(record.attempts)
