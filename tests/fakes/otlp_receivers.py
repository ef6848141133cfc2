"""Receivers of OTLP, written with the official definitions: one over HTTP, one over gRPC, both with the same moods."""

import asyncio
import gzip
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from aiohttp import web
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_rpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_rpc

from tests.fakes.certificates import Pair

HTTP_STATUS = {"busy": 503, "throttled": 429, "bad": 400, "broken": 500, "nobody": 404, "stranger": 401, "moved": 302}
GRPC_STATUS = {
    "busy": grpc.StatusCode.UNAVAILABLE,
    "throttled": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "bad": grpc.StatusCode.INVALID_ARGUMENT,
    "broken": grpc.StatusCode.INTERNAL,
    "nobody": grpc.StatusCode.UNIMPLEMENTED,
    "stranger": grpc.StatusCode.UNAUTHENTICATED,
    "moved": grpc.StatusCode.NOT_FOUND,
}
"""What each mood is over HTTP and over gRPC."""


class Mood(NamedTuple):
    """How the next request is met.

    `part`: taken, less `number`. `deaf`: taken, and no answer is given. The others: see above.
    """

    word: str
    number: int = 0
    """Rejected items, or seconds to wait before the next try."""


class Received(NamedTuple):
    """One request that came, whatever became of it."""

    signal: str
    message: Any
    headers: dict[str, str]


class Receiver:
    """What came, and how the next ones are met; without a mood a request is taken."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.url = ""
        self.requests: list[Received] = []
        self.taken: list[Received] = []
        self.moods: deque[Mood] = deque()
        self.refuses: Any = None
        """A test of a span: requests that hold one for which it is true are refused as bad."""
        self.over = threading.Event()

    def next(self, *words: str | Mood) -> None:
        """The moods of the next requests."""
        self.moods.extend(word if isinstance(word, Mood) else Mood(word) for word in words)

    @property
    def spans(self) -> list[Any]:
        """All spans that were taken."""
        return [span for _, _, span in self.spans_with_source()]

    def spans_with_source(self) -> list[tuple[Any, Any, Any]]:
        """Resource, scope and span of everything that was taken."""
        return [
            (resource.resource, scope.scope, span)
            for got in self.taken
            if got.signal == "traces"
            for resource in got.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def points(self, name: str) -> list[Any]:
        """All points of a metric that were taken, in the order in which they came."""
        found = []
        for metric in self.metrics():
            if metric.name == name:
                data = metric.histogram if metric.HasField("histogram") else metric.sum
                found += data.data_points
        return found

    def metrics(self) -> list[Any]:
        """All metrics that were taken."""
        return [
            metric
            for got in self.taken
            if got.signal == "metrics"
            for resource in got.message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def meet(self, got: Received) -> Mood:
        """Note a request; how it is met."""
        self.requests.append(got)
        mood = self.moods.popleft() if self.moods else Mood("good")
        if self.refuses and any(map(self.refuses, _spans(got.message))):
            mood = Mood("bad")
        if mood.word in {"good", "part", "deaf"}:
            self.taken.append(got)
        return mood


def _spans(message: Any) -> list[Any]:
    if not isinstance(message, trace_pb.ExportTraceServiceRequest):
        return []
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def _answer(signal: str, mood: Mood) -> Any:
    said = "no room" if mood.word == "part" else ""
    if signal == "traces":
        answer = trace_pb.ExportTraceServiceResponse()
        if mood.word == "part":
            answer.partial_success.rejected_spans = mood.number
            answer.partial_success.error_message = said
        return answer
    answer = metrics_pb.ExportMetricsServiceResponse()
    if mood.word == "part":
        answer.partial_success.rejected_data_points = mood.number
        answer.partial_success.error_message = said
    return answer


@contextmanager
def http_receiver(tls: Pair | None = None, client: str | None = None, port: int = 0) -> Iterator[Receiver]:
    """A receiver over HTTP; `client` is a file of certificates that clients must have one of."""
    receiver = Receiver("http/protobuf")

    async def take(request: web.Request) -> web.StreamResponse:
        signal = request.path.rpartition("/")[2]
        kind = trace_pb.ExportTraceServiceRequest if signal == "traces" else metrics_pb.ExportMetricsServiceRequest
        body = await request.content.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        assert request.headers["content-type"] == "application/x-protobuf"
        headers = {name.lower(): value for name, value in request.headers.items()}
        mood = receiver.meet(Received(signal, kind.FromString(body), headers))
        if mood.word == "deaf":
            await asyncio.to_thread(receiver.over.wait, 30)
        if mood.word in HTTP_STATUS:
            more = {"retry-after": str(mood.number)} if mood.number else {}
            more |= {"location": receiver.url} if mood.word == "moved" else {}
            body = Status(message=f"I am {mood.word}").SerializeToString()
            return web.Response(status=HTTP_STATUS[mood.word], body=body, headers=more)
        return web.Response(body=_answer(signal, mood).SerializeToString(), content_type="application/x-protobuf")

    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client)
        context.load_cert_chain(*tls)
        context.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    ready: futures.Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = futures.Future()

    async def serve() -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/{signal}", take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, reuse_address=True)
        await site.start()
        stop = asyncio.Event()
        ready.set_result((runner.addresses[0][1], asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="otlp-receiver")
    thread.start()
    bound, loop, stop = ready.result(timeout=10)
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound}"
    try:
        yield receiver
    finally:
        receiver.over.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)
        assert not thread.is_alive()


@contextmanager
def grpc_receiver(tls: Pair | None = None, client: str | None = None, port: int = 0) -> Iterator[Receiver]:
    """A receiver over gRPC; `client` is a file of certificates that clients must have one of."""
    receiver = Receiver("grpc")

    def take(signal: str, message: Any, context: grpc.ServicerContext) -> Any:
        headers = {str(name): str(value) for name, value in context.invocation_metadata()}
        mood = receiver.meet(Received(signal, message, headers))
        if mood.word == "deaf":
            receiver.over.wait(30)
        if mood.word in GRPC_STATUS:
            if mood.number:
                status = Status(code=GRPC_STATUS[mood.word].value[0], message="later")
                detail = AnyMessage()
                detail.Pack(RetryInfo(retry_delay=Duration(seconds=mood.number)))
                status.details.append(detail)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(GRPC_STATUS[mood.word], f"I am {mood.word}")
        return _answer(signal, mood)

    class Traces(trace_rpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the definition's name
            return take("traces", request, context)

    class Metrics(metrics_rpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the definition's name
            return take("metrics", request, context)

    server = grpc.server(futures.ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
    trace_rpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_rpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    address = f"127.0.0.1:{port}"
    if tls:
        pairs = [(Path(tls.key).read_bytes(), Path(tls.cert).read_bytes())]
        roots = Path(client).read_bytes() if client else None
        credentials = grpc.ssl_server_credentials(pairs, roots, require_client_auth=client is not None)
        bound = server.add_secure_port(address, credentials)
    else:
        bound = server.add_insecure_port(address)
    server.start()
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound}"
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.stop(0.1).wait(10)


RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}
"""By protocol."""
