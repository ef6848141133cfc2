"""Any other host that speaks Anthropic's API.

What:
    Anthropic's paths under any prefix, and OpenAI's beside them.

Config:
    providers:
      claude-gateway:
        kind: anthropic_compatible
        base_url: https://gateway.example.com/anthropic

Example:
    client = Anthropic(base_url="http://127.0.0.1:8484/claude-gateway")

Source:
    API reference of Anthropic.
"""

from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, asks_on_chat, is_openai_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

ANTHROPIC_COMPATIBLE = Provider(
    kind="anthropic_compatible",
    base_urls={},
    credential_header="x-api-key",
    takes_bearer=is_openai_chat,
    request_id_headers=("request-id", "x-request-id"),
    route=PathTable([*ANTHROPIC_SURFACE, *OPENAI_SURFACE], error_dialect=ANTHROPIC_MESSAGES),
    classify=classify,
    injects_usage=asks_on_chat,
)
