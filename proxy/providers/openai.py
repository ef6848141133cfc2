"""OpenAI.

What:
    Chat completions, Responses and everything else of `api.openai.com`; the regional hosts (`eu.`, `us.`) by config.

Config:
    providers:
      openai:
        api_key: env:OPENAI_API_KEY   # left out, the app's own key passes

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/openai/v1")

Source:
    API reference and error guide of OpenAI, official SDK 3.54. Moderation is free by its guide.
"""

from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, Shape, asks_on_chat
from proxy.providers.surfaces import OPENAI_SURFACE

OPENAI = Provider(
    kind="openai",
    base_urls={"openai": "https://api.openai.com"},
    credential_header="authorization",
    credential_scheme="Bearer ",
    request_id_headers=("x-request-id",),
    route=PathTable(
        [Shape("POST", "moderations", "moderation", free=True), *OPENAI_SURFACE], error_dialect=OPENAI_CHAT
    ),
    classify=classify,
    injects_usage=asks_on_chat,
)
