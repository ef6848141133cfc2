"""What OpenAI-shaped chat bodies have in common, whoever sends them: the request, the answer, the stream.

Rules for usage: the last object with real figures wins, field by field; an object whose token figures are all zero is a
placeholder and no measurement; figures of two frames are never added. A last frame that repeats the whole message is
read for its usage and its finish only. Choice 0 decides the finish.

Source: MiniMax sections 3, 4 and 9; the provider fact sheets, sections 0, 1 and 3 to 8.
"""

from decimal import Decimal
from typing import Any

import msgspec

from proxy.core.answer import MAX_BODY_BYTES, AnswerReader
from proxy.core.error_body import is_failure
from proxy.core.facts import AnswerHead, FinishClass, RequestFacts
from proxy.core.finish import finish_class_of
from proxy.core.usage import NO_USAGE, Usage
from proxy.core.wanted import Tokens, Wanted, first_stated, json_value, overlay


class _ChatRequest(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: Any = msgspec.UNSET
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    tokens_to_generate: Tokens | None = None
    n: Tokens | None = None
    service_tier: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Tokens | None = None


class _ChatUsage(msgspec.Struct, gc=False):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Tokens | None = None
    prompt_cache_miss_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    server_tool_use_details: _ServerTools | None = None
    cost: Decimal | None = None
    cost_usd_total: Decimal | None = None


class _XGroq(msgspec.Struct, gc=False):
    usage: _ChatUsage | None = None


class _Anything(msgspec.Struct, gc=False):
    """An object that only has to be there; nothing of it is kept."""


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking: Any = None
    tool_calls: list[_Anything] | None = None
    function_call: _Anything | None = None
    audio: _Anything | None = None
    audio_content: str | None = None

    def has_content(self) -> bool:
        """Whether there is any text, reasoning, tool call, refusal or sound in it."""
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.tool_calls
            or self.function_call
            or self.thinking
            or self.audio
            or self.audio_content
            or (self.reasoning_details and _has_text(self.reasoning_details))
        )


class _Choice(msgspec.Struct, gc=False):
    index: Tokens | None = None
    finish_reason: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    messages: list[_Message] | None = None
    text: str | None = None
    usage: _ChatUsage | None = None
    error: Any = None


class _Chat(msgspec.Struct, gc=False):
    id: str | None = None
    object: str | None = None
    model: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    usage: _ChatUsage | None = None
    x_groq: _XGroq | None = None
    error: Any = None
    base_resp: Any = None


_REQUEST = Wanted(_ChatRequest)
_CHAT = Wanted(_Chat)


def read_chat_request(body: bytes) -> RequestFacts:
    """Facts of a chat request, MiniMax's own names included; never raises."""
    request = _REQUEST.read(body)
    if request is None:
        return RequestFacts(unread="not_json" if body.strip() else "empty")
    options = request.stream_options
    include_usage = options.get("include_usage") if isinstance(options, dict) else None
    return RequestFacts(
        model=request.model or None,
        streaming=bool(request.stream),
        include_usage=include_usage if isinstance(include_usage, bool) else None,
        has_stream_options=options is not msgspec.UNSET,
        max_output_tokens=first_stated(request.max_completion_tokens, request.max_tokens, request.tokens_to_generate),
        choices=request.n,
        service_tier=request.service_tier or None,
    )


