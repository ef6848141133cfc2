"""Spans by themselves, and against the view `otel_traces` over the same records."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind, StatusCode

from exporters.clickhouse.build import call_row
from exporters.clickhouse.sink import ClickHouseSink
from exporters.otlp.spans import OddIdsError, host_and_port, spans
from proxy.core.errors import ErrorFacts
from proxy.core.record import TraceIds
from proxy.core.usage import Usage
from tests.fakes.embedded_store import embedded_store
from tests.fakes.otlp_settings import batch, priced
from tests.fakes.records import TRACE, any_call, attempt, call

WHO = Resource({"service.name": "taximeter"})


def batch_row(record):
    one = priced(record)
    return call_row(one)


def made(record, convention="1.41"):
    return list(spans(priced(record), WHO, convention))


@pytest.mark.parametrize(("at_ns", "told_s"), [(2**63 - 1, 2**32 - 1), (-1, 0)])
def test_a_clock_that_cannot_be_right_is_told_as_in_the_store(at_ns, told_s):
    odd = call(started_at_ns=at_ns)
    assert made(odd)[0].start_time == told_s * 10**9
    assert float(batch_row(odd).started_at) == told_s


def test_a_call_is_the_parent_of_its_attempts_and_the_child_of_the_app():
    server, first, second = made(call(1, attempt(1), attempt(2)))
    assert (server.kind, first.kind, second.kind) == (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.CLIENT)
    assert f"{server.context.trace_id:032x}" == TRACE.trace_id
    assert f"{server.context.span_id:016x}" == TRACE.span_id
    assert f"{server.parent.span_id:016x}" == TRACE.parent_span_id
    assert server.parent.is_remote
    assert first.parent == second.parent == server.context
    assert f"{second.context.span_id:016x}" == f"{2:016x}"


def test_a_call_without_a_parent_is_a_root():
    root = call(trace=TraceIds(trace_id=TRACE.trace_id, span_id=TRACE.span_id))
    assert made(root)[0].parent is None


def test_times_are_those_of_the_record_to_the_nanosecond():
    server, client = made(call())
    assert (server.start_time, server.end_time - server.start_time) == (call().started_at_ns, 900_000_000)
    assert (client.start_time, client.end_time - client.start_time) == (attempt().started_at_ns, 800_000_000)


def test_a_good_chat_has_the_names_of_the_convention():
    usage = Usage(input_tokens=10, output_tokens=3, cached_input_tokens=4, reasoning_tokens=2, source="provider")
    record = call(1, attempt(ttft_ns=250_000_000, usage=usage, host="llm.example:8443"), streaming=True)
    server, client = made(record)
    assert server.name == "POST /openai/v1/chat/completions"
    assert server.attributes["http.request.method"] == "POST"
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["taximeter.tag.env"] == "prod"
    assert client.name == "chat gpt-4.1-mini"
    assert dict(client.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.response.model": "gpt-4.1-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "llm.example",
        "server.port": 8443,
        "http.response.status_code": 200,
        "taximeter.call_id": record.call_id,
        "taximeter.attempt": 1,
        "taximeter.outcome": "ok",
        "taximeter.dialect": "openai.chat",
        "taximeter.provider": "openai",
        "taximeter.cost": "0.01",
        "taximeter.currency": "USD",
        "taximeter.cost_source": "book",
        "taximeter.price_id": "p-1",
        "taximeter.billing": "metered",
        "taximeter.usage_source": "provider",
    }


def test_the_version_of_the_convention_can_be_switched():
    record = call(1, attempt(usage=Usage(cache_write_tokens=5, source="provider")))
    assert made(record)[1].attributes["gen_ai.usage.cache_creation.input_tokens"] == 5
    assert made(record, "genai-dev")[1].attributes["gen_ai.usage.cache_write.input_tokens"] == 5


def test_what_was_not_reported_is_not_there():
    (_, client) = made(call(1, attempt(usage=Usage(), finish_reason="", host="", model="")))
    assert not [name for name in client.attributes if name.startswith("gen_ai.usage")]
    assert "server.address" not in client.attributes


def test_a_failure_is_an_error_with_its_class():
    error = ErrorFacts(error_class="rate_limit", code="1002")
    server, client = made(
        call(
            1, attempt(outcome="error", status=429, error=error), outcome="error", status=429, error_class="rate_limit"
        )
    )
    assert client.status.status_code is StatusCode.ERROR
    assert client.status.description == "rate_limit 1002"
    assert client.attributes["error.type"] == server.attributes["error.type"] == "rate_limit"


@pytest.mark.parametrize(("status", "failed"), [(403, False), (500, True)])
def test_a_refusal_is_an_error_where_it_is_ours(status, failed):
    (server,) = made(call(1, outcome="refused", status=status).__class__(**_fields(outcome="refused", status=status)))
    assert (server.status.status_code is StatusCode.ERROR) is failed
    assert server.attributes.get("error.type") == ("500" if failed else None)


def _fields(**more):
    return msgspec.structs.asdict(call()) | {"attempts": ()} | more


def test_a_method_that_nobody_knows_makes_no_name_of_its_own():
    (server, _) = made(call(method="BREW", path="/pot", operation="unknown"))
    assert server.name == "HTTP"
    assert server.attributes["http.request.method"] == "_OTHER"


@pytest.mark.parametrize(
    ("host", "parts"),
    [("api.x", ("api.x", None)), ("api.x:80", ("api.x", 80)), ("[::1]:80", ("[::1]", 80)), ("", ("", None))],
)
def test_a_host_is_cut_before_its_port(host, parts):
    assert host_and_port(host) == parts


@pytest.mark.parametrize("trace_id", ["", "0" * 32, "A" * 32, "1" * 31, "_" * 32])
def test_odd_ids_are_no_span(trace_id):
    with pytest.raises(OddIdsError):
        made(call(trace=TraceIds(trace_id=trace_id, span_id=TRACE.span_id)))


YEAR_2100_NS = 4_102_444_800 * 10**9
_NUMBERS = iter(range(1, 10**9))


def _with_ids(record):
    """The record with ids of its own, so that its spans can be found again, and at a time that columns can hold."""
    number = next(_NUMBERS)

    def timed(one, **more):
        started_at_ns = min(one.started_at_ns, YEAR_2100_NS)
        return msgspec.structs.replace(one, started_at_ns=started_at_ns, duration_ns=abs(one.duration_ns), **more)

    attempts = tuple(
        timed(one, span_id=f"{number * 100 + index:016x}", attempt=index)
        for index, one in enumerate(record.attempts, 1)
    )
    trace = TraceIds(trace_id=f"{number:032x}", span_id=f"{number * 100:016x}", state="a=1,b=2")
    return timed(record, call_id=f"{number:032x}", trace=trace, attempts=attempts)


records = any_call.map(_with_ids)


@given(records)
def test_any_record_is_encoded(record):
    made_spans = made(record)
    request = encode_spans(made_spans)
    assert len(request.resource_spans[0].scope_spans[0].spans) == 1 + len(record.attempts)
    assert all(span.end_time >= span.start_time >= 0 for span in made_spans)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as running:
        sink = ClickHouseSink(running.settings)
        yield running, sink
        sink.close()


SQL = """
SELECT TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, SpanAttributes, StatusCode, StatusMessage,
    toUnixTimestamp64Nano(Timestamp), Duration
