"""OpenTelemetry: every call as spans, and metrics of all calls, to any receiver of OTLP.

What: two sinks, each with a place in the journal of its own, so that a receiver that takes no metrics does not hold up
spans. `otlp-traces` sends a SERVER span for each call and a CLIENT span for each attempt, the same that the view
`otel_traces` shows; at least once, and the ids of a span are the same whenever it is sent. `otlp-metrics` sends the
metrics of the GenAI conventions, http.server.request.duration, and what calls cost.

Config: `sinks.otlp` (`endpoint`, `protocol`, `headers`, `compression`, `timeout`, `tls`, `traces`, `metrics`,
`metrics_interval`, `service_name`, `resource`) over the `OTEL_` variables of the environment; `semconv`.

Example: `sinks: {otlp: {endpoint: "http://collector:4318"}}`

Source: the OTLP specification; OpenTelemetry's GenAI and HTTP conventions (`proxy/core/semconv.py`).
"""

from collections.abc import Iterator

from exporters.recorder.ports import Sink
from proxy.settings import Settings


def otlp_sinks(settings: Settings) -> Iterator[Sink]:
    """The sinks for the signals that have a target."""
    otlp = settings.sinks.otlp
    if otlp and otlp.traces:
        # Imported here, and below: where nobody asks for OTLP the recorder holds neither OpenTelemetry nor gRPC.
        from exporters.otlp.trace_sink import OtlpTraces  # noqa: PLC0415

        yield OtlpTraces(settings, otlp, otlp.traces)
    if otlp and otlp.metrics:
        from exporters.otlp.metric_sink import OtlpMetrics  # noqa: PLC0415

        yield OtlpMetrics(settings, otlp, otlp.metrics)
