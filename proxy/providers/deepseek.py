"""DeepSeek.

What:
    Chat, fill-in-the-middle completions, Responses and the Anthropic-compatible API of `api.deepseek.com`.

Config:
    providers:
      deepseek:
        api_key: env:DEEPSEEK_API_KEY
        currency: USD                 # for an account that is topped up in dollars

Example:
    client = OpenAI(base_url="http://127.0.0.1:8484/deepseek")

Source:
    DeepSeek API docs ("Models & Pricing", "Error Codes"). An error of an empty account is a 402 whose type and code say
    `unknown_error` and `invalid_request_error`: the status is what counts.
"""

from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, Shape, asks_on_chat
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

DEEPSEEK = Provider(
    kind="deepseek",
    base_urls={"deepseek": "https://api.deepseek.com"},
    credential_header="authorization",
    credential_scheme="Bearer ",
    # There is one host for all customers, and its price list with the peak hours of Beijing is in yuan; whoever has an
    # account in dollars says so in the config.
    currencies={"api.deepseek.com": "CNY"},
    request_id_headers=("x-ds-trace-id", "x-request-id"),
    route=PathTable(
        [*OPENAI_SURFACE, *ANTHROPIC_SURFACE, Shape("GET", "user/balance", "plan", free=True)],
        error_dialect=OPENAI_CHAT,
    ),
    classify=classify,
    injects_usage=asks_on_chat,
)