class ChatReader(AnswerReader):
    """Reads a chat answer, whole or streamed."""

    __slots__ = ("_origin", "_refused", "_usage", "_usage_is_final")

    def __init__(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(head, max_bytes)
        self._usage: _ChatUsage | None = None
        self._origin = ""
        self._usage_is_final = False
        self._refused = False

    def take(self, data: bytes) -> bool:
        """Read a whole body, or one chunk of a stream."""
        chat = _CHAT.read(data)
        if chat is None:
            return False
        if chat.id and self.response_id is None:
            self.response_id = chat.id
        if chat.model:
            self.model = chat.model
        if chat.service_tier:
            self.service_tier = chat.service_tier
        if chat.choices:
            for position, choice in enumerate(chat.choices):
                self._take_choice(choice, position)
        if chat.error or (chat.base_resp is not None and is_failure(chat.base_resp)):
            self.note_error(json_value(data) or {"error": chat.error, "base_resp": chat.base_resp})
        usage = chat.usage or _usage_elsewhere(chat)
        if usage is not None:
            self._take_usage(usage, chat)
        return True

    def usage(self) -> Usage:
        """The figures of the last objects that had any."""
        seen = self._usage
        if seen is None:
            return NO_USAGE
        inputs = seen.prompt_tokens_details or _InputDetails()
        outputs = seen.completion_tokens_details or _OutputDetails()
        hit, miss = seen.prompt_cache_hit_tokens, seen.prompt_cache_miss_tokens
        input_tokens = seen.prompt_tokens
        if input_tokens is None and hit is not None and miss is not None:
            input_tokens = hit + miss
        searches = seen.server_tool_use_details and seen.server_tool_use_details.web_search_requests
        settled = self.whole or self._usage_is_final or self.stream_end in {"done_marker", "eof"}
        return Usage(
            input_tokens=input_tokens,
            output_tokens=seen.completion_tokens,
            cached_input_tokens=first_stated(inputs.cached_tokens, hit, seen.cached_tokens),
            cache_write_tokens=inputs.cache_write_tokens,
            reasoning_tokens=outputs.reasoning_tokens,
            audio_input_tokens=inputs.audio_tokens,
            audio_output_tokens=outputs.audio_tokens,
            total_tokens=seen.total_tokens,
            units={"web_search_requests": Decimal(searches)} if searches else {},
            source="provider",
            origin=self._origin,
            complete=settled and input_tokens is not None and seen.completion_tokens is not None,
        )

    def finish_class(self) -> FinishClass | None:
        """The class of choice 0's finish; a refusal is stated beside a plain `stop`."""
        found = finish_class_of(self.finish_reason)
        return "refusal" if self._refused and found == "stop" else found

    def _take_choice(self, choice: _Choice, position: int) -> None:
        message = choice.delta or choice.message
        if not self.saw_content:
            self.saw_content = (
                bool(choice.text)
                or (message is not None and message.has_content())
                or (choice.messages is not None and any(part.has_content() for part in choice.messages))
            )
        if choice.error:
            self.note_error({"error": choice.error})
        if (position if choice.index is None else choice.index) != 0:
            return
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        if message is not None and message.refusal:
            self._refused = True

    def _take_usage(self, usage: _ChatUsage, chat: _Chat) -> None:
        if usage.cost is not None or usage.cost_usd_total is not None:
            self.note_cost(usage.cost, usage.cost_usd_total)
        if not _is_measured(usage):
            return
        self._usage = overlay(self._usage, usage)
        self._origin = "response.usage" if self.whole else _place(chat)
        self._usage_is_final = self._origin != "stream.chunk" or self.finish_reason is not None


def _usage_elsewhere(chat: _Chat) -> _ChatUsage | None:
    """The usage object of Groq or of Moonshot, which do not put it at the top."""
    if chat.x_groq is not None:
        return chat.x_groq.usage
    return chat.choices[0].usage if chat.choices else None


def _is_measured(usage: _ChatUsage) -> bool:
    return bool(
        usage.prompt_tokens
        or usage.completion_tokens
        or usage.total_tokens
        or usage.prompt_cache_hit_tokens
        or usage.prompt_cache_miss_tokens
    )


def _place(chat: _Chat) -> str:
    """Where in a stream a usage object stood."""
    if chat.error:
        return "stream.error_chunk"
    if chat.object == "chat.completion":
        return "stream.final_frame"
    if not chat.choices:
        return "stream.usage_chunk"
    return "stream.finish_chunk" if chat.choices[0].finish_reason else "stream.chunk"


def _has_text(details: object) -> bool:
    """Whether any entry of `reasoning_details` says something."""
    if not isinstance(details, list):
        return True
    return any(
        isinstance(entry, dict) and (entry.get("text") or entry.get("summary") or entry.get("data"))
        for entry in details
    )
