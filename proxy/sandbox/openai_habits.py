"""Where providers that speak OpenAI's chat completions differ: headers, errors, usage, how a stream begins."""

from collections.abc import Sequence
from typing import Any

from proxy.sandbox.errors import Failure, openai_failure
from proxy.sandbox.exchange import Ask, event
from proxy.sandbox.reply import Reply
from proxy.sandbox.words import count_prompt

UNFILTERED = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}
"""Azure's content filter, which found nothing."""
OPENROUTER_USD_PER_MILLION = (0.15, 0.60)
"""What the sandbox says a million tokens of input and output cost at OpenRouter, whatever the model: the list price of
gpt-4o-mini, which is what the demo asks for there."""

_CACHE_FROM_TOKENS = 1024
_CACHE_STEP_TOKENS = 128


def headers(ask: Ask) -> dict[str, str]:
    """The response headers of the provider whose habits the answer has."""
    draw = ask.draw.fork("headers")
    requests, tokens = draw.between(1, 9_999), draw.between(1, 1_999_999)
    if ask.flavour == "azure":
        return {
            "apim-request-id": draw.hex(32),
            "x-ms-region": "Sandbox Central",
            "azureml-model-session": "sandbox",
            "x-ratelimit-remaining-requests": str(requests),
            "x-ratelimit-remaining-tokens": str(tokens),
        }
    if ask.flavour == "deepseek":
        return {"x-ds-trace-id": draw.hex(32)}
    if ask.flavour == "openrouter":
        return {"x-generation-id": f"gen-sandbox{ask.draw.fork('id').hex(24)}", "x-provider-name": "sandbox"}
    return {
        "x-request-id": f"req_{draw.hex(32)}",
        "openai-processing-ms": str(draw.between(80, 900)),
        "openai-version": "2020-10-01",
        "openai-organization": "sandbox",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": str(requests),
        "x-ratelimit-remaining-tokens": str(tokens),
        "x-ratelimit-reset-requests": f"{draw.between(5, 900)}ms",
        "x-ratelimit-reset-tokens": f"{draw.between(5, 900)}ms",
    }


def failure_of(ask: Ask, kind: str, message: str | None = None) -> Failure:
    """An error in the envelope of the provider; `message` replaces the usual words."""
    failure = openai_failure(kind, message)
    if ask.flavour != "openrouter":
        return failure
    words = failure.body["error"]["message"]
    told = {"code": failure.status, "message": words, "metadata": {"provider_name": "sandbox", "raw": words}}
    return Failure(status=failure.status, body={"error": told, "user_id": "user_sandbox"})


def first_events(ask: Ask, nothing: dict[str, Any]) -> list[bytes]:
    """What a stream begins with before anything is said; `nothing` are the members of a chunk without usage."""
    if ask.flavour == "azure":
        filtered = [{"prompt_index": 0, "content_filter_results": UNFILTERED}]
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filtered}
        return [event({**first, **nothing})]
    if ask.flavour == "deepseek":
        return [b": keep-alive\n\n"]
    return [b": OPENROUTER PROCESSING\n\n"] if ask.flavour == "openrouter" else []


def usage_of(ask: Ask, replies: Sequence[Reply]) -> dict[str, Any]:
    """The usage object; from 1024 prompt tokens on, half of the prompt in steps of 128 counts as cached."""
    prompt = count_prompt([ask.body.get("messages"), ask.body.get("tools")])
    cached = prompt // 2 // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS if prompt >= _CACHE_FROM_TOKENS else 0
    cached = min(prompt, ask.controls.cached if ask.controls.cached is not None else cached)
    output = sum(reply.output_tokens for reply in replies)
    reasoning = sum(len(reply.reasoning) for reply in replies)
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    read, thought = {"cached_tokens": cached}, {"reasoning_tokens": reasoning}
    if ask.flavour == "deepseek":
        hits = {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": prompt - cached}
        return {**usage, "prompt_tokens_details": read, "completion_tokens_details": thought, **hits}
    if ask.flavour == "openrouter":
        prices = zip((prompt, output), OPENROUTER_USD_PER_MILLION, strict=True)
        cost = round(sum(tokens * price for tokens, price in prices) / 1_000_000, 10)
        money = {"cost": cost, "is_byok": False, "cost_details": {"upstream_inference_cost": cost}}
        return {**usage, **money, "prompt_tokens_details": read, "completion_tokens_details": thought}
    predicted = {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    return {
        **usage,
        "prompt_tokens_details": {**read, "audio_tokens": 0},
        "completion_tokens_details": {**thought, "audio_tokens": 0, **predicted},
    }
