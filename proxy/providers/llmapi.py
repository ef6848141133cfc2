"""LLM.API (llmapi.ai), a gateway over many providers.

What:
    Chat, Responses, Anthropic messages and embeddings of `api.llmapi.ai/v1`. Its smart routing may answer with another
    model than was asked for; on some plans the usage states the money.

Config:
    providers:
      llmapi:
        api_key: env:LLMAPI_API_KEY

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/llmapi/v1")

Source:
    docs.llmapi.ai, and the LLM Gateway (theopenco/llmgateway) that it is built on. Errors are OpenAI's or
    `{"error":true,"status":402,"message":"..."}`; a 400 that speaks of a credit balance is one of billing.
"""

from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, Shape, asks_on_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

LLMAPI = Provider(
    kind="llmapi",
    base_urls={"llmapi": "https://api.llmapi.ai"},
    credential_header="authorization",
    credential_scheme="Bearer ",
    request_id_headers=("x-request-id",),
    route=PathTable(
        [*OPENAI_SURFACE, *ANTHROPIC_SURFACE, Shape("GET", "credits", "plan", free=True)],
        error_dialect=OPENAI_CHAT,
    ),
    classify=classify,
    injects_usage=asks_on_chat,
)
