"""What it means for a request to be taken, refused or to be sent again, whatever it travels by.

The exporters of the SDK answer SUCCESS or FAILURE after tries of their own: neither whether another try can help nor
what a receiver took only in part can be told from that. So the requests are those of the SDK's encoders, and the
answers are read here.

Source: the OTLP specification, sections "OTLP/gRPC Response" and "OTLP/HTTP Response". Where it says that a request is
not to be sent again we do so if the data are to blame. A wrong address or credential is the operator's to put right:
until then the calls wait in the journal.
"""

from typing import Literal, Protocol

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest
Response = ExportTraceServiceResponse | ExportMetricsServiceResponse

Verdict = Literal["taken", "refused", "doubtful", "no_service"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request that reached somebody.

    `refused`: the data are to blame. `doubtful`: it may be the data or the receiver. `no_service`: nobody takes this
    signal there.
    """

    verdict: Verdict
    reason: str = ""
    """A word to count by: `status_400`, `invalid_argument`."""
    said: str = ""
    """In the receiver's words, for people; may be empty."""
    rejected: int = 0
    """Spans or points that it did not take of a request that it took."""


class Transport(Protocol):
    """The way to a receiver, for one signal. For one thread."""

    def check(self) -> None:
        """See that somebody listens there. Raises SinkUnavailableError."""

    def send(self, request: Request) -> Answer:
        """Send once. Raises SinkUnavailableError where it is to be sent again."""

    def close(self) -> None:
        """Let go of connections and threads."""


def taken(response: Response) -> Answer:
    """The answer of a receiver that took a request, all of it or a part."""
    partial = response.partial_success
    if isinstance(response, ExportTraceServiceResponse):
        rejected = response.partial_success.rejected_spans
    else:
        rejected = response.partial_success.rejected_data_points
    return Answer(verdict="taken", said=partial.error_message, rejected=max(0, rejected))
