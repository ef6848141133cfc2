"""The life of one call: accept, identify, read, decide, forward, stream, observe, record.

Invariants kept here:
- Recorded once: every call, refused ones too, leaves exactly one record, whatever happens between.
- Transparent: what the app sends the provider gets, what the provider sends the app gets; where a change was made the
  attempt's `changes` name it.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from proxy.call import Call
from proxy.core.coding import Decoder
from proxy.core.errors import ErrorClass
from proxy.core.facts import Dialect, RequestFacts
from proxy.core.headers import read_request_head
from proxy.core.identity import identify
from proxy.core.record import RECORD_VERSION, CallRecord, OpenRecord, TraceIds
from proxy.counting import is_read
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.downgrading import find_downgrade, journey_of
from proxy.downstream.server import ClientRequest, PayloadBroken, without_frames
from proxy.extending import Extender
from proxy.forward import Forwarder
from proxy.gate import Gate
from proxy.ids import new_call_id, new_span_id
from proxy.place import Place, dialect_of
from proxy.replies import Reply, encode
from proxy.request_head import RequestHead
from proxy.routed import RoutedForwarder
from proxy.settings import Settings
from proxy.unified import Unified, Way
from proxy.upstream.errors import UpstreamError
from proxy.upstream.provider import Upstream

if TYPE_CHECKING:
    from policies.decision import Decision
    from policies.downgrade import Downgrade
    from policies.facts import CallFacts
    from proxy.governor import Governor
    from proxy.routing import Routes

_PATH_LIMIT_BYTES = 2048
_ABANDON_S = 1.0
"""What calls that were ended get for writing their records."""
_UNKNOWN_CODING = Reply(
    status=501, code="unsupported_transfer_coding", message="chunked is the only transfer coding of a request body"
)
_JOURNAL_FULL = Reply(
    status=503,
    code="journal_full",
    message="there is no room to record this call, and its operator lets no call pass unrecorded",
    headers=(("Retry-After", "5"),),
)
_REFUSAL_CLASSES: dict[int, ErrorClass] = {
    400: "invalid_request",
    401: "auth",
    404: "model_not_found",
    415: "invalid_request",
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Journal(Protocol):
    """Where records go; the exporters' journal implements it."""

    @property
    def refusing(self) -> bool:
        """Whether there is no room for calls, and they are to be refused therefore."""

    @property
    def full(self) -> str:
        """Why there is no room for calls; empty while there is."""

    def open_call(self, record: OpenRecord) -> bool:
        """A call was admitted; False when that was not written."""

    def close_call(self, record: CallRecord) -> object:
        """A call is over."""

    def lose(self, reason: str) -> None:
        """Something was not recorded or not understood; counted by reason."""


