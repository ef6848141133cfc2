"""What can be read from a call: facts of the request before it is sent, facts of the answer as it passes."""

from typing import Literal, Protocol

import msgspec

from proxy.core.errors import ErrorSeen
from proxy.core.money import Money
from proxy.core.usage import NO_USAGE, Usage

FinishClass = Literal["stop", "length", "tool", "content_filter", "refusal", "pause", "error"]
StreamEnd = Literal["done_marker", "message_stop", "eof", "error", "truncated"]


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the app asked for. Everything is optional: a body that cannot be read has no facts and still passes."""

    model: str | None = None
    streaming: bool = False
    include_usage: bool | None = None
    """OpenAI `stream_options.include_usage` as the app sent it; None when it sent none."""
    has_stream_options: bool = False
    max_output_tokens: int | None = None
    choices: int | None = None
    service_tier: str | None = None
    unread: str | None = None
    """Why the body could not be read (`not_json`, `too_large`, `encoding` ...); None when it was."""


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an answer as far as a reader needs it. Header values are decoded as latin-1."""

    status: int
    content_type: str
    """Lower case, without parameters, e.g. `text/event-stream`."""
    content_encoding: str = ""
    """Lower case; a reader gets bytes that are already decoded."""


class ResponseFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the answer says of itself."""

    model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    usage: Usage = NO_USAGE
    finish_reason: str | None = None
    finish_class: FinishClass | None = None
    error: ErrorSeen | None = None
    stream_end: StreamEnd | None = None
    """How a stream ended; None for whole bodies."""
    provider_cost: Money | None = None
    unread: str | None = None
    """Why reading gave up (`event_too_long`, `body_too_large`, `bad_coding` ...); None when all was read."""


class Reader(Protocol):
    """Reads one answer. Pushed with decoded bytes, never raises, gives the same facts however the bytes are cut."""

    saw_content: bool
    """Whether the first piece of content (text, reasoning, tool call) has come by; drives the time to first token."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""

    def finish(self, *, clean: bool) -> ResponseFacts:
        """End of the body; `clean` is False when the connection broke. Call it once."""


class Dialect(Protocol):
    """One wire format: how to read a request and an answer of it, and how to word an error of ours in it."""

    name: str
    """Stable name on the rows: `openai.chat`, `anthropic.messages`, `minimax.native`."""

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises."""

    def reader(self, head: AnswerHead) -> Reader:
        """A fresh reader for one answer."""

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """An error of the proxy in this dialect's envelope, so that its SDKs parse it."""
