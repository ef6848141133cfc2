"""Anthropic.

What:
    Messages, token counts, batches, models and files of `api.anthropic.com`. Its OpenAI-compatible chat is read, too.

Config:
    providers:
      anthropic:
        api_key: env:ANTHROPIC_API_KEY   # left out, the app's own key or OAuth token passes

Example:
    client = Anthropic(base_url="http://127.0.0.1:8484/anthropic")

Source:
    API reference of Anthropic ("Errors", "Streaming", "Message Batches"), official SDK 2.12.
"""

from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, Shape, asks_on_chat, is_openai_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

ANTHROPIC = Provider(
    kind="anthropic",
    base_urls={"anthropic": "https://api.anthropic.com"},
    credential_header="x-api-key",
    takes_bearer=is_openai_chat,
    request_id_headers=("request-id",),
    # "Your credit balance is too low" comes as 400 invalid_request_error: the common rules read the text.
    classify=classify,
    route=PathTable(
        [
            *ANTHROPIC_SURFACE,
            *(shape for shape in OPENAI_SURFACE if shape.ending == "chat/completions"),
            Shape("GET", "v1/models", "models", free=True),
            Shape("GET", "v1/models/*", "models", free=True),
            Shape("*", "v1/files", "files", free=True),
            Shape("*", "v1/files/*", "files", free=True),
            Shape("GET", "v1/files/*/content", "files", free=True),
        ],
        error_dialect=ANTHROPIC_MESSAGES,
    ),
    injects_usage=asks_on_chat,
)
