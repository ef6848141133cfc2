"""A call as spans: SERVER for the call, CLIENT for each attempt. The same as the view `otel_traces` shows. PURE.

They are made of the same rows as the view is, so that a figure beyond reason or an odd path is the same in both; a test
holds the two together. The view's attributes are all text; here a count is a number, and a list is a list. Money stays
decimal text in both, for a float is no amount of money.

Source: `exporters/schema/views.py`, `proxy/core/semconv.py`.
"""

import re
from collections.abc import Iterator, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from exporters.clickhouse.build import attempt_rows, call_row
from exporters.clickhouse.rows import AttemptRow, CallRow
from exporters.otlp.resource import SCOPE
from exporters.recorder.ports import PricedCall
from proxy.core.record import AttemptRecord, CallRecord, TraceIds
from proxy.core.semconv import (
    OWN_NAMESPACE,
    OWN_TAG_NAMESPACE,
    PROVIDER_NAMES,
    SERVER_SPAN,
    Convention,
    client_names,
)

Value = str | bool | int | float | list[str] | None

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
"""What HTTP's conventions know; any other is `_OTHER` and named HTTP."""
_FAILED = frozenset({"error", "broken", "interrupted"})
_PORT = re.compile(r":([0-9]{1,5})$")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
_MAX_NS = (2**32 - 1) * 10**9
"""In 2106, as in the store."""


class OddIdsError(ValueError):
    """A record whose ids are those of no trace."""


def spans(priced: PricedCall, resource: Resource, convention: Convention) -> Iterator[ReadableSpan]:
    """The spans of a call, that of the call itself first. Raises OddIdsError."""
    call = priced.call
    trace = call.trace
    own = _context(trace, trace.span_id)
    attempts = attempt_rows(priced)
    row = call_row(priced, attempts)
    yield _span(
        row,
        call,
        name=server_name(row),
        kind=SpanKind.SERVER,
        context=own,
        parent=_context(trace, trace.parent_span_id, is_remote=True) if trace.parent_span_id else None,
        resource=resource,
        attributes=server_attributes(row),
    )
    names = client_names(convention)
    for attempt, attempt_row in zip(call.attempts, attempts, strict=True):
        yield _span(
            attempt_row,
            attempt,
            name=client_name(attempt_row),
            kind=SpanKind.CLIENT,
            context=_context(trace, attempt.span_id),
            parent=own,
            resource=resource,
            attributes=client_attributes(attempt_row, names),
        )


def failed(row: CallRow | AttemptRow) -> bool:
    """Whether the span's status is an error; a refusal of ours is one only where it was our fault."""
    return row.outcome in _FAILED or (row.outcome == "refused" and row.status >= 500)


def error_type(row: CallRow | AttemptRow) -> str:
    """`error.type`: our error class, else what is known of a failure; empty where there was none."""
    if row.error_class or not failed(row):
        return row.error_class
    return str(row.status) if row.status >= 400 else "_OTHER"


def provider_name(row: CallRow | AttemptRow) -> str:
    """`gen_ai.provider.name`."""
    return PROVIDER_NAMES.get(row.kind, row.kind) or row.provider


def host_and_port(host: str) -> tuple[str, int | None]:
    """A host as it is configured, cut before its port."""
    found = _PORT.search(host)
    return (host[: found.start()], int(found[1])) if found else (host, None)


def method(row: CallRow) -> str:
    """`http.request.method`."""
    return row.method if not row.method or row.method in METHODS else "_OTHER"


def server_name(row: CallRow) -> str:
    """`POST /openai/v1/chat/completions`."""
    return f"{row.method if row.method in METHODS else 'HTTP'} {row.route}".rstrip(" ")


def client_name(row: AttemptRow) -> str:
    """`chat gpt-4.1-mini`."""
    operation = "request" if row.operation in {"", "unknown"} else row.operation
    return f"{operation} {row.model_requested or row.model}".rstrip(" ")


def server_attributes(row: CallRow) -> dict[str, Value]:
    """Of the span of a call."""
    known: dict[str, Value] = {
        "method": method(row),
        "route": row.route,
        "path": row.path,
        "status": row.status or None,
        "error": error_type(row),
    }
    own: dict[str, Value] = {
        "call_id": row.call_id,
        "attempts": row.attempt,
        "outcome": row.outcome,
        "provider": row.provider,
        "key_id": row.key_id,
        "team": row.team,
        "project": row.project,
        "user": row.user,
        "session": row.session,
        "overhead_ms": row.overhead_ms,
        "client_gone": row.client_gone or None,
        **_money(row),
    }
    tags: dict[str, Value] = {OWN_TAG_NAMESPACE + name: value for name, value in row.tags.items()}
    return _known({SERVER_SPAN[word]: value for word, value in known.items()} | _own(own)) | tags


def client_attributes(row: AttemptRow, names: Mapping[str, str]) -> dict[str, Value]:
    """Of the span of an attempt; `names` by our own word."""
    host, port = host_and_port(row.host)
    values: dict[str, Value] = {
        "operation": "" if row.operation == "unknown" else row.operation,
        "provider_name": provider_name(row),
        "model_requested": row.model_requested,
        "model": row.model,
        "response_id": row.response_id,
        "streaming": row.streaming or None,
        "max_output_tokens": row.max_output_tokens,
        "finish_reasons": [row.finish_reason] if row.finish_reason else None,
        "ttft_s": row.ttft_ms / 1000 if row.streaming and row.ttft_ms is not None else None,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_input_tokens": row.cached_input_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "host": host,
        "port": port,
        "error": error_type(row),
        "status": row.status or None,
    }
    own: dict[str, Value] = {
        "call_id": row.call_id,
        "attempt": row.attempt,
        "outcome": row.outcome,
        "rule": row.rule,
        "target": row.target,
        "dialect": row.dialect,
        "provider": row.provider,
        "provider_code": row.provider_code,
        "provider_request_id": row.provider_request_id,
        **_money(row),
    }
    return _known({names[word]: values[word] for word in names} | _own(own))


def _money(row: CallRow | AttemptRow) -> dict[str, Value]:
    return {
        "cost": row.cost,
        "currency": row.currency,
        "cost_source": "" if row.cost_source == "none" else row.cost_source,
        "price_id": row.price_id,
        "billing": row.billing,
        "usage_source": "" if row.usage_source == "none" else row.usage_source,
    }


def _own(values: Mapping[str, Value]) -> dict[str, Value]:
    return {OWN_NAMESPACE + word: value for word, value in values.items()}


def _known(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def _context(trace: TraceIds, span_id: str, *, is_remote: bool = False) -> SpanContext:
    if not (_TRACE_ID.fullmatch(trace.trace_id) and _SPAN_ID.fullmatch(span_id)):
        raise OddIdsError
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([trace.state]) if trace.state else TraceState()
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote, flags, state)


def _span(
    row: CallRow | AttemptRow,
    record: CallRecord | AttemptRecord,
    *,
    name: str,
    kind: SpanKind,
    context: SpanContext,
    parent: SpanContext | None,
    resource: Resource,
    attributes: Mapping[str, Value],
) -> ReadableSpan:
    start_ns = max(0, min(record.started_at_ns, _MAX_NS))
    status = Status(StatusCode.UNSET)
    if failed(row):
        status = Status(StatusCode.ERROR, f"{row.error_class} {row.provider_code}".rstrip(" "))
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=kind,
        status=status,
        start_time=start_ns,
        end_time=min(start_ns + max(0, record.duration_ns), 2**64 - 1),
        instrumentation_scope=SCOPE,
    )
