"""The class of an error by what all providers have in common: HTTP statuses, well-known codes and phrases.

A provider's own rules come first, in its file. Of the common ones the most telling counts first: a code that means one
thing only, then, where the status could mean anything (400, 404, 422, or an error inside a good answer), the text, then
the status, and last the general type, which is all that an error in the middle of a stream may have.

Source: error pages of OpenAI, Anthropic, Azure, DeepSeek, OpenRouter and LLM Gateway; bodies in their issue trackers.
"""

import re

from proxy.core.errors import ErrorClass, ErrorSeen

_STATUSES: dict[int, ErrorClass] = {
    401: "auth",
    402: "billing",
    403: "permission",
    408: "timeout",
    413: "request_too_large",
    429: "rate_limit",
    451: "content_filter",
    503: "overloaded",
    504: "timeout",
    524: "timeout",  # Cloudflare: the origin did not answer in time
    529: "overloaded",  # Anthropic, MiniMax
}
"""Every other 4xx is `invalid_request`, every other 5xx `server_error`; 404 also depends on its text."""

_CODES: dict[str, ErrorClass] = {
    "authentication_error": "auth",
    "invalid_api_key": "auth",
    "billing_error": "billing",
    "billing_hard_limit_reached": "billing",
    "billing_not_active": "billing",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "moderation_blocked": "content_filter",
    "context_length_exceeded": "context_length",
    "deploymentnotfound": "model_not_found",
    "model_not_found": "model_not_found",
    "insufficient_quota": "quota_exhausted",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "slow_down": "overloaded",
    "permission_error": "permission",
    "unsupported_country_region_territory": "permission",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "request_too_large": "request_too_large",
    "timeout_error": "timeout",
}
"""Codes and types (lower case) that mean one thing, whatever the status."""

_TYPES: dict[str, ErrorClass] = {
    "api_error": "server_error",
    "internal_error": "server_error",
    "internal_server_error": "server_error",
    "server_error": "server_error",
    "invalid_request_error": "invalid_request",
    "not_found_error": "invalid_request",
    "requests": "rate_limit",
    "tokens": "rate_limit",
}
"""General types: believed only where there is no status, for providers put anything beside one."""

_TEXTS: tuple[tuple[re.Pattern[str], ErrorClass], ...] = (
    (
        re.compile(
            r"context[ _-](length|window|limit|size)|prompt is too long|input is too long|maximum prompt length"
            r"|exceeds the maximum number of tokens|reduce the length of the (messages|prompt|input)"
        ),
        "context_length",
    ),
    (re.compile(r"credit balance|insufficient (account )?(balance|credits?|funds)"), "billing"),
    (
        re.compile(
            r"content management policy|responsibleaipolicyviolation|content policy|content exists risk|safety system"
        ),
        "content_filter",
    ),
    (
        re.compile(
            r"unknown model|no such model|not a valid model|no endpoints found"
            r"|(model|deployment)\b.{0,120}(does not exist|doesn't exist|not exist|not found)"
        ),
        "model_not_found",
    ),
    (re.compile(r"media exceeds size limit|(payload|entity|body) (is )?too large"), "request_too_large"),
)
_NAMES_A_MODEL = re.compile(r"\b(model|models|deployment)\b")
_MAX_TEXT_CHARS = 4096
_SAYS_NOTHING = frozenset({400, 404, 409, 422})


def classify(seen: ErrorSeen) -> ErrorClass:
    """The class of an error by the common rules; `unknown` when nothing is known of it."""
    for word in (seen.code, seen.type):
        if word and (found := _CODES.get(word.lower())):
            return found
    status = effective_status(seen)
    text = text_of(seen)
    if (status is None or status in _SAYS_NOTHING) and (found := class_of_text(text)):
        return found
    if status is not None:
        return class_of_status(status, text)
    words = ((seen.type or "").lower(), (seen.code or "").lower())
    return next((_TYPES[word] for word in words if word in _TYPES), "unknown")


def class_of_status(status: int, text: str = "") -> ErrorClass:
    """The class of an HTTP status; `text` (lower case) tells a missing model from another thing that is not there."""
    if status == 404:
        return "model_not_found" if _NAMES_A_MODEL.search(text) else "invalid_request"
    if 400 <= status < 500:
        return _STATUSES.get(status, "invalid_request")
    return _STATUSES.get(status, "server_error") if 500 <= status < 600 else "unknown"


def class_of_text(text: str) -> ErrorClass | None:
    """The class that a phrase in the text (lower case) stands for, or None."""
    return next((found for pattern, found in _TEXTS if pattern.search(text)), None)


def effective_status(seen: ErrorSeen) -> int | None:
    """The status that the provider means: the HTTP status, or the one stated inside an answer that began well."""
    if seen.status >= 400:
        return seen.status
    if seen.code and re.fullmatch("[45][0-9][0-9]", seen.code):
        return int(seen.code)
    return None


def text_of(seen: ErrorSeen) -> str:
    """The words of an error in lower case, for phrases to be looked up in; a message can be as long as a page."""
    return f"{(seen.message or '')[:_MAX_TEXT_CHARS]}\n{(seen.detail or '')[:_MAX_TEXT_CHARS]}".lower()
