"""The last calls as they come, and everything about one of them.

What: the newest calls; a click on one shows its trace, its attempts and the arithmetic of its price.

Config: the variables team, project, key, provider, model; call and trace id.

Example: `/d/taximeter-live?var-call_id=0192...&var-trace_id=0192...`

Source: tables `calls`, `attempts`; view `otel_traces`.
"""

from grafana.model import Column, Dashboard, Panel, Variable
from grafana.pieces import CALL_VARIABLES, CHOSEN

CALL_ID = Variable(name="call_id", label="Call", description="Id of the call whose attempts are shown.")
TRACE_ID = Variable(name="trace_id", label="Trace", description="Id of the trace that is shown.")
_PICK = (
    "/d/taximeter-live?${__url_time_range}&${team:queryparam}&${project:queryparam}"
    '&var-call_id=${__data.fields["Call"]}&var-trace_id=${__data.fields["Trace"]}'
)
_MAP = "arrayMap(name -> map('key', name, 'value', {map}[name]), mapKeys({map}))"

LIVE = Dashboard(
    uid="taximeter-live",
    title="Taximeter / Live tail",
    description="The newest calls, and the trace, attempts and price arithmetic of the one that was picked.",
    variables=(*CALL_VARIABLES, CALL_ID, TRACE_ID),
    since="now-1h",
    refresh="5s",
    panels=(
        Panel(
            title="Newest calls", kind="table", width=24, height=12,
            description="The newest hundred calls; click a call id to see its trace and attempts below.",
            sql="SELECT started_at AS \"Time\", call_id AS \"Call\", trace_id AS \"Trace\", team AS \"Team\", "
            "project AS \"Project\", provider AS \"Provider\", model AS \"Model\", outcome AS \"Outcome\", "
            "status AS \"Status\", input_tokens AS \"In\", output_tokens AS \"Out\", toFloat64(cost) AS \"Cost\", "
            "currency AS \"Currency\", duration_ms AS \"Duration\", ttft_ms AS \"First token\" "
            f"FROM calls WHERE $__timeFilter(started_at) AND {CHOSEN} "
            "ORDER BY toStartOfHour(started_at) DESC, started_at DESC LIMIT 100",
            columns={
                "Call": Column(link=_PICK, link_title="Show it below"),
                "Trace": Column(link=_PICK, link_title="Show it below"),
                "Duration": Column(unit="ms"),
                "First token": Column(unit="ms"),
            },
        ),
        Panel(
            title="Trace", kind="traces", width=24, height=12, may_be_empty=True,
            description="The call and its attempts as spans; with the app's own spans where those go to the same "
            "store.",
            sql="SELECT TraceId AS traceID, SpanId AS spanID, ParentSpanId AS parentSpanID, "
            "ServiceName AS serviceName, SpanName AS operationName, "
            "toUnixTimestamp64Milli(Timestamp) AS startTime, Duration / 1000000 AS duration, "
            f"{_MAP.format(map='SpanAttributes')} AS tags, {_MAP.format(map='ResourceAttributes')} AS serviceTags, "
            "if(StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode, SpanKind AS kind "
            "FROM otel_traces WHERE TraceId = ${trace_id:sqlstring} AND TraceId != '' ORDER BY startTime LIMIT 1000",
        ),
        Panel(
            title="Attempts", kind="table", width=24, height=6, may_be_empty=True,
            description="Every try of the call at a provider.",
            sql="SELECT attempt AS \"Attempt\", provider AS \"Provider\", model AS \"Model\", status AS \"Status\", "
            "outcome AS \"Outcome\", error_class AS \"Error\", duration_ms AS \"Duration\", ttft_ms AS \"First "
            "token\", "
            "input_tokens AS \"In\", output_tokens AS \"Out\", usage_source AS \"Usage by\", toFloat64(cost) AS "
            "\"Cost\", "
            "currency AS \"Currency\", provider_request_id AS \"Provider's id\" "
            "FROM attempts WHERE call_id = ${call_id:sqlstring} ORDER BY attempt",
            columns={"Duration": Column(unit="ms"), "First token": Column(unit="ms")},
        ),
        Panel(
            title="How the list price was reckoned", kind="table", width=24, height=6, may_be_empty=True,
            description="(quantity - free) x rate / per = amount, for each part of the usage.",
            sql="SELECT attempt AS \"Attempt\", line.part AS \"Part\", toFloat64(line.quantity) AS \"Quantity\", "
            "toFloat64(line.free) AS \"Free\", toFloat64(line.rate) AS \"Rate\", line.per AS \"Per\", "
            "toFloat64(line.amount) AS \"Amount\", list_cost_currency AS \"Currency\", line.price_id AS \"Price\" "
            "FROM attempts ARRAY JOIN price_lines AS line WHERE call_id = ${call_id:sqlstring} ORDER BY attempt",
        ),
    ),
)  # fmt: skip
