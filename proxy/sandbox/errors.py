"""Errors on demand, worded as each provider words them, and marked as simulated.

An error is asked for by a status (`429`), a word (`overloaded`), or a MiniMax code (`1008`, also `base:1008`); with
`stream:` before it, it comes after half of a stream. Source: the fact sheets, MiniMax section 9 and providers sections
1, 2 and 5.
"""

from typing import Any

import msgspec

from proxy.sandbox.controls import ControlError
from proxy.sandbox.words import MARKER


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error in a dialect's envelope."""

    status: int
    body: dict[str, Any]


class ErrorWish(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed `error` control."""

    kind: str
    """A row of the tables below."""
    code: int
    """The MiniMax code of it."""
    in_stream: bool = False
    in_body: bool = False
    """`base:` was asked for: MiniMax's native path answers 200 and states the code in `base_resp`."""


class _MiniMaxCode(msgspec.Struct, frozen=True):
    status: int
    type: str
    message: str
    kind: str


_MINIMAX = {
    1000: _MiniMaxCode(500, "api_error", "unknown error, 999", "500"),
    1001: _MiniMaxCode(408, "timeout_error", "request timeout", "408"),
    1002: _MiniMaxCode(429, "rate_limit_error", "rate limit exceeded(RPM)", "429"),
    1004: _MiniMaxCode(401, "authorized_error", "login fail: Please carry the API secret key", "401"),
    1008: _MiniMaxCode(402, "insufficient_balance_error", "insufficient balance", "402"),
    1013: _MiniMaxCode(500, "api_error", "internal service error", "500"),
    1026: _MiniMaxCode(422, "unprocessable_entity_error", "input new_sensitive", "filter"),
    1027: _MiniMaxCode(422, "unprocessable_entity_error", "output new_sensitive", "filter"),
    1028: _MiniMaxCode(429, "rate_limit_error", "quota used up", "quota"),
    1033: _MiniMaxCode(500, "server_error", "system error", "500"),
    1039: _MiniMaxCode(429, "rate_limit_error", "rate limit exceeded(TPM)", "429"),
    1041: _MiniMaxCode(429, "rate_limit_error", "connection limit exceeded", "429"),
    2013: _MiniMaxCode(400, "bad_request_error", "invalid params", "400"),
    2049: _MiniMaxCode(401, "authorized_error", "invalid api key", "401"),
    2056: _MiniMaxCode(429, "rate_limit_error", "usage limit exceeded, 5-hour usage limit reached", "quota"),
    2061: _MiniMaxCode(403, "permission_error", "your current plan does not support this model", "403"),
    2062: _MiniMaxCode(429, "rate_limit_error", "plan rate limit exceeded", "429"),
    2064: _MiniMaxCode(529, "overloaded_error", "the cluster is overloaded", "529"),
}


class _Row(msgspec.Struct, frozen=True):
    """One kind of error: the MiniMax code, then status, type (and code, param) of OpenAI and Anthropic."""

    minimax: int
    openai: tuple[int, str, str | None, str | None]
    anthropic: tuple[int, str]
    message: str
    anthropic_message: str = ""
    minimax_status: int | None = None
    minimax_message: str | None = None


_KINDS = {
    "400": _Row(
        2013, (400, "invalid_request_error", None, None), (400, "invalid_request_error"), "The request is not valid."
    ),
    "401": _Row(
        1004,
        (401, "invalid_request_error", "invalid_api_key", None),
        (401, "authentication_error"),
        "Incorrect API key provided.",
        "invalid x-api-key",
    ),
    "402": _Row(
        1008, (402, "unknown_error", "invalid_request_error", None), (402, "billing_error"), "Insufficient Balance"
    ),
    "403": _Row(
        2061,
        (403, "request_forbidden", "unsupported_country_region_territory", None),
        (403, "permission_error"),
        "Country, region, or territory not supported.",
        "Your API key does not have permission to use the specified resource.",
    ),
    "404": _Row(
        2013,
        (404, "invalid_request_error", "model_not_found", None),
        (404, "not_found_error"),
        "The model does not exist or you do not have access to it.",
        "model: not found",
        404,
        "invalid params, unknown model",
    ),
    "408": _Row(1001, (408, "server_error", "timeout", None), (408, "timeout_error"), "The request took too long."),
    "413": _Row(
        2013,
        (413, "invalid_request_error", None, None),
        (413, "request_too_large"),
        "Request exceeds the maximum size.",
        minimax_status=413,
        minimax_message="invalid params, media exceeds size limit",
    ),
    "429": _Row(
        1002,
        (429, "requests", "rate_limit_exceeded", None),
        (429, "rate_limit_error"),
        "Rate limit reached on requests per min (RPM). Please try again in 1s.",
        "This request would exceed your organization's rate limit of input tokens per minute.",
    ),
    "500": _Row(
        1000,
        (500, "server_error", None, None),
        (500, "api_error"),
        "The server had an error while processing your request.",
        "Internal server error",
    ),
    "503": _Row(
        1000,
        (503, "service_unavailable_error", "overloaded", None),
        (503, "overloaded_error"),
        "The engine is currently overloaded, please try again later.",
        "Overloaded",
        503,
    ),
    "529": _Row(
        2064,
        (529, "service_unavailable_error", "overloaded", None),
        (529, "overloaded_error"),
        "The engine is currently overloaded, please try again later.",
        "Overloaded",
    ),
    "overloaded": _Row(
        2064,
        (503, "service_unavailable_error", "overloaded", None),
        (529, "overloaded_error"),
        "The engine is currently overloaded, please try again later.",
        "Overloaded",
    ),
    "quota": _Row(
        2056,
        (429, "insufficient_quota", "insufficient_quota", None),
        (429, "rate_limit_error"),
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "context": _Row(
        2013,
        (400, "invalid_request_error", "context_length_exceeded", "messages"),
        (400, "invalid_request_error"),
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130442 tokens.",
        "prompt is too long: 204503 tokens > 200000 maximum",
        minimax_message="invalid params, context window exceeds limit",
    ),
    "credit": _Row(
        1008,
        (429, "insufficient_quota", "insufficient_quota", None),
        (400, "invalid_request_error"),
        "You exceeded your current quota, please check your plan and billing details.",
        "Your credit balance is too low to access the API. Please purchase credits.",
    ),
    "filter": _Row(
        1026,
        (400, "invalid_request_error", "content_policy_violation", None),
        (400, "invalid_request_error"),
        "The request was refused by the content policy.",
    ),
}


def parse_error(text: str) -> ErrorWish:
    """The `error` control as a wish.

    Raises:
        ControlError: neither a status, a word nor a MiniMax code that is known.
    """
    in_stream, in_body, what = False, False, text.strip().lower()
    while ":" in what:
        where, _, what = what.partition(":")
        if where not in {"stream", "base"}:
            raise ControlError(f"unknown place {where!r} in sandbox control error={text}; known are base, stream")
        in_stream, in_body = in_stream or where == "stream", in_body or where == "base"
    if what in _KINDS:
        return ErrorWish(kind=what, code=_KINDS[what].minimax, in_stream=in_stream, in_body=in_body)
    if what.isascii() and what.isdigit() and (code := int(what)) in _MINIMAX:
        return ErrorWish(kind=_MINIMAX[code].kind, code=code, in_stream=in_stream, in_body=in_body)
    known = ", ".join([*_KINDS, *map(str, _MINIMAX)])
    raise ControlError(f"unknown sandbox control error={text}; known are {known}, each also after stream: or base:")


def openai_failure(kind: str, message: str | None = None) -> Failure:
    """An error of OpenAI and of those who copy it; `message` replaces the usual words."""
    status, error_type, code, param = _KINDS[kind].openai
    error = {"message": _marked(message or _KINDS[kind].message), "type": error_type, "param": param, "code": code}
    return Failure(status=status, body={"error": error})


def anthropic_failure(kind: str, request_id: str, message: str | None = None) -> Failure:
    """An error of Anthropic; `message` replaces the usual words."""
    row = _KINDS[kind]
    status, error_type = row.anthropic
    error = {"type": error_type, "message": _marked(message or row.anthropic_message or row.message)}
    return Failure(status=status, body={"type": "error", "error": error, "request_id": request_id})


def minimax_failure(
    wish: ErrorWish, request_id: str, message: str | None = None, *, anthropic: bool = False
) -> Failure:
    """An error of MiniMax with a real status; the code stands in parentheses after the words.

    Args:
        wish: which error.
        request_id: goes into the envelope.
        message: replaces the usual words.
        anthropic: on `/anthropic` the types are Anthropic's and there is no `http_code`.
    """
    row, code = _KINDS[wish.kind], _MINIMAX[wish.code]
    usual = row.minimax_message if row.minimax == wish.code else None
    status = row.minimax_status if row.minimax_status and row.minimax == wish.code else code.status
    error = {"type": code.type, "message": _marked(f"{message or usual or code.message} ({wish.code})")}
    if anthropic:
        error["type"] = row.anthropic[1]
    else:
        error["http_code"] = str(status)
    return Failure(status=status, body={"type": "error", "error": error, "request_id": request_id})


def base_resp(code: int, message: str | None = None) -> dict[str, Any]:
    """MiniMax's `base_resp` of an error."""
    return {"status_code": code, "status_msg": _marked(message or _MINIMAX[code].message)}


def _marked(message: str) -> str:
    return message if message.startswith(MARKER) else f"{MARKER} simulated error: {message}"
