"""Gemini's own API: `generateContent` and `streamGenerateContent`.

What:
    Requests and answers, whole, as server-sent events (`alt=sse`, CRLF line ends) and as a JSON array that is streamed.
    Usage stands in every chunk and is cumulative: the last one counts, even where a figure became smaller. Thinking is
    billed output beside the candidates, prompts of tools are billed input. The model and whether the answer is a
    stream stand in the path, not in the body.

Config:
    None. The provider decides on which paths this dialect is spoken.

Example:
    `{"promptTokenCount":107,"candidatesTokenCount":23,"thoughtsTokenCount":123}` reads as 107 input and 146 output
    tokens, 123 of them reasoning.

Source:
    The provider fact sheet, section 4; type definitions of google-genai 3.4.
"""

from typing import Any

import msgspec

from proxy.core.answer import MAX_BODY_BYTES, AnswerReader
from proxy.core.facts import AnswerHead, FinishClass, RequestFacts
from proxy.core.finish import finish_class_of
from proxy.core.own_error import own_words
from proxy.core.usage import NO_USAGE, Usage
from proxy.core.wanted import Tokens, Wanted, first_stated, json_value, overlay


class _GenerationConfig(msgspec.Struct, rename="camel", gc=False):
    """Google takes the names of its messages in camel case and in snake case."""

    max_output_tokens: Tokens | None = None
    candidate_count: Tokens | None = None
    snake_max_output_tokens: Tokens | None = msgspec.field(default=None, name="max_output_tokens")
    snake_candidate_count: Tokens | None = msgspec.field(default=None, name="candidate_count")


class _Request(msgspec.Struct, rename="camel", gc=False):
    generation_config: _GenerationConfig | None = None
    snake_generation_config: _GenerationConfig | None = msgspec.field(default=None, name="generation_config")
    service_tier: str | None = None
    snake_service_tier: str | None = msgspec.field(default=None, name="service_tier")


class _Anything(msgspec.Struct, gc=False):
    """An object that only has to be there; nothing of it is kept."""


class _Part(msgspec.Struct, rename="camel", gc=False):
    text: str | None = None
    function_call: _Anything | None = None
    inline_data: _Anything | None = None
    executable_code: _Anything | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    index: Tokens | None = None
    content: _Content | None = None
    finish_reason: str | None = None


class _Modality(msgspec.Struct, rename="camel", gc=False):
    modality: str | None = None
    token_count: Tokens | None = None


class _Usage(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: Tokens | None = None
    cached_content_token_count: Tokens | None = None
    candidates_token_count: Tokens | None = None
    thoughts_token_count: Tokens | None = None
    tool_use_prompt_token_count: Tokens | None = None
    total_token_count: Tokens | None = None
    prompt_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None
    service_tier: str | None = None
    traffic_type: str | None = None


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel", gc=False):
    response_id: str | None = None
    model_version: str | None = None
    candidates: list[_Candidate] | None = None
    usage_metadata: _Usage | None = None
    prompt_feedback: _Feedback | None = None
    error: Any = None


_REQUEST = Wanted(_Request)
_ANSWER = Wanted(_Answer)

_UNSPECIFIED = {"FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"}

_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    504: "DEADLINE_EXCEEDED",
}
"""Google's names for HTTP statuses; other 5xx are `UNAVAILABLE`, other 4xx `INVALID_ARGUMENT`."""


