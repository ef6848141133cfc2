"""OpenAI responses, and the servers that speak them (MiniMax, OpenRouter, LLM.API, DeepSeek).

What:
    Requests and answers of `POST /v1/responses`, whole and streamed. The usage stands in the response object, in a
    stream in that of the last event (`response.completed`, `.incomplete` or `.failed`); the objects of earlier events
    have none. A response that runs in the background has none yet.

Config:
    None. The provider decides on which paths this dialect is spoken.

Example:
    `response.incomplete` with `incomplete_details.reason` `max_output_tokens` reads as the finish reason
    `incomplete:max_output_tokens` of class `length`.

Source:
    The provider fact sheet, section 1; MiniMax section 6; type definitions of openai 3.57.
"""

from decimal import Decimal
from typing import Any

import msgspec

from proxy.core.answer import MAX_BODY_BYTES, AnswerReader
from proxy.core.error_body import is_failure
from proxy.core.facts import AnswerHead, FinishClass, RequestFacts
from proxy.core.finish import finish_class_of
from proxy.core.own_error import openai_error_body
from proxy.core.usage import NO_USAGE, Usage
from proxy.core.wanted import Tokens, Wanted, json_value, overlay


class _Request(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    max_output_tokens: Tokens | None = None
    service_tier: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Tokens | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    cost: Decimal | None = None
    cost_usd_total: Decimal | None = None


class _WebSearch(msgspec.Struct, gc=False):
    num_requests: Tokens | None = None


class _ToolUsage(msgspec.Struct, gc=False):
    web_search: _WebSearch | None = None


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None

    def has_content(self) -> bool:
        """Whether it says anything."""
        return bool(self.text or self.refusal)


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    content: list[_Part] | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    service_tier: str | None = None
    incomplete_details: _Incomplete | None = None
    output: list[_Item] | None = None
    usage: _Usage | None = None
    tool_usage: _ToolUsage | None = None
    error: Any = None
    base_resp: Any = None


class _Event(_Response, gc=False):
    """A whole response, or an event of a stream."""

    type: str | None = None
    response: _Response | None = None
    item: _Item | None = None
    delta: Any = None


_REQUEST = Wanted(_Request)
_EVENT = Wanted(_Event)

_TERMINAL = {"completed", "incomplete", "failed", "cancelled"}
"""States of a response in which its usage is final."""

_DELTAS = (
    b'{"type":"response.output_text.delta"',
    b'{"type":"response.function_call_arguments.delta"',
    b'{"type":"response.reasoning_summary_text.delta"',
    b'{"type":"response.reasoning_text.delta"',
)
"""How nearly every event of a stream begins; once content was seen there is nothing more to learn from it."""

_CALLS = {"function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call"}
"""Output items that wait for the app to do something."""


class ResponsesReader(AnswerReader):
    """Reads a response, whole or streamed."""

    __slots__ = ("_calls", "_refused", "_searches", "_status", "_usage")

    def __init__(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(head, max_bytes)
        self._usage: _Usage | None = None
        self._status: str | None = None
        self._searches: int | None = None
        self._calls = False
        self._refused = False

    def take(self, data: bytes) -> bool:
        """Read a whole response, or one event of a stream."""
        if self.saw_content and data.startswith(_DELTAS):
            return True
        event = _EVENT.read(data)
        if event is None:
            return False
        kind = event.type or ""
        if event.delta and kind.endswith(".delta"):
            self.saw_content = True
            self._refused = self._refused or kind == "response.refusal.delta"
        if event.item is not None:
            self._take_item(event.item)
        if kind == "error" or event.error or is_failure(event.base_resp):
            self.note_error(json_value(data))
        if event.response is not None:
            self._take_response(event.response)
        elif not kind:
            self._take_response(event)
        return True

    def usage(self) -> Usage:
        """The figures of the last response object that had any."""
        seen = self._usage
        if seen is None:
            return NO_USAGE
        inputs = seen.input_tokens_details or _InputDetails()
        outputs = seen.output_tokens_details or _OutputDetails()
        known = seen.input_tokens is not None and seen.output_tokens is not None
        return Usage(
            input_tokens=seen.input_tokens,
            output_tokens=seen.output_tokens,
            cached_input_tokens=inputs.cached_tokens,
            cache_write_tokens=inputs.cache_write_tokens,
            reasoning_tokens=outputs.reasoning_tokens,
            total_tokens=seen.total_tokens,
            units={"web_search_requests": Decimal(self._searches)} if self._searches else {},
            source="provider",
            origin="response.usage" if self.whole else f"stream.response_{self._status}",
            complete=known and (self._status is None or self._status in _TERMINAL),
        )

    def finish_class(self) -> FinishClass | None:
        """The class of the final status; a completed response that calls a function waits for its result."""
        reason = self.finish_reason or ""
        found = finish_class_of(reason.removeprefix("incomplete:"))
        if found != "stop":
            return found
        return "refusal" if self._refused else "tool" if self._calls else "stop"

    def _take_response(self, response: _Response) -> None:
        if response.id and self.response_id is None:
            self.response_id = response.id
        if response.model:
            self.model = response.model
        if response.service_tier:
            self.service_tier = response.service_tier
        if response.status:
            self._status = response.status
        if response.status in _TERMINAL:
            reason = response.incomplete_details and response.incomplete_details.reason
            self.finish_reason = f"{response.status}:{reason}" if reason else response.status
            self.ended = "eof"
        if response.error or response.status == "failed":
            self.note_error({"error": response.error or True})
        for item in response.output or ():
            self._take_item(item)
        searches = [item for item in response.output or () if item.type == "web_search_call"]
        billed = response.tool_usage and response.tool_usage.web_search
        if billed:
            self._searches = billed.num_requests
        elif searches:
            self._searches = len(searches)
        usage = response.usage
        if usage is None:
            return
        self.note_cost(usage.cost, usage.cost_usd_total)
        if usage.input_tokens or usage.output_tokens or usage.total_tokens:
            self._usage = overlay(self._usage, usage)

    def _take_item(self, item: _Item) -> None:
        kind = item.type or ""
        parts = item.content or ()
        self._refused = self._refused or any(part.type == "refusal" for part in parts)
        self._calls = self._calls or kind in _CALLS
        self.saw_content = self.saw_content or kind.endswith("_call") or any(part.has_content() for part in parts)


class OpenAIResponses:
    """The dialect `openai.responses`."""

    name = "openai.responses"

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises."""
        request = _REQUEST.read(body)
        if request is None:
            return RequestFacts(unread="not_json" if body.strip() else "empty")
        return RequestFacts(
            model=request.model or None,
            streaming=bool(request.stream),
            max_output_tokens=request.max_output_tokens,
            service_tier=request.service_tier or None,
        )

    def reader(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> ResponsesReader:
        """A fresh reader for one answer; a whole body longer than `max_bytes` is given up."""
        return ResponsesReader(head, max_bytes)

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """OpenAI's envelope. The SDKs take `message`, `type`, `param` and `code` from it."""
        return openai_error_body(status, code, message, call_id)


OPENAI_RESPONSES = OpenAIResponses()
