"""Anthropic messages, and the servers that speak them (MiniMax, DeepSeek, OpenRouter, LLM.API).

What:
    Requests and answers of `POST /v1/messages`, whole and streamed. Its usage is additive: uncached, cached and written
    tokens are disjoint. In a stream `message_start` is provisional: each field that a `message_delta` states replaces
    the earlier one, it is never added and the larger one does not win. Where `iterations` are stated they are what is
    billed: those of the answering model make up the figures, those of further models become `Usage.parts`.

Config:
    None. The provider decides on which paths this dialect is spoken.

Example:
    A start of `{"input_tokens":0,"cache_read_input_tokens":1366}` and a delta of `{"input_tokens":1252,
    "output_tokens":213,"cache_read_input_tokens":114}` read as 1366 input tokens, 114 of them cached, and 213 output.

Source:
    The provider fact sheet, section 2; MiniMax section 5; type definitions of anthropic 2.13.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from proxy.core.answer import MAX_BODY_BYTES, AnswerReader
from proxy.core.error_body import is_failure
from proxy.core.facts import AnswerHead, FinishClass, RequestFacts
from proxy.core.finish import finish_class_of
from proxy.core.own_error import own_words
from proxy.core.usage import NO_USAGE, Usage, UsagePart
from proxy.core.wanted import Tokens, Wanted, first_stated, json_value, overlay


class _Request(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    max_tokens: Tokens | None = None
    service_tier: str | None = None


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Tokens | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Tokens | None = None
    web_fetch_requests: Tokens | None = None


class _Iteration(msgspec.Struct, gc=False):
    type: str | None = None
    model: str | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: _CacheCreation | None = None


class _Usage(_Iteration, gc=False):
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    iterations: list[_Iteration] | None = None
    cost: Decimal | None = None
    cost_usd_total: Decimal | None = None


class _Block(msgspec.Struct, gc=False):
    """A content block, or a delta of one: whichever of its texts is there makes it content."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    data: str | None = None
    stop_reason: str | None = None

    def has_content(self) -> bool:
        """Whether it holds text, reasoning or a tool call; an empty text block that only opens does not."""
        kind = self.type or ""
        return bool(self.text or self.thinking or self.partial_json or self.data) or kind.endswith("tool_use")


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    stop_reason: str | None = None
    content: list[_Block] | None = None
    usage: _Usage | None = None


class _Answer(_Message, gc=False):
    """A whole message or an event of a stream."""

    type: str | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Block | None = None
    error: Any = None
    base_resp: Any = None


_REQUEST = Wanted(_Request)
_ANSWER = Wanted(_Answer)

_DELTA = b'{"type":"content_block_delta"'
"""How nearly every event of a stream begins; once content was seen there is nothing more to learn from it."""

