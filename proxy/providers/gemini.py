"""Google Gemini.

What:
    The native API (`/v1beta/models/{model}:generateContent` and its siblings) and the OpenAI-compatible one
    (`/v1beta/openai/...`) of `generativelanguage.googleapis.com`; Vertex AI hosts by config.

Config:
    providers:
      gemini:
        api_key: env:GEMINI_API_KEY   # left out, the app's `x-goog-api-key` or `?key=` passes

Example:
    client = genai.Client(http_options={"base_url": "http://127.0.0.1:8484/gemini"})
    client = OpenAI(base_url="http://127.0.0.1:8484/gemini/v1beta/openai")

Source:
    Gemini API reference ("GenerateContent", "OpenAI compatibility", "Troubleshooting"), google.rpc.Code; recorded
    answers of the compatible API, whose `completion_tokens` leave the thinking out while `total_tokens` has it.
"""

from urllib.parse import unquote

import msgspec

from proxy.core.errors import ErrorClass, ErrorSeen
from proxy.core.facts import Dialect, RequestFacts, ResponseFacts
from proxy.dialects.gemini_generate import GEMINI_GENERATE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider, Route
from proxy.providers.judgement import classify as classify_commonly
from proxy.providers.judgement import effective_status, text_of
from proxy.providers.routing import PathTable, Shape, asks_on_chat, segments_of
from proxy.providers.surfaces import OPENAI_SURFACE

_VERBS: dict[str, tuple[str, Dialect | None, bool]] = {
    "generateContent": ("chat", GEMINI_GENERATE, True),
    "streamGenerateContent": ("chat", GEMINI_GENERATE, True),
    "countTokens": ("count_tokens", GEMINI_GENERATE, False),
    "computeTokens": ("count_tokens", GEMINI_GENERATE, False),
    "embedContent": ("embeddings", None, True),
    "batchEmbedContents": ("embeddings", None, True),
    "asyncBatchEmbedContent": ("batch", None, False),
    "batchGenerateContent": ("batch", None, False),
    "predict": ("image", None, True),
    "predictLongRunning": ("video", None, True),
    "fetchPredictOperation": ("video.query", None, False),
}
"""What stands behind the colon after a model -> operation, dialect, billable."""

_TABLE = PathTable(
    [
        Shape("GET", "models", "models", free=True),
        Shape("GET", "models/*", "models", free=True),
        Shape("GET", "models/*/operations/*", "video.query", free=True),
        Shape("GET", "operations/*", "video.query", free=True),
        Shape("*", "batches", "batch", free=True),
        Shape("*", "batches/*", "batch", free=True),
        Shape("POST", "cachedContents", "cache"),
        Shape("GET", "cachedContents", "cache", free=True),
        Shape("*", "cachedContents/*", "cache", free=True),
        Shape("*", "files", "files", free=True),
        Shape("*", "files/*", "files", free=True),
        Shape("GET", "ws/*", "realtime"),
    ],
    error_dialect=GEMINI_GENERATE,
)
_OPENAI_TABLE = PathTable(
    [msgspec.structs.replace(shape, ending=f"openai/{shape.ending}") for shape in OPENAI_SURFACE],
    error_dialect=OPENAI_CHAT,
)

_STATUSES: dict[str, ErrorClass] = {
    "DEADLINE_EXCEEDED": "timeout",
    "FAILED_PRECONDITION": "permission",  # no free tier in this country, or no billing account
    "INTERNAL": "server_error",
    "PERMISSION_DENIED": "permission",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAUTHENTICATED": "auth",
    "UNAVAILABLE": "overloaded",
}
_BAD_KEY = ("api_key_invalid", "api key not valid", "api key expired")
_DAILY = ("perday", "per_day", "per day")


def route(method: str, path: str) -> Route:
    """What a path is. The native API names the model, and behind a colon what is wanted of it."""
    segments = segments_of(path)
    last = unquote(segments[-1]) if segments else ""
    name, colon, verb = last.rpartition(":")
    if colon and method == "POST" and verb in _VERBS:
        operation, dialect, billable = _VERBS[verb]
        return Route(
            operation=operation,
            dialect=dialect,
            error_dialect=GEMINI_GENERATE,
            billable=billable,
            model=name,
            streaming=verb.startswith("stream"),
        )
    return (_OPENAI_TABLE if is_compatible(path) else _TABLE)(method, path)


def is_compatible(path: str) -> bool:
    """Whether a path is of the OpenAI-compatible API. It refuses `x-goog-api-key`: the key has to be a bearer there."""
    return "openai" in segments_of(path)


def classify(seen: ErrorSeen) -> ErrorClass:
    """By Google's status word and the reason in the details: a bad key is a 400, and 429 tells days from minutes."""
    text = text_of(seen)
    if any(phrase in text for phrase in _BAD_KEY):
        return "auth"
    if seen.type == "RESOURCE_EXHAUSTED" or effective_status(seen) == 429:
        return "quota_exhausted" if any(phrase in text for phrase in _DAILY) else "rate_limit"
    return _STATUSES.get(seen.type or "") or classify_commonly(seen)


def amend(_request: RequestFacts, response: ResponseFacts) -> ResponseFacts:
    """Count hidden thinking as output: what the total has more than prompt and completion."""
    usage = response.usage
    total, prompt, output = usage.total_tokens, usage.input_tokens, usage.output_tokens
    if total is None or prompt is None or output is None or total <= prompt + output:
        return response
    hidden = total - prompt - output
    amended = msgspec.structs.replace(
        usage,
        output_tokens=total - prompt,
        reasoning_tokens=usage.reasoning_tokens if usage.reasoning_tokens is not None else hidden,
    )
    return msgspec.structs.replace(response, usage=amended)


GEMINI = Provider(
    kind="gemini",
    base_urls={"gemini": "https://generativelanguage.googleapis.com"},
    credential_header="x-goog-api-key",
    takes_bearer=is_compatible,
    credential_query="key",
    route=route,
    classify=classify,
    amend=amend,
    injects_usage=asks_on_chat,
)