class GenerateReader(AnswerReader):
    """Reads an answer, whole or streamed in either way."""

    __slots__ = ("_blocked", "_calls", "_usage")

    def __init__(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(head, max_bytes)
        self._usage: _Usage | None = None
        self._calls = False
        self._blocked = False

    def take(self, data: bytes) -> bool:
        """Read a whole answer, or one chunk of a stream."""
        answer = _ANSWER.read(data)
        if answer is None:
            return False
        if answer.response_id and self.response_id is None:
            self.response_id = answer.response_id
        if answer.model_version:
            self.model = answer.model_version
        for position, candidate in enumerate(answer.candidates or ()):
            self._take_candidate(candidate, position)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._blocked = True
            self.finish_reason = feedback.block_reason
        if answer.usage_metadata is not None:
            self._take_usage(answer.usage_metadata)
        if answer.error:
            self.note_error(json_value(data) or {"error": answer.error})
        return True

    def usage(self) -> Usage:
        """The figures of the last chunk that had any."""
        seen = self._usage
        if seen is None:
            return NO_USAGE
        prompt, tools = seen.prompt_token_count, seen.tool_use_prompt_token_count
        input_tokens = None if prompt is None else prompt + (tools or 0)
        output_tokens = _output_tokens(seen, input_tokens)
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_input_tokens=seen.cached_content_token_count,
            reasoning_tokens=seen.thoughts_token_count,
            audio_input_tokens=_of_audio(seen.prompt_tokens_details),
            audio_output_tokens=_of_audio(seen.candidates_tokens_details),
            total_tokens=seen.total_token_count,
            source="provider",
            origin="response.usage" if self.whole else "stream.last_usageMetadata",
            complete=(self.whole or self.stream_end in {"eof", "done_marker"})
            and input_tokens is not None
            and output_tokens is not None,
        )

    def finish_class(self) -> FinishClass | None:
        """The class of candidate 0's finish; `STOP` is also said when a function has to be called."""
        if self._blocked:
            return "content_filter"
        found = finish_class_of(self.finish_reason)
        return "tool" if self._calls and found == "stop" else found

    def _take_candidate(self, candidate: _Candidate, position: int) -> None:
        parts = (candidate.content and candidate.content.parts) or ()
        if not self.saw_content:
            self.saw_content = any(
                part.text or part.function_call or part.inline_data or part.executable_code for part in parts
            )
        if (position if candidate.index is None else candidate.index) != 0:
            return
        self._calls = self._calls or any(part.function_call for part in parts)
        if candidate.finish_reason and candidate.finish_reason not in _UNSPECIFIED:
            self.finish_reason = candidate.finish_reason

    def _take_usage(self, usage: _Usage) -> None:
        tier = usage.service_tier or usage.traffic_type
        if tier:
            self.service_tier = tier
        if (
            usage.prompt_token_count
            or usage.candidates_token_count
            or usage.thoughts_token_count
            or usage.total_token_count
        ):
            self._usage = overlay(self._usage, usage)


class GeminiGenerate:
    """The dialect `gemini.generate`."""

    name = "gemini.generate"

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises. The path tells the model and whether it streams."""
        request = _REQUEST.read(body)
        if request is None:
            return RequestFacts(unread="not_json" if body.strip() else "empty")
        config = request.generation_config or request.snake_generation_config or _GenerationConfig()
        return RequestFacts(
            max_output_tokens=first_stated(config.max_output_tokens, config.snake_max_output_tokens),
            choices=first_stated(config.candidate_count, config.snake_candidate_count),
            service_tier=request.service_tier or request.snake_service_tier or None,
        )

    def reader(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> GenerateReader:
        """A fresh reader for one answer; a whole body longer than `max_bytes` is given up."""
        return GenerateReader(head, max_bytes)

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """Google's envelope, with our code and the call's id in an `ErrorInfo` as Google places its own reasons."""
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": code.upper(),
            "domain": "taximeter",
            "metadata": {"call_id": call_id},
        }
        name = _STATUSES.get(status, "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT")
        error = {"code": status, "message": own_words(message), "status": name, "details": [info]}
        return msgspec.json.encode({"error": error})


GEMINI_GENERATE = GeminiGenerate()


def _output_tokens(usage: _Usage, input_tokens: int | None) -> int | None:
    """Candidates and thinking; where neither is stated, what the total leaves."""
    candidates, thoughts = usage.candidates_token_count, usage.thoughts_token_count
    if candidates is not None or thoughts is not None:
        return (candidates or 0) + (thoughts or 0)
    if usage.total_token_count is None or input_tokens is None:
        return None
    return max(0, usage.total_token_count - input_tokens)


def _of_audio(details: list[_Modality] | None) -> int | None:
    counts = [entry.token_count for entry in details or () if entry.modality == "AUDIO"]
    return first_stated(*counts)