FROM otel_traces WHERE TraceId IN {ids:Array(String)}
"""


@pytest.mark.real
@settings(max_examples=30)
@given(st.lists(records, min_size=1, max_size=4))
def test_spans_are_the_same_as_in_the_view(store, odd):
    running, sink = store
    sane = [_with_ids(call(1, attempt(1), attempt(2, status=500, outcome="error", host="h:1"), streaming=True))]
    sane.append(_with_ids(call(1, attempt(ttft_ns=1_234_567), streaming=True, operation="embeddings", status=0)))
    everything = [*odd, *sane]
    sink.deliver(batch(*everything, token=f"view-{everything[0].call_id}"))
    ids = [record.trace.trace_id for record in everything]
    with running.client() as client:
        rows = client.query(SQL, parameters={"ids": ids}).result_rows
    seen = {row[1]: row for row in rows}
    ours = [span for record in everything for span in made(record)]
    assert len(rows) == len(ours)
    for span in ours:
        _compare(span, seen[f"{span.context.span_id:016x}"])


def _compare(span, row):
    trace_id, _, parent, state, name, kind, attributes, status, message, at_ns, duration_ns = row
    assert f"{span.context.trace_id:032x}" == trace_id
    assert (f"{span.parent.span_id:016x}" if span.parent else "") == parent
    assert span.context.trace_state.to_header() == state
    assert span.name == name
    assert span.kind.name.capitalize() == kind
    assert span.status.status_code.name.capitalize() == status
    assert (span.status.description or "") == message
    assert span.start_time == at_ns
    assert span.end_time - span.start_time == pytest.approx(duration_ns, rel=1e-9, abs=2)
    assert set(span.attributes) == set(attributes)
    for key, value in span.attributes.items():
        text = attributes[key]
        if isinstance(value, bool):
            assert text == "true", key
        elif isinstance(value, int | float):
            assert float(text) == pytest.approx(value), key
        else:
            assert (json.loads(text) if isinstance(value, list) else text) == value, key
