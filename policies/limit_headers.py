"""What a refusal by a limit says in headers, in the manner of the provider whose dialect the app speaks. PURE.

OpenAI's clients read `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, with the reset as a duration (`6m0s`);
Anthropic's read `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, with the
reset as an instant. A bucket's limit is its capacity, and its reset is when it is full again; when the very call would
fit is `retry-after`. Only refusals of our own have them: a provider's own headers speak of the provider's limits.
"""

from policies.demand import Refused
from policies.wording import instant_text

_MS_NS = 10**6
_ANTHROPIC = "anthropic."
_OPENAI_NAMES = {"calls": "requests", "tokens": "tokens", "input_tokens": "tokens", "output_tokens": "tokens"}
_ANTHROPIC_NAMES = {
    "calls": "requests",
    "tokens": "tokens",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
}


def limit_headers(refused: Refused, dialect: str, now_ns: int) -> tuple[tuple[str, str], ...]:
    """Names and values; none for what is no pace, or counts what no provider has a header for.

    Args:
        refused: The ledger's no.
        dialect: Name of the dialect that the refusal is worded in.
        now_ns: Unix time in nanoseconds.
    """
    demand = refused.demand
    if demand.kind != "rate" or refused.unavailable or demand.unit not in _OPENAI_NAMES or demand.stated <= 0:
        return ()
    gone = min(max(0, refused.spent + refused.held), demand.limit)
    full_in_ns = -(-gone * demand.per_ns // demand.stated)
    limit, remaining = str(demand.limit), str(demand.limit - gone)
    if dialect.startswith(_ANTHROPIC):
        name = f"anthropic-ratelimit-{_ANTHROPIC_NAMES[demand.unit]}"
        reset = instant_text(now_ns + full_in_ns)
        return ((f"{name}-limit", limit), (f"{name}-remaining", remaining), (f"{name}-reset", reset))
    what = _OPENAI_NAMES[demand.unit]
    return (
        (f"x-ratelimit-limit-{what}", limit),
        (f"x-ratelimit-remaining-{what}", remaining),
        (f"x-ratelimit-reset-{what}", duration_text(full_in_ns)),
    )


def duration_text(duration_ns: int) -> str:
    """`270ms`, `1.5s`, `6m0s`, `1h0m0s`: rounded up to the millisecond."""
    ms = -(-duration_ns // _MS_NS)
    if ms < 1000:
        return f"{ms}ms"
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{ms:03d}".rstrip("0").rstrip(".") + "s" if ms else f"{seconds}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
