"""OTLP over HTTP: protobuf in a POST.

Source: the OTLP specification, section "OTLP/HTTP".
"""

import contextlib
import gzip

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from exporters.otlp.sending import Answer, Request, Response, taken
from exporters.posting import Poster
from exporters.recorder.ports import SinkUnavailableError
from proxy.settings import OtlpTarget

_BLAMES_DATA = frozenset({400, 413, 422})
_NO_SERVICE = frozenset({404, 405, 501})
_TRY_AGAIN = frozenset({408, 429, 502, 503, 504})
_MAX_SAID_CHARS = 300
_GZIP_LEVEL = 3
"""Spans are much alike: 1,600 bytes of a call become 33, and 31 with the default level for twice the time."""


class HttpTransport:
    """One signal to one URL."""

    def __init__(self, target: OtlpTarget) -> None:
        self._poster = Poster(
            target.endpoint,
            timeout_s=target.timeout_s,
            ca_file=target.tls_ca_file,
            cert_file=target.tls_cert_file,
            key_file=target.tls_key_file,
        )
        self._gzip = target.compression == "gzip"
        self._headers = {"user-agent": "taximeter", **target.headers, "content-type": "application/x-protobuf"}
        if self._gzip:
            self._headers["content-encoding"] = "gzip"

    def check(self) -> None:
        """See that somebody listens there. Raises SinkUnavailableError."""
        self._poster.check()

    def send(self, request: Request) -> Answer:
        """Send once. Raises SinkUnavailableError where it is to be sent again."""
        data = request.SerializeToString()
        body = gzip.compress(data, compresslevel=_GZIP_LEVEL, mtime=0) if self._gzip else data
        answer = self._poster.post(body, self._headers)
        if 200 <= answer.status < 300:
            return taken(_response(request, answer.body))
        said = _said(answer.body)
        reason = f"status_{answer.status}"
        if answer.status in _BLAMES_DATA:
            return Answer(verdict="refused", reason=reason, said=said)
        if answer.status in _NO_SERVICE:
            return Answer(verdict="no_service", reason=reason, said=said)
        if answer.status >= 500 and answer.status not in _TRY_AGAIN:
            return Answer(verdict="doubtful", reason=reason, said=said)
        raise SinkUnavailableError(": ".join(filter(None, [f"{self._poster.origin} answered {answer.status}", said])))

    def close(self) -> None:
        """Let go of the connection."""
        self._poster.close()


def _response(request: Request, body: bytes) -> Response:
    metrics = isinstance(request, ExportMetricsServiceRequest)
    response: Response = ExportMetricsServiceResponse() if metrics else ExportTraceServiceResponse()
    # Some receivers answer in JSON, or with nothing of use: the status has said that it was taken.
    with contextlib.suppress(DecodeError):
        response.ParseFromString(body)
    return response


def _said(body: bytes) -> str:
    """The message of a `google.rpc.Status`; empty where the body is none."""
    try:
        said = Status.FromString(body).message
    except DecodeError:
        return ""
    return said[:_MAX_SAID_CHARS] if said.isprintable() else ""
