"""The one table of OpenTelemetry names; columns of the store are our own words and do not follow their renames.

Source: open-telemetry/semantic-conventions v1.41 (`gen_ai.*`), and semantic-conventions-genai (dev) for `cache_write`.
"""

from typing import Literal

Convention = Literal["1.41", "genai-dev"]
DEFAULT_CONVENTION: Convention = "1.41"

PROVIDER_NAMES = {
    "openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "deepseek": "deepseek",
}
"""`gen_ai.provider.name` by provider kind; every other kind is its own name (custom values are allowed)."""

CLIENT_SPAN = {
    "operation": "gen_ai.operation.name",
    "provider_name": "gen_ai.provider.name",
    "model_requested": "gen_ai.request.model",
    "model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "streaming": "gen_ai.request.stream",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "ttft_s": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "host": "server.address",
    "port": "server.port",
    "error": "error.type",
    "status": "http.response.status_code",
}
"""Attribute names of the CLIENT span of an attempt, by our own word."""

SERVER_SPAN = {
    "method": "http.request.method",
    "route": "http.route",
    "path": "url.path",
    "status": "http.response.status_code",
    "error": "error.type",
}
"""Attribute names of the SERVER span of a call."""

OWN_NAMESPACE = "taximeter."
"""What no convention has a name for (money, callers, where a figure comes from) is our own word behind this prefix."""

OWN_TAG_NAMESPACE = "taximeter.tag."
"""The app's own tags, by their name behind this prefix."""


def client_names(convention: Convention = DEFAULT_CONVENTION) -> dict[str, str]:
    """Names of the CLIENT span in one version of the convention."""
    if convention == "genai-dev":
        return CLIENT_SPAN | {"cache_write_tokens": "gen_ai.usage.cache_write.input_tokens"}
    return CLIENT_SPAN


METRICS = {
    "operation_duration": "gen_ai.client.operation.duration",
    "time_to_first_chunk": "gen_ai.client.operation.time_to_first_chunk",
    "token_usage": "gen_ai.client.token.usage",
    "time_to_first_token": "gen_ai.server.time_to_first_token",
    "request_duration": "http.server.request.duration",
    "cost": OWN_NAMESPACE + "cost",
}
"""Names of metrics, by our own word."""

TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - `input` or `output`, no secret
"""The attribute that tells the two of `token_usage` apart."""

TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105 - `text`, `image` ..., no secret
"""What kind of tokens were counted; where nobody says so, `unknown`."""

CURRENCY = OWN_NAMESPACE + "currency"
"""The attribute that keeps amounts of two currencies apart."""


def metric_names(convention: Convention = DEFAULT_CONVENTION) -> dict[str, str]:
    """Names of metrics in one version of the convention. The newer one counts tokens instead of distributing them."""
    if convention == "genai-dev":
        usage = "gen_ai.client.inference.usage."
        return {word: name for word, name in METRICS.items() if word != "token_usage"} | {
            "operation_duration": "gen_ai.client.inference.duration",
            "time_to_first_chunk": "gen_ai.client.inference.time_to_first_chunk",
            "input_tokens": usage + "input_tokens",
            "output_tokens": usage + "output_tokens",
            "cached_input_tokens": usage + "cache_read.input_tokens",
            "cache_write_tokens": usage + "cache_write.input_tokens",
            "reasoning_tokens": usage + "reasoning.output_tokens",
        }
    return METRICS