_NOTHING_USED = _Iteration(input_tokens=0, output_tokens=0)
_DATE = re.compile(r"-\d{8}")

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class MessagesReader(AnswerReader):
    """Reads a message, whole or streamed."""

    __slots__ = ("_delta_seen", "_usage")

    def __init__(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(head, max_bytes)
        self._usage: _Usage | None = None
        self._delta_seen = False

    def take(self, data: bytes) -> bool:
        """Read a whole message, or one event of a stream."""
        if self.saw_content and data.startswith(_DELTA):
            return True
        answer = _ANSWER.read(data)
        if answer is None:
            return False
        self._take_message(answer)
        if answer.message is not None:
            self._take_message(answer.message)
        for block in (answer.content_block, answer.delta):
            if block is not None:
                self.saw_content = self.saw_content or block.has_content()
                self.finish_reason = block.stop_reason or self.finish_reason
        if answer.usage is not None and answer.type == "message_delta":
            self._delta_seen = True
        if answer.type == "message_stop":
            self.ended = "message_stop"
        if answer.error or answer.type == "error" or is_failure(answer.base_resp):
            self.note_error(json_value(data) or {"error": answer.error, "base_resp": answer.base_resp})
        return True

    def usage(self) -> Usage:
        """The figures of the last frames that stated them; of all iterations where there are any."""
        seen = self._usage
        if seen is None or not _is_measured(seen):
            return NO_USAGE
        tools = seen.server_tool_use or _ServerTools()
        counts = {"web_search_requests": tools.web_search_requests, "web_fetch_requests": tools.web_fetch_requests}
        complete = self._delta_seen or self.whole
        origin = "stream.message_delta" if self._delta_seen else "stream.message_start"
        details = seen.output_tokens_details
        own, further = self._split(seen)
        figures = _figures(own)
        return msgspec.structs.replace(
            figures,
            reasoning_tokens=details and details.thinking_tokens,
            units={name: Decimal(count) for name, count in counts.items() if count},
            origin="response.usage" if self.whole else origin,
            complete=complete and figures.input_tokens is not None and figures.output_tokens is not None,
            parts=tuple(
                UsagePart(kind=part.type or "iteration", model=part.model, usage=_figures([part])) for part in further
            ),
        )

    def finish_class(self) -> FinishClass | None:
        """The class of the stop reason."""
        return finish_class_of(self.finish_reason)

    def _take_message(self, message: _Message) -> None:
        if message.id and self.response_id is None:
            self.response_id = message.id
        if message.model:
            self.model = message.model
        if message.service_tier:
            self.service_tier = message.service_tier
        if message.stop_reason:
            self.finish_reason = message.stop_reason
        if message.content and not self.saw_content:
            self.saw_content = any(block.has_content() for block in message.content)
        usage = message.usage
        if usage is None:
            return
        if usage.service_tier:
            self.service_tier = usage.service_tier
        self.note_cost(usage.cost, usage.cost_usd_total)
        if _is_measured(usage):
            self._usage = overlay(self._usage, usage)

    def _split(self, usage: _Usage) -> tuple[list[_Iteration], list[_Iteration]]:
        """What the answering model used, and what further models did."""
        iterations = [iteration for iteration in usage.iterations or () if _is_measured(iteration)]
        if not iterations:
            return [usage], []
        own = [iteration for iteration in iterations if _is_same_model(iteration.model, self.model)]
        further = [iteration for iteration in iterations if not _is_same_model(iteration.model, self.model)]
        return own or [_NOTHING_USED], further


class AnthropicMessages:
    """The dialect `anthropic.messages`."""

    name = "anthropic.messages"

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises."""
        request = _REQUEST.read(body)
        if request is None:
            return RequestFacts(unread="not_json" if body.strip() else "empty")
        return RequestFacts(
            model=request.model or None,
            streaming=bool(request.stream),
            max_output_tokens=request.max_tokens,
            service_tier=request.service_tier or None,
        )

    def reader(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> MessagesReader:
        """A fresh reader for one answer; a whole body longer than `max_bytes` is given up."""
        return MessagesReader(head, max_bytes)

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """Anthropic's envelope. It has no place for a code of ours, so the message holds it."""
        kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"type": kind, "message": f"{own_words(message)} ({code})"}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": call_id})


ANTHROPIC_MESSAGES = AnthropicMessages()


def _is_same_model(model: str | None, answering: str | None) -> bool:
    """Whether an iteration is of the answering model: it names none, or the same one with or without its date."""
    return model is None or answering is None or _DATE.sub("", model) == _DATE.sub("", answering)


def _is_measured(usage: _Iteration) -> bool:
    return bool(
        usage.input_tokens
        or usage.output_tokens
        or usage.cache_creation_input_tokens
        or usage.cache_read_input_tokens
        or (isinstance(usage, _Usage) and usage.iterations)
    )


def _figures(iterations: list[_Iteration]) -> Usage:
    """The sum of iterations in the normal form, where input holds cached and written tokens too."""
    uncached = _sum(iteration.input_tokens for iteration in iterations)
    cached = _sum(iteration.cache_read_input_tokens for iteration in iterations)
    written = _sum(_written(iteration) for iteration in iterations)
    splits = [iteration.cache_creation or _CacheCreation() for iteration in iterations]
    write_5m = _sum(split.ephemeral_5m_input_tokens for split in splits)
    write_1h = _sum(split.ephemeral_1h_input_tokens for split in splits)
    if (write_5m or 0) + (write_1h or 0) != (written or 0):
        write_5m = write_1h = None  # a revised sum came without its split
    return Usage(
        input_tokens=None if uncached is None else uncached + (cached or 0) + (written or 0),
        output_tokens=_sum(iteration.output_tokens for iteration in iterations),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
        source="provider",
        complete=True,
    )


def _written(usage: _Iteration) -> int | None:
    split = usage.cache_creation or _CacheCreation()
    return first_stated(
        usage.cache_creation_input_tokens,
        _sum([split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens]),
    )


def _sum(figures: Iterable[int | None]) -> int | None:
    """The sum of what is stated; None when nothing is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
