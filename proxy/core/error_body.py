"""Reads the errors of all dialects, whatever envelope they come in.

Envelopes seen in the wild, in the order in which they are tried:

| envelope | who |
|---|---|
| `{"error": {"message", "type", "code", ...}}` | OpenAI, Azure, DeepSeek, OpenRouter, Anthropic, Gemini, MiniMax |
| `{"base_resp": {"status_code": 1008, "status_msg"}}`, HTTP 200 too | MiniMax |
| `{"error": true, "status": 402, "message"}` | LLM.API |
| `{"error": "text"}` | small compatible servers |
| `{"statusCode": 401, "message"}` | Azure's gateway |
| `{"object": "error", "message", "type", "code"}` | vLLM, Mistral |
| `{"type": "error", "code", "message"}` | OpenAI Responses streams |
| `{"detail": "text"}`, `{"message": "text"}` | what is left |

Each may stand in an array of one (Gemini). The answer is what the provider stated, not what it means.

Source: the provider fact sheets, sections 1 to 9; MiniMax section 9.
"""

import re

from proxy.core.errors import ErrorSeen
from proxy.core.wanted import clean_text

MAX_MESSAGE = 2000
"""Characters of a message that are kept."""

_MINIMAX_CODE = re.compile(r"\(([12]\d{3,4})\)\s*\Z")
"""MiniMax writes its own code in parentheses at the end of the message."""


def error_seen(value: object, status: int, *, in_stream: bool = False) -> ErrorSeen | None:
    """The error that a decoded JSON value states; None when it states none and the status is none either.

    Args:
        value: The whole JSON value of a body or an event; None when there was none that could be read.
        status: HTTP status of the answer.
        in_stream: Whether it came after the head of a stream.
    """
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    body = value if isinstance(value, dict) else {}
    error, base_resp = body.get("error"), body.get("base_resp")
    if isinstance(error, dict) and error:
        return _seen(error, status, in_stream=in_stream)
    if isinstance(base_resp, dict) and is_failure(base_resp):
        return ErrorSeen(
            status=status,
            code=_text(base_resp.get("status_code")),
            message=_text(base_resp.get("status_msg")),
            in_stream=in_stream,
        )
    says_so = bool(error) or body.get("object") == "error" or body.get("type") == "error"
    if not says_so and status < 400:
        return None
    if isinstance(error, str) and error:
        body = {"message": body.get("message") or error, "code": body.get("code") or body.get("status")}
    return _seen(body, status, in_stream=in_stream)


def is_failure(base_resp: object) -> bool:
    """Whether a MiniMax `base_resp` reports a failure; with `status_code` 0 its text is only a warning."""
    return isinstance(base_resp, dict) and _text(base_resp.get("status_code")) not in {None, "0"}


def _seen(error: dict[str, object], status: int, *, in_stream: bool) -> ErrorSeen:
    message = _text(error.get("message")) or _text(error.get("detail")) or _text(error.get("msg"))
    code = _text(error.get("code"))
    if code is None and message is not None and (found := _MINIMAX_CODE.search(message)):
        code = found[1]
    if code is None and "message" in error:
        # The numeric status of LLM.API and of Azure's gateway is the only code that they give.
        code = _text(error.get("statusCode")) or (_text(error.get("status")) if error.get("error") is True else None)
    kind, google = error.get("type"), error.get("status")
    if kind == "error":
        kind = None  # the type of the envelope, not of the error
    if not isinstance(kind, str):
        kind = google if isinstance(google, str) else None
    return ErrorSeen(
        status=status,
        code=code,
        type=_text(kind),
        message=message,
        detail=_detail(error),
        in_stream=in_stream,
    )


def _detail(error: dict[str, object]) -> str | None:
    """The further words on which the judgement can depend, joined by spaces."""
    words: list[str | None] = []
    details, metadata, inner = error.get("details"), error.get("metadata"), error.get("innererror")
    for detail in details if isinstance(details, list) else [details]:
        if isinstance(detail, dict):
            words += [_text(detail.get("reason")), _text(detail.get("error_code"))]
            violations = detail.get("violations")
            for violation in violations if isinstance(violations, list) else []:
                if isinstance(violation, dict):
                    words.append(_text(violation.get("quotaId")))
    if isinstance(metadata, dict):
        words.append(_text(metadata.get("raw")))
    if isinstance(inner, dict):
        words.append(_text(inner.get("code")))
    return " ".join(word for word in words if word)[:MAX_MESSAGE] or None


def _text(value: object) -> str | None:
    """A stated text or number as text; None for anything else and for an empty text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return clean_text(str(value))[:MAX_MESSAGE] or None
