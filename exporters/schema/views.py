"""The views `otel_traces` and `otel_traces_trace_id_ts`: our rows in the shape of the OpenTelemetry Collector's tables.

Grafana's trace view, and everything else that reads the Collector's ClickHouse exporter, works on them. A call is a
SERVER span, each of its attempts a CLIENT span below it. Attribute names come from `proxy.core.semconv`; what is not
known is left out of the map. PURE: text in, text out. The views hold no data, so they are made anew at every start.

Source: the fact sheets on OpenTelemetry (sections 1 and 2), ClickHouse (section 8) and Grafana (section 3).
"""

from collections.abc import Mapping

from proxy.core.semconv import (
    OWN_NAMESPACE,
    OWN_TAG_NAMESPACE,
    PROVIDER_NAMES,
    SERVER_SPAN,
    Convention,
    client_names,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
"""What HTTP's conventions know; any other is `_OTHER` and named HTTP, so that a scanner makes no new span names."""
_FAILED = "outcome IN ('error', 'broken', 'interrupted') OR (outcome = 'refused' AND status >= 500)"
_PORT = r"':([0-9]{1,5})$'"


def _text(value: str) -> str:
    """A string literal; only for text of ours."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _list(values: Mapping[str, str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _number(column: str) -> str:
    return f"ifNull(toString({column}), '')"


def _flag(column: str) -> str:
    return f"if({column}, 'true', '')"


_STATUS = "if(status = 0, '', toString(status))"
_ERROR = f"multiIf(error_class != '', error_class, {_FAILED}, if(status >= 400, toString(status), '_OTHER'), '')"

_CLIENT_VALUES = {
    "operation": "if(operation = 'unknown', '', operation)",
    "provider_name": (
        f"transform(kind, {_list(tuple(PROVIDER_NAMES))}, {_list(tuple(PROVIDER_NAMES.values()))}, "
        "if(kind = '', provider, kind))"
    ),
    "model_requested": "model_requested",
    "model": "model",
    "response_id": "response_id",
    "streaming": _flag("streaming"),
    "max_output_tokens": _number("max_output_tokens"),
    "finish_reasons": "if(finish_reason = '', '', toJSONString([finish_reason]))",
    "ttft_s": f"if(streaming, {_number('ttft_ms / 1000')}, '')",
    "input_tokens": _number("input_tokens"),
    "output_tokens": _number("output_tokens"),
    "cached_input_tokens": _number("cached_input_tokens"),
    "cache_write_tokens": _number("cache_write_tokens"),
    "reasoning_tokens": _number("reasoning_tokens"),
    "host": f"replaceRegexpOne(host, {_PORT}, '')",
    "port": f"extract(host, {_PORT})",
    "error": _ERROR,
    "status": _STATUS,
}
"""Our word -> the expression over `attempts` that gives the attribute as text, empty when it is not known."""

_SERVER_VALUES = {
    "method": f"multiIf(method = '', '', method IN {_list(_METHODS)}, method, '_OTHER')",
    "route": "route",
    "path": "path",
    "status": _STATUS,
    "error": _ERROR,
}
"""The same over `calls`."""

_MONEY = {
    "cost": _number("cost"),
    "currency": "currency",
    "cost_source": "if(cost_source = 'none', '', cost_source)",
    "price_id": "price_id",
    "billing": "billing",
    "usage_source": "if(usage_source = 'none', '', usage_source)",
}
_OWN_CLIENT_VALUES = {
    "call_id": "call_id",
    "attempt": "toString(attempt)",
    "outcome": "outcome",
    "dialect": "dialect",
    "provider": "provider",
    "provider_code": "provider_code",
    "provider_request_id": "provider_request_id",
    **_MONEY,
}
_OWN_SERVER_VALUES = {
    "call_id": "call_id",
    "attempts": "toString(attempt)",
    "outcome": "outcome",
    "provider": "provider",
    "key_id": "key_id",
    "team": "team",
    "project": "project",
    "user": "user",
    "session": "session",
    "overhead_ms": "toString(overhead_ms)",
    "client_gone": _flag("client_gone"),
    **_MONEY,
}

_CLIENT_NAME = (
    "trimRight(concat(if(operation IN ('', 'unknown'), 'request', operation), ' ', "
    "if(model_requested != '', model_requested, model)))"
)
_SERVER_NAME = f"trimRight(concat(if(method IN {_list(_METHODS)}, method, 'HTTP'), ' ', route))"


def view_statements(convention: Convention) -> tuple[str, ...]:
    """The statements that make the views, for the database of the connection."""
    return (
        f"CREATE OR REPLACE VIEW otel_traces AS\n{_server_spans()}\nUNION ALL\n{_client_spans(convention)}",
        _TRACE_TIMES,
    )


_TRACE_TIMES = """\
CREATE OR REPLACE VIEW otel_traces_trace_id_ts AS
SELECT
    trace_id AS TraceId,
    toDateTime(min(started_at)) AS Start,
    toDateTime(max(addNanoseconds(started_at, toInt64(round(duration_ms * 1000000))))) AS End
FROM calls
GROUP BY trace_id"""
"""From the first start to the last end of a trace, in whole seconds, so `End` may lie up to a second too early."""


def _server_spans() -> str:
    tags = f"mapApply((name, value) -> (concat({_text(OWN_TAG_NAMESPACE)}, name), value), tags)"
    known = _known(_named(SERVER_SPAN, _SERVER_VALUES) | _own(_OWN_SERVER_VALUES))
    return _spans("calls", "Server", _SERVER_NAME, f"mapConcat({known}, CAST({tags}, {_MAP}))")


def _client_spans(convention: Convention) -> str:
    known = _known(_named(client_names(convention), _CLIENT_VALUES) | _own(_OWN_CLIENT_VALUES))
    return _spans("attempts", "Client", _CLIENT_NAME, known)


def _named(names: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Attribute name -> expression. A word without an expression is a KeyError, which a test would see."""
    return {attribute: values[word] for word, attribute in names.items()}


def _own(values: Mapping[str, str]) -> dict[str, str]:
    return {OWN_NAMESPACE + word: value for word, value in values.items()}


_MAP = "'Map(LowCardinality(String), String)'"


def _known(attributes: Mapping[str, str]) -> str:
    """A map of the attributes whose value is known."""
    pairs = ",\n        ".join(f"{_text(name)}, {value}" for name, value in attributes.items())
    return f"CAST(mapFilter((name, value) -> value != '', map(\n        {pairs})), {_MAP})"


def _spans(table: str, kind: str, name: str, attributes: str) -> str:
    return f"""\
SELECT
    started_at AS Timestamp,
    trace_id AS TraceId,
    span_id AS SpanId,
    parent_span_id AS ParentSpanId,
    trace_state AS TraceState,
    CAST({name}, 'LowCardinality(String)') AS SpanName,
    CAST('{kind}', 'LowCardinality(String)') AS SpanKind,
    CAST('taximeter', 'LowCardinality(String)') AS ServiceName,
    CAST(map('service.name', 'taximeter'), {_MAP}) AS ResourceAttributes,
    'taximeter' AS ScopeName,
    '' AS ScopeVersion,
    {attributes} AS SpanAttributes,
    toUInt64(round(duration_ms * 1000000)) AS Duration,
    CAST(if({_FAILED}, 'Error', 'Unset'), 'LowCardinality(String)') AS StatusCode,
    if({_FAILED}, trimRight(concat(toString(error_class), ' ', provider_code)), '') AS StatusMessage,
    CAST([], 'Array(DateTime64(9, \\'UTC\\'))') AS `Events.Timestamp`,
    CAST([], 'Array(LowCardinality(String))') AS `Events.Name`,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    CAST([], 'Array(String)') AS `Links.TraceId`,
    CAST([], 'Array(String)') AS `Links.SpanId`,
    CAST([], 'Array(String)') AS `Links.TraceState`,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Links.Attributes`
FROM {table}"""  # noqa: S608 - made of our own words, nobody else's text is in it
