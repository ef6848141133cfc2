"""Any other host that speaks OpenAI's API: vLLM, Groq, Together, Mistral, xAI, a company's own gateway.

What:
    OpenAI's paths under any prefix, and Anthropic's beside them, which vLLM and gateways also offer.

Config:
    providers:
      local:
        kind: openai_compatible
        base_url: http://vllm.internal:8000
        inject_usage: false           # for a server that refuses `stream_options`
        currency: EUR                 # USD if left out

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/local/v1")

Source:
    Servers' own documentation; what they have in common is OpenAI's API reference.
"""

from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, asks_on_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

OPENAI_COMPATIBLE = Provider(
    kind="openai_compatible",
    base_urls={},
    credential_header="authorization",
    credential_scheme="Bearer ",
    request_id_headers=("x-request-id", "request-id"),
    route=PathTable([*OPENAI_SURFACE, *ANTHROPIC_SURFACE], error_dialect=OPENAI_CHAT),
    classify=classify,
    injects_usage=asks_on_chat,
)
