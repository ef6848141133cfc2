"""OpenRouter.

What:
    Chat, Responses, Anthropic messages and embeddings of `openrouter.ai/api/v1`, over many providers. It states the
    money of every call in its usage, and that is the truth.

Config:
    providers:
      openrouter:
        api_key: env:OPENROUTER_API_KEY

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/openrouter/api/v1")

Source:
    OpenRouter docs ("Errors and Debugging", "Usage Accounting"). Once a model has begun, errors come inside HTTP 200
    with the status as their code; the true reason is in `metadata.raw`.
"""

from proxy.core.errors import ErrorClass, ErrorSeen
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import classify as classify_commonly
from proxy.providers.judgement import effective_status, text_of
from proxy.providers.routing import PathTable, Shape
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

_MODERATED = ("moderation", "flagged", "guardrail")


def classify(seen: ErrorSeen) -> ErrorClass:
    """403 is moderation as often as a missing permission; the rest follows the common rules."""
    if effective_status(seen) == 403 and any(word in text_of(seen) for word in _MODERATED):
        return "content_filter"
    return classify_commonly(seen)


OPENROUTER = Provider(
    kind="openrouter",
    base_urls={"openrouter": "https://openrouter.ai"},
    credential_header="authorization",
    credential_scheme="Bearer ",
    request_id_headers=("x-generation-id",),
    route=PathTable(
        [
            *OPENAI_SURFACE,
            *ANTHROPIC_SURFACE,
            Shape("GET", "models/*/*", "models", free=True),
            Shape("GET", "models/*/*/endpoints", "models", free=True),
            Shape("GET", "providers", "models", free=True),
            Shape("GET", "generation", "generation", free=True),
            Shape("GET", "credits", "plan", free=True),
            Shape("GET", "key", "plan", free=True),
        ],
        error_dialect=OPENAI_CHAT,
    ),
    classify=classify,
    # Its docs say that the option has no effect: usage is always there. Asking would gain nothing, and hiding what
    # comes would take away what the app sees without the proxy.
    injects_usage=None,
)
