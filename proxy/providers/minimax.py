"""MiniMax, international (`minimax`) and China (`minimax-cn`).

What:
    All three of its chat dialects (OpenAI, Anthropic under `/anthropic`, native `text/chatcompletion_v2`), Responses,
    speech, transcription, voices, video, image, music, files and plans.

Config:
    providers:
      minimax:
        api_key: env:MINIMAX_API_KEY
      minimax-cn:
        api_key: env:MINIMAX_CN_API_KEY   # a key of one region is an invalid key in the other (code 2049)

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/minimax/v1")
    client = Anthropic(base_url="http://127.0.0.1:8484/minimax/anthropic")

Source:
    API documentation of MiniMax (platform.minimax.io, platform.minimaxi.com) with its error code table; types of the
    official CLI; bodies in issue trackers. The CLI takes 1002 and 1039 for a content filter: they are rate limits.
"""

import msgspec

from proxy.core.errors import ErrorClass, ErrorSeen, Remedy
from proxy.dialects.minimax_native import MINIMAX_NATIVE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import class_of_text, text_of
from proxy.providers.judgement import classify as classify_commonly
from proxy.providers.routing import PathTable, Shape, asks_on_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

_CODES: dict[str, ErrorClass] = {
    "1000": "server_error",
    "1001": "timeout",
    "1002": "rate_limit",
    "1004": "auth",
    "1008": "billing",
    "1013": "server_error",
    "1024": "server_error",
    "1026": "content_filter",  # of the input
    "1027": "content_filter",  # of the output, also in the middle of a stream
    "1028": "quota_exhausted",
    "1030": "quota_exhausted",
    "1033": "server_error",
    "1039": "rate_limit",  # tokens per minute
    "1041": "rate_limit",  # connections
    "1042": "invalid_request",  # more than a tenth of the characters is invisible
    "1043": "invalid_request",
    "1044": "invalid_request",
    "20132": "invalid_request",
    "2037": "invalid_request",
    "2038": "invalid_request",
    "2039": "invalid_request",
    "2042": "permission",
    "2045": "rate_limit",
    "2048": "invalid_request",
    "2049": "auth",
    "2056": "quota_exhausted",  # the window of a plan is used up; it comes as HTTP 429, but waiting a moment is no use
    "2061": "permission",
    "2062": "rate_limit",
    "2064": "overloaded",
    "2201": "invalid_request",
    "2202": "invalid_request",
    "2203": "invalid_request",
    "2204": "invalid_request",
    "2205": "invalid_request",
}
"""What a code means, the same in every dialect and under every HTTP status."""
_INVALID_PARAMETERS = "2013"
"""The code for whatever is wrong with a request; the text says what it is."""
_REMEDIES = {"2042": Remedy("no", "no", "client")}
"""A voice belongs to the account that made it: another target does not have it either."""

_TYPES: dict[str, ErrorClass] = {
    "authorized_error": "auth",
    "insufficient_balance_error": "billing",
    "unprocessable_entity_error": "content_filter",
}

_CHINA_HOSTS = (
    "api.minimaxi.com",
    "api-bj.minimaxi.com",
    "api.minimax.cn",
    "api-bj.minimax.cn",
    "api.minimax.chat",
)
"""Hosts that bill in yuan. `api.minimaxi.chat` is the old international one."""

_NATIVE: tuple[Shape, ...] = (
    Shape("POST", "text/chatcompletion_v2", "chat", MINIMAX_NATIVE),
    Shape("POST", "t2a_v2", "speech"),
    Shape("GET", "ws/v1/t2a_v2", "speech"),
    Shape("GET", "ws/v1/t2a_v2_bidi", "speech"),
    Shape("POST", "t2a_async_v2", "speech"),
    Shape("GET", "query/t2a_async_query_v2", "speech.query", free=True),
    Shape("POST", "voice_clone", "voice_clone"),
    Shape("POST", "voice_design", "voice_design"),
    Shape("POST", "get_voice", "voices", free=True),
    Shape("POST", "delete_voice", "voices", free=True),
    Shape("POST", "speech_to_text", "transcription"),
    Shape("POST", "video_generation", "video"),
    Shape("GET", "query/video_generation", "video.query", free=True),
    Shape("POST", "image_generation", "image"),
    Shape("POST", "music_generation", "music"),
    Shape("POST", "lyrics_generation", "lyrics"),
    Shape("POST", "music_cover_preprocess", "music"),
    Shape("POST", "files/upload", "files", free=True),
    Shape("GET", "files/list", "files", free=True),
    Shape("GET", "files/retrieve", "files", free=True),
    Shape("GET", "files/retrieve_content", "files", free=True),
    Shape("POST", "files/delete", "files", free=True),
    Shape("POST", "embeddings", "embeddings"),
    Shape("GET", "token_plan/remains", "plan", free=True),
    Shape("POST", "coding_plan/search", "plan.search"),
    Shape("POST", "coding_plan/vlm", "plan.vlm"),
)
_SHARED = tuple(
    msgspec.structs.replace(shape, error_dialect=shape.error_dialect or shape.dialect or OPENAI_CHAT)
    for shape in OPENAI_SURFACE
    if shape.operation in {"chat", "chat.stored", "count_tokens", "files", "models"}
)
"""What MiniMax has of OpenAI's surface. Only that answers with OpenAI's envelope, all else with `base_resp`."""


def classify(seen: ErrorSeen) -> ErrorClass:
    """By MiniMax's own code where there is one, else by its types, else by the common rules."""
    if seen.code == _INVALID_PARAMETERS:
        return class_of_text(text_of(seen)) or "invalid_request"
    return _CODES.get(seen.code or "") or _TYPES.get(seen.type or "") or classify_commonly(seen)


MINIMAX = Provider(
    kind="minimax",
    base_urls={"minimax": "https://api.minimax.io", "minimax-cn": "https://api.minimaxi.com"},
    credential_header="authorization",
    credential_scheme="Bearer ",
    currencies=dict.fromkeys(_CHINA_HOSTS, "CNY"),
    request_id_headers=("minimax-request-id", "x-mm-request-id", "trace-id", "alb_request_id"),
    route=PathTable(
        [
            *_NATIVE,
            *_SHARED,
            *ANTHROPIC_SURFACE,
        ],
        error_dialect=MINIMAX_NATIVE,
    ),
    classify=classify,
    remedies=_REMEDIES,
    injects_usage=asks_on_chat,
    subscription_keys=(b"sk-cp-",),
    keeps_null_usage=True,
)
