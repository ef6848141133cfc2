"""The closed set of error classes, and what each means for a retry, a fallback and the blame.

Source: the provider fact sheets, section 9 (error classes) and MiniMax section 9.
"""

from typing import Literal

import msgspec

ErrorClass = Literal[
    "auth",
    "permission",
    "billing",
    "quota_exhausted",
    "rate_limit",
    "overloaded",
    "timeout",
    "server_error",
    "connect_error",
    "bad_upstream_body",
    "stream_truncated",
    "context_length",
    "model_not_found",
    "invalid_request",
    "request_too_large",
    "content_filter",
    "cancelled_by_client",
    "unknown",
]
Fault = Literal["client", "account", "content", "provider"]
Answer = Literal["yes", "no", "policy"]


class ErrorSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error exactly as the provider stated it, before anybody judges it."""

    status: int
    """HTTP status of the answer that carried the error; 200 for an error inside a good answer or a stream."""
    code: str | None = None
    """The provider's own code as text: MiniMax `base_resp.status_code`, OpenAI `error.code` ..."""
    type: str | None = None
    message: str | None = None
    detail: str | None = None
    """Further words of the provider that only the judgement needs, never recorded: Gemini's `details[].reason` and
    `quotaId`, OpenRouter's `metadata.raw`, Azure's `innererror.code`."""
    in_stream: bool = False
    """True when it came after the head of a stream had been sent: nothing can be retried then."""


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error with its judgement: the class decides what may be done, the fault says whose turn it is."""

    error_class: ErrorClass
    code: str | None = None
    type: str | None = None
    message: str | None = None
    retry_same: Answer = "no"
    fallback: Answer = "no"
    fault: Fault = "provider"


class Remedy(msgspec.Struct, frozen=True):
    """What an error class allows: retry at the same target, fall back to another, and whose fault it is."""

    retry_same: Answer
    fallback: Answer
    fault: Fault


REMEDIES: dict[ErrorClass, Remedy] = {
    "auth": Remedy("no", "yes", "account"),
    "permission": Remedy("no", "yes", "account"),
    "billing": Remedy("no", "yes", "account"),
    "quota_exhausted": Remedy("no", "yes", "account"),
    "rate_limit": Remedy("yes", "yes", "provider"),
    "overloaded": Remedy("yes", "yes", "provider"),
    "timeout": Remedy("yes", "yes", "provider"),
    "server_error": Remedy("yes", "yes", "provider"),
    "connect_error": Remedy("yes", "yes", "provider"),
    "bad_upstream_body": Remedy("yes", "yes", "provider"),
    "stream_truncated": Remedy("no", "no", "provider"),
    "context_length": Remedy("no", "policy", "client"),
    "model_not_found": Remedy("no", "policy", "client"),
    "invalid_request": Remedy("no", "no", "client"),
    "request_too_large": Remedy("no", "policy", "client"),
    "content_filter": Remedy("no", "policy", "content"),
    "cancelled_by_client": Remedy("no", "no", "client"),
    "unknown": Remedy("no", "no", "provider"),
}


def judge(seen: ErrorSeen, error_class: ErrorClass, remedy: Remedy | None = None) -> ErrorFacts:
    """Give an error its class's remedy, or the one given; in a stream that has begun nothing can be tried again."""
    remedy = remedy or REMEDIES[error_class]
    return ErrorFacts(
        error_class=error_class,
        code=seen.code,
        type=seen.type,
        message=seen.message,
        retry_same="no" if seen.in_stream else remedy.retry_same,
        fallback="no" if seen.in_stream else remedy.fallback,
        fault=remedy.fault,
    )
