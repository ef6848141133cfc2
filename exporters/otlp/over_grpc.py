"""OTLP over gRPC.

One call at a time, with a deadline and no retries of the library's own. After a failure of the connection the next
request begins with a new one, for a channel on its own may stay away for minutes.

Source: the OTLP specification, section "OTLP/gRPC".
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from exporters.otlp.sending import Answer, Request, taken
from exporters.patience import Patience
from exporters.recorder.ports import SinkUnavailableError
from proxy.settings import OtlpTarget

_BLAMES_DATA = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS}
)
_DOUBTFUL = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_LOST_CONNECTION = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0), ("grpc.primary_user_agent", "taximeter"))
_DETAILS = "grpc-status-details-bin"
_MAX_SAID_CHARS = 300


class GrpcTransport:
    """One signal to one server."""

    def __init__(self, target: OtlpTarget) -> None:
        parts = urlsplit(target.endpoint)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._target = target
        self._metadata = tuple(target.headers.items())
        self._channel: grpc.Channel | None = None
        self._patience = Patience(self._origin)

    def check(self) -> None:
        """See that somebody listens there. Raises SinkUnavailableError."""
        self._patience.check()
        try:
            socket.create_connection((self._host, self._port), self._target.timeout_s).close()
        except OSError as error:
            raise SinkUnavailableError(f"{self._origin}: {error}") from error

    def send(self, request: Request) -> Answer:
        """Send once. Raises SinkUnavailableError where it is to be sent again."""
        self._patience.check()
        channel = self._connected()
        stub = MetricsServiceStub if isinstance(request, ExportMetricsServiceRequest) else TraceServiceStub
        try:
            return taken(stub(channel).Export(request, timeout=self._target.timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            return self._failed(error)

    def close(self) -> None:
        """Let go of the channel and its threads."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            gzip = self._target.compression == "gzip"
            compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
            address = f"{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"
            if self._tls:
                self._channel = grpc.secure_channel(address, self._credentials(), _OPTIONS, compression)
            else:
                self._channel = grpc.insecure_channel(address, _OPTIONS, compression)
        return self._channel

    def _credentials(self) -> grpc.ChannelCredentials:
        target = self._target
        names = (target.tls_ca_file, target.tls_key_file, target.tls_cert_file)
        try:
            return grpc.ssl_channel_credentials(*(Path(name).read_bytes() if name else None for name in names))
        except OSError as error:
            raise SinkUnavailableError(f"certificates for {self._origin}: {error}") from error

    def _failed(self, error: grpc.RpcError) -> Answer:
        code, said = error.code(), str(error.details() or "")[:_MAX_SAID_CHARS]
        reason = str(code.name).lower()
        if code in _BLAMES_DATA:
            return Answer(verdict="refused", reason=reason, said=said)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return Answer(verdict="no_service", reason=reason, said=said)
        delay_s = _retry_delay_s(error)
        if code in _DOUBTFUL or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is None):
            return Answer(verdict="doubtful", reason=reason, said=said)
        if delay_s:
            self._patience.wait(delay_s)
        if code in _LOST_CONNECTION:
            self.close()
        raise SinkUnavailableError(": ".join(filter(None, [f"{self._origin} answered {reason}", said])))


def _retry_delay_s(error: grpc.RpcError) -> float | None:
    """The delay of a `google.rpc.RetryInfo` among the details; None where there is none."""
    for name, value in error.trailing_metadata() or ():
        if name != _DETAILS:
            continue
        try:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
        except DecodeError:
            return None
    return None
