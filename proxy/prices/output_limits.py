"""The most output tokens of one answer, for models whose prices come from the library, which does not have them. PURE.

What a call without a limit of its own can use is bounded by the model's: without this table a hold takes the whole
context window, thirty times as much for gpt-4.1. Only limits that the provider enforces and states on the model's page
are here, by the library's name of the model; a model that is not is held for its context. Anthropic's messages always
state a limit, and need none here. An operator's price file may state `max_output_tokens` for any model.

Source: the pages of OpenAI's models, platform.openai.com/docs/models/NAME ("max output tokens"), as of 2026-11.
"""

_OPENAI = {
    "gpt-3.5-turbo": 4_096,
    "gpt-4-turbo": 4_096,
    "gpt-4o": 16_384,
    "gpt-4o-2024-05-13": 16_384,
    "gpt-4o-mini": 16_384,
    "gpt-4.1": 32_768,
    "gpt-4.1-mini": 32_768,
    "gpt-4.1-nano": 32_768,
    "gpt-5": 128_000,
    "gpt-5-mini": 128_000,
    "gpt-5-nano": 128_000,
    "gpt-5.1": 128_000,
    "gpt-5.2": 128_000,
    "o1": 100_000,
    "o3": 100_000,
    "o3-mini": 100_000,
    "o4-mini": 100_000,
}
_LIMITS = {"openai": _OPENAI}


def output_limit(provider: str, model: str) -> int | None:
    """The limit of a model, by the library's ids of provider and model; None where none is known."""
    return _LIMITS.get(provider, {}).get(model)
