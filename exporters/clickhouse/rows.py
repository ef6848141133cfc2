"""The rows of `calls` and `attempts`: a field per column, in the order of the table. What they mean stands in the DDL.

Values are as JSONEachRow takes them: instants as seconds with nine decimals, amounts as text. What equals its default
is left out of the JSON, and the column's own default is the same value; a test holds the two together. A row is part of
no cycle: the garbage collector need not look at it.
"""

import msgspec


class PriceLine(msgspec.Struct, frozen=True, gc=False):
    """One step of the arithmetic behind a list price."""

    part: str
    quantity: str
    free: str
    rate: str
    per: int
    amount: str
    price_id: str


class PartRow(msgspec.Struct, frozen=True, gc=False):
    """What a further model used inside an answer."""

    kind: str
    model: str
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None


class CallRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A row of `calls`."""

    call_id: str
    attempt: int = 0
    started_at: str
    duration_ms: float = 0.0
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    trace_state: str = ""
    sampled: bool = False
    key_id: str = ""
    team: str = ""
    project: str = ""
    user: str = ""
    session: str = ""
    tags: dict[str, str] = {}
    provider: str = ""
    kind: str = ""
    host: str = ""
    dialect: str = ""
    operation: str = ""
    method: str = ""
    route: str = ""
    path: str = ""
    model_requested: str = ""
    model: str = ""
    service_tier: str = ""
    max_output_tokens: int | None = None
    streaming: bool = False
    billable: bool = False
    status: int = 0
    outcome: str = ""
    error_class: str = ""
    error_type: str = ""
    provider_code: str = ""
    fault: str = ""
    finish_class: str = ""
    finish_reason: str = ""
    stream_end: str = ""
    connect_ms: float | None = None
    ttfb_ms: float | None = None
    ttft_ms: float | None = None
    overhead_ms: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    total_tokens: int | None = None
    units: dict[str, str] = {}
    usage_source: str = ""
    usage_origin: str = ""
    usage_complete: bool = False
    cost: str | None = None
    currency: str = ""
    costs: dict[str, str] = {}
    cost_source: str = ""
    cost_estimated: bool = False
    cost_lower_bound: bool = False
    cost_reasons: list[str] = []
    price_id: str = ""
    list_cost: str | None = None
    list_cost_currency: str = ""
    provider_cost: str | None = None
    provider_cost_currency: str = ""
    billing: str = ""
    unpriced_attempts: int = 0
    response_id: str = ""
    provider_request_id: str = ""
    changes: list[str] = []
    reasons: list[str] = []
    unread: str = ""
    client_gone: bool = False
    draws: dict[str, int] = {}
    journal: str = ""
    segment: int = 0


class AttemptRow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A row of `attempts`."""

    call_id: str
    attempt: int = 0
    started_at: str
    duration_ms: float = 0.0
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    trace_state: str = ""
    sampled: bool = False
    key_id: str = ""
    team: str = ""
    project: str = ""
    user: str = ""
    session: str = ""
    tags: dict[str, str] = {}
    provider: str = ""
    kind: str = ""
    host: str = ""
    dialect: str = ""
    operation: str = ""
    model_requested: str = ""
    model: str = ""
    service_tier: str = ""
    max_output_tokens: int | None = None
    streaming: bool = False
    billable: bool = False
    status: int = 0
    outcome: str = ""
    error_class: str = ""
    error_type: str = ""
    provider_code: str = ""
    fault: str = ""
    retry_same: str = ""
    fallback: str = ""
    finish_class: str = ""
    finish_reason: str = ""
    stream_end: str = ""
    connect_ms: float | None = None
    ttfb_ms: float | None = None
    ttft_ms: float | None = None
    overhead_ms: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    total_tokens: int | None = None
    units: dict[str, str] = {}
    usage_parts: list[PartRow] = []
    usage_source: str = ""
    usage_origin: str = ""
    usage_complete: bool = False
    cost: str | None = None
    currency: str = ""
    cost_source: str = ""
    cost_estimated: bool = False
    cost_lower_bound: bool = False
    cost_reasons: list[str] = []
    price_id: str = ""
    list_cost: str | None = None
    list_cost_currency: str = ""
    price_lines: list[PriceLine] = []
    provider_cost: str | None = None
    provider_cost_currency: str = ""
    billing: str = ""
    response_id: str = ""
    provider_request_id: str = ""
    changes: list[str] = []
    unread: str = ""
    client_gone: bool = False
    rule: str = ""
    target: str = ""


TABLES: dict[str, type[CallRow] | type[AttemptRow]] = {"calls": CallRow, "attempts": AttemptRow}
"""Every table of the sink and its row."""