class Refused(Exception):  # noqa: N818 - a refusal is no error of ours
    """Ends the walk of a call before it is forwarded."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.message)
        self.reply = reply


class Handler:
    """Walks calls. One for each worker; it holds what outlives a call."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        journal: Journal,
        settings: Settings,
    ) -> None:
        self.calls: set[Call] = set()
        self.governor: Governor | None = None
        """Asked before a call is forwarded; None where there are no policies."""
        self.gate = Gate()
        """Who may call."""
        self.routes: Routes | None = None
        """Asked where a call may go; None where there are no routes."""
        self.upstreams = upstreams
        self.unified = Unified(upstreams)
        """Finds where requests go; the policies in force are put into its models."""
        self._journal = journal
        self._max_request_bytes = settings.max_request_bytes
        self._too_large = Reply(
            status=413,
            code="body_too_large",
            message=f"the request body is larger than the limit of {settings.max_request_bytes} bytes",
        )
        self._max_captured_bytes = settings.max_captured_bytes
        self._forwarder = Forwarder(journal, settings.max_captured_bytes)
        self._routed = RoutedForwarder(upstreams, journal, settings.max_captured_bytes)
        self.extender = Extender(journal, self.calls)
        self._drained: asyncio.Future[None] | None = None

    @property
    def ways(self) -> "Routes":
        """The routes in force, which may be none."""
        return self.routes or self.unified.bare

    def find_downgrade(self, call: Call, facts: "CallFacts", decision: "Decision") -> "Downgrade | None":
        """What a call asks for instead for a budget's sake; None where it cannot be sent there."""
        return find_downgrade(self, call, facts, decision)

    async def handle(self, request: ClientRequest) -> bool:
        """One request of an app, from its head to its record; gives whether its connection can carry another.

        It never raises for what a call can bring.
        """
        call_id = new_call_id()
        place = request.head.place
        if not isinstance(place, Place):
            found = self.unified.find(request.head)
            if isinstance(found, Reply):
                return self._turn_away(request, call_id, found)
            place = request.head.place = found
        head = RequestHead(place.shared, request.varying)
        call = Call(request, call_id, place)
        call.trace = head.trace(call_id, new_span_id())
        if place.lists_models:
            return self._tell_models(call)
        request.client.flow = call
        self.calls.add(call)
        try:
            return await self._walk_to_the_end(call, head)
        except Exception:  # raised again: whatever it was, it is logged and answered one floor below
            if call.status:
                # A mistake of ours behind the answer: an apology would be taken for the answer to the next request.
                request.client.break_off()
            raise

    async def _walk_to_the_end(self, call: Call, head: RequestHead) -> bool:
        """Answer a call and record it, however it goes; gives whether its connection can carry another."""
        client = call.request.client
        try:
            return await self._walk(call, head)
        except Refused as refused:
            return self._refuse(call, refused.reply)
        except asyncio.CancelledError:
            call.interrupted = True  # nothing but the end of the worker ends the task of a connection
            raise
        finally:
            self.calls.discard(call)
            if self._drained is not None and not self.calls and not self._drained.done():
                self._drained.set_result(None)
            if client.flow is call:
                client.flow = None
            record = call.closed()
            if call.permit is not None and self.governor is not None:
                record = self.governor.settle(call, record)
            self._journal.close_call(record)

    def _turn_away(self, request: ClientRequest, call_id: str, reply: Reply) -> bool:
        """Refuse what names no provider of ours; it is a call all the same, and on the books."""
        body_wanted = request.head.method != "HEAD"
        request.client.send(encode(reply, dialect_of(request.head), call_id, close=True, body_wanted=body_wanted))
        caller = identify(read_request_head(request.head.fields)).caller
        self._journal.close_call(
            CallRecord(
                v=RECORD_VERSION,
                call_id=call_id,
                started_at_ns=time.time_ns(),
                duration_ns=0,
                trace=TraceIds(trace_id=call_id, span_id=new_span_id()),
                caller=caller,
                provider="",
                method=request.head.method,
                path=str(request.head.target.partition(b"?")[0][:_PATH_LIMIT_BYTES], "utf-8", "replace"),
                status=reply.status,
                outcome="refused",
                error_class="invalid_request",
                billable=False,
                reasons=(reply.code,),
            )
        )
        return False

    def _tell_models(self, call: Call) -> bool:
        """Say what the caller may ask for; that is an answer of our own, and on the books."""
        answer = self.unified.models.tell(call, self.gate)
        call.request.client.send(answer)
        record = call.closed()
        self._journal.close_call(record if call.refused else replace(record, outcome="ok", error_class=None))
        return call.request.head.keeps and call.request.body.is_eof()

    def malformed(self, status: int, message: str) -> bytes:
        """The answer to what is not HTTP."""
        self._journal.lose("malformed_request")
        reply = Reply(status=status, code="malformed_request", message=message)
        return encode(reply, OPENAI_CHAT, new_call_id(), close=True)

    def expire(self, now_s: float) -> None:
        """End the exchanges whose time limit has run out."""
        for call in list(self.calls):
            for exchange in (call.exchange, *call.beside):
                if exchange is not None and exchange.deadline_s < now_s:
                    exchange.expire()
        if self.governor is not None:
            self.extender.look(self.governor.ledger)

    async def drain(self, grace_s: float) -> None:
        """Wait for the calls under way; after `grace_s` seconds they are ended."""
        if await self.finished(grace_s):
            return
        for call in list(self.calls):
            for exchange in (call.exchange, *call.beside):
                if exchange is not None:
                    exchange.abandon(
                        UpstreamError("Taximeter was shut down before the answer was complete", phase="shutdown")
                    )
        await self.finished(_ABANDON_S)

    async def finished(self, limit_s: float) -> bool:
        """Wait until no call is under way, for `limit_s` seconds at most; whether there is none."""
        if not self.calls:
            return True
        self._drained = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({self._drained}, timeout=limit_s)
        return bool(done)

    async def _walk(self, call: Call, head: RequestHead) -> bool:
        by_model = call.place.by_model != "no"
        self._pass(call, self.gate.recognise(call) if by_model else self.gate.identify(call))
        body = await self._read(call, head)
        journey = None
        if by_model:
            way = self.unified.choose(call, body or b"", self.routes, self.gate)
            if isinstance(way, Way):
                body, journey = way.body, way.journey
            else:
                self._pass(call, way)
        key = call.provider_key
        call.billing = call.place.billing if key is None else key.billing
        if journey is None and self.routes is not None and body is not None:
            journey = self.routes.journey(call)
        if self.governor is not None:
            admitted = await self.governor.admit(call, body, () if journey is None else journey.places, self)
            if isinstance(admitted, Reply):
                raise Refused(admitted)
            call.permit = admitted
            body = admitted.body or body
            if admitted.downgrade is not None:
                changes = () if journey is None else journey.changes
                journey = journey_of(self, call, admitted.downgrade, changes)
            elif admitted.places is not None and journey is not None:
                journey = journey.within(call, admitted.places)
        if journey is not None and body is not None:
            return await self._routed.forward(call, head, body, journey, self)
        if not self._journal.open_call(call.opened()) and self._journal.refusing:
            raise Refused(_JOURNAL_FULL)
        return await self._forwarder.forward(call, head, body)

    def _pass(self, call: Call, refusal: Reply | None) -> None:
        """Go on where nothing was refused."""
        if refusal is not None:
            call.refusal_class = _REFUSAL_CLASSES.get(refusal.status, "permission")
            raise Refused(refusal)

    async def _read(self, call: Call, head: RequestHead) -> bytes | None:
        """The request body when somebody has to read it; None when it streams through unread."""
        body = call.request.body
        dialect = call.route.dialect
        if head.shared.unknown_transfer:
            # It belongs to this connection, and would have to be undone here.
            raise Refused(_UNKNOWN_CODING)
        unread = dialect is None and not body.is_eof()
        if unread and (self.governor is None or not is_read(call, head, self._max_request_bytes)):
            return None
        data = call.request.whole_body() if body.is_eof() else await self._collect(call, head)
        call.request_bytes = len(data)
        call.body_complete_ns = time.monotonic_ns()
        if dialect is not None and data:
            if len(data) > self._max_request_bytes:
                raise Refused(self._too_large)
            call.learn(self._facts(dialect, head, data))
        return data

    async def _collect(self, call: Call, head: RequestHead) -> bytes:
        declared = head.declared_length
        if declared is not None and declared.isdigit() and int(declared) > self._max_request_bytes:
            raise Refused(self._too_large)
        if head.expects_continue and not call.request.head.http10:
            call.request.client.send(_CONTINUE)
        pieces: list[bytes] = []
        size = 0
        limit_s = call.upstream.settings.idle_timeout_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                while piece := await call.request.body.readany():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._max_request_bytes:
                        raise Refused(self._too_large)
                    limit.reschedule(asyncio.get_running_loop().time() + limit_s)
        except TimeoutError as error:
            message = f"the app sent no more of its request body for {limit_s:g} s"
            raise Refused(Reply(status=408, code="request_timeout", message=message)) from error
        except (OSError, RuntimeError) as error:
            call.client_gone = True
            reply = Reply(status=400, code="client_gone", message="the app left in mid-request")
            raise Refused(reply) from without_frames(error)
        except PayloadBroken as error:
            reply = Reply(status=400, code="malformed_request", message="the framing of the request body is malformed")
            raise Refused(reply) from without_frames(error)
        return b"".join(pieces)

    def _facts(self, dialect: Dialect, head: RequestHead, data: bytes) -> RequestFacts:
        coding = head.shared.content_encoding
        if coding:
            decoder = Decoder(coding, self._max_captured_bytes, self._max_captured_bytes)
            data = decoder.feed(data) + decoder.finish()
            if decoder.failed:
                self._journal.lose(f"request_{decoder.failed}")
                return RequestFacts(unread=decoder.failed)
        facts = dialect.read_request(data)
        if facts.unread:
            self._journal.lose(f"request_{facts.unread}")
        return facts

    def _refuse(self, call: Call, reply: Reply) -> bool:
        if call.client_gone:
            return False  # nobody hears it: the call was cancelled, not refused
        call.refused = reply.code
        call.status = reply.status
        call.reasons.append(reply.code)
        request = call.request
        close = not request.head.keeps or not request.body.is_eof()
        request.client.send(
            encode(reply, call.route.error_dialect, call.call_id, close=close, body_wanted=call.method != "HEAD")
        )
        return not close
