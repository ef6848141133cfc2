"""The most that a call can use: what its hold is made of. Every figure comes with the way it was found.

Input tokens
    A tokenizer that works on bytes makes at most one token of a byte of UTF-8, and JSON never needs fewer bytes than
    the text that it holds. The frame of a message in JSON is longer than the tokens that mark it, so the length of the
    body bounds every text in it; `FRAME_TOKENS` stand for what the provider puts before it (tool instructions). The
    sum is rounded up, to whole thousands or by an eighth at the most, so that calls of about the same length hold the
    same: that is reckoned once for all of them. An image in the body counts as `IMAGE_TOKENS`, or what its dialect
    states: how small it was packed says nothing. What the body only points at (files by id or URL, stored
    conversations), documents, sound and video have no bound but the model's context; nothing can be larger than that,
    so it bounds everything where it is known. Tools of the provider add input in several rounds: no bound at all.

Output tokens
    The request's own limit; else the model's; else what the rule assumes; else the model's context. Times the number of
    answers asked for.

Money
    Input and output at the dearest rates that the model has (cache writes, long prompts, service tiers and peak hours
    included, see `policies.rates`), and its units (`policies.unit_bounds`): what has no token price has no token bound.

A figure that cannot be bounded is None. Source: the provider fact sheets; OpenAI's image tokens (48,169 for the
largest picture) are the highest published ones.
"""

from decimal import ROUND_CEILING, Context, Decimal

import msgspec

from policies.compiled import ModelRate
from policies.demand import scale_of
from policies.facts import CallFacts, Inputs
from proxy.prices.match import matches

FRAME_TOKENS = 1024
"""More than any provider's published instructions around tools and roles."""
IMAGE_TOKENS = 50_000
"""The largest number of tokens that any provider states for one picture, rounded up."""
DIALECT_IMAGE_TOKENS = {"anthropic.messages": 5_000}
WITHOUT_OUTPUT = frozenset({"embeddings", "moderations", "rerank", "count_tokens"})
"""Operations whose answer has no billed output."""
_ASSUMED = "assumed"
_STEP_TOKENS = 1_000
_FINE_TOKENS = 16_000
"""Up to here one step is enough; it doubles each time that the bound does."""
_PER = 1_000_000
_CEILING = Context(prec=60, rounding=ROUND_CEILING)


class Tokens(msgspec.Struct, frozen=True):
    """The most input and output tokens; None where there is no bound."""

    input: int | None
    output: int | None
    how: str
    """`input=bytes output=max_tokens`: where each figure comes from."""
    assumed: int = 0
    """How many of the output tokens are no bound, but what a rule assumes."""


def token_bound(call: CallFacts, rate: ModelRate | None, assume_output_tokens: int | None = None) -> Tokens:
    """The most tokens that a call can use of a model whose rate is known, or of one that nobody knows."""
    counted = call.inputs is not None and call.inputs.counted
    if counted and rate is not None and not (rate.input_nano or rate.output_nano):
        return Tokens(0, 0, "units")
    context = rate.context_tokens if rate else None
    inputs, how_in = _input(call, context)
    outputs, how_out = _output(call, rate, assume_output_tokens)
    assumed = (outputs or 0) if how_out.startswith(_ASSUMED) else 0
    return Tokens(inputs, outputs, f"input={how_in} output={how_out}", assumed)


def rounded_up(tokens: int) -> int:
    """The next of the figures that input bounds come in: at most a thousand tokens or an eighth more."""
    step = _STEP_TOKENS << (tokens // _FINE_TOKENS).bit_length()
    return -(-tokens // step) * step


def _input(call: CallFacts, context: int | None) -> tuple[int | None, str]:
    inputs = call.inputs
    if inputs is None:
        if call.body_bytes is not None and call.operation in WITHOUT_OUTPUT:
            return rounded_up(call.body_bytes), "bytes"
        return (None, "unread") if context is None else (context, "context")
    if inputs.server_tools:
        return None, f"tool:{inputs.server_tools}"
    if inputs.references or call.request.unread:
        why = inputs.references or call.request.unread
        return (None, f"unseen:{why}") if context is None else (context, f"context:{why}")
    tokens, how = rounded_up(inputs.text_bytes + FRAME_TOKENS), "bytes"
    if inputs.image_bytes:
        tokens += len(inputs.image_bytes) * DIALECT_IMAGE_TOKENS.get(call.dialect, IMAGE_TOKENS)
        how = "bytes+images"
    return (context, "context") if context is not None and context < tokens else (tokens, how)


def _output(call: CallFacts, rate: ModelRate | None, assumed: int | None) -> tuple[int | None, str]:
    if call.operation in WITHOUT_OUTPUT:
        return 0, "none"
    stated = call.request.max_output_tokens
    model = rate.max_output_tokens if rate else None
    context = rate.context_tokens if rate else None
    found = ((stated, "max_tokens"), (model, "model"), (assumed, _ASSUMED), (context, "context"))
    tokens, how = next(((one, how) for one, how in found if one is not None and one >= 0), (None, "none_stated"))
    if tokens is None:
        return None, how
    answers = max(call.request.choices or 1, call.inputs.best_of if call.inputs else 1, 1)
    return tokens * answers, how if answers == 1 else f"{how}*{answers}"


def money_bound(call: CallFacts, tokens: Tokens, rate: ModelRate) -> int | None:
    """The most that a call can cost, in nano-units of the rate's currency, rounded up; None without a bound."""
    nano = rate.call_nano
    for count, price in ((tokens.input, rate.input_nano), (tokens.output, rate.output_nano)):
        if count is None and price:
            return None
        nano += (count or 0) * price
    of_units = _units_bound(call.inputs, rate)
    return None if of_units is None else -(-(nano + of_units) // _PER)


def output_nano(tokens: int, rate: ModelRate) -> int:
    """What so many output tokens cost at the dearest, in nano-units of the rate's currency, rounded up."""
    return -(-tokens * rate.output_nano // _PER)


def _units_bound(inputs: Inputs | None, rate: ModelRate) -> int | None:
    """The most that units can cost, in millionths of nano-units; None where something was not counted."""
    units = inputs.units if inputs else {}
    unknown = inputs.unknown_units if inputs else ()
    counted = inputs is not None and inputs.counted
    for name, price in rate.units_nano.items():
        if name in units or not price:
            continue
        if (not counted and not (rate.input_nano or rate.output_nano)) or _fits(name, unknown):
            return None  # it is billed by something that nobody has counted
    nano, met = 0, False
    for unit, quantity in units.items():
        prices = [price for name, price in rate.units_nano.items() if matches(unit, name)]
        met |= bool(prices)
        nano += int(_CEILING.to_integral_value(_CEILING.multiply(quantity, max(prices, default=0))))
    by_units_alone = bool(rate.units_nano) and not (rate.input_nano or rate.output_nano or rate.call_nano)
    return None if by_units_alone and not met else nano


def _fits(name: str, globs: tuple[str, ...]) -> bool:
    return any(matches(glob, name) for glob in globs)


def unit_bound(call: CallFacts, tokens: Tokens, unit: str) -> int | None:
    """The most of a unit that is no money, in whole numbers of its scale; None without a bound."""
    if unit in {"calls", "concurrent"}:
        return 1
    if unit == "input_tokens":
        return tokens.input
    if unit == "output_tokens":
        return tokens.output
    if unit == "tokens":
        return None if tokens.input is None or tokens.output is None else tokens.input + tokens.output
    if call.inputs is None:
        return None
    most = max((quantity for name, quantity in call.inputs.units.items() if matches(name, unit)), default=None)
    if most is None:
        return None if call.inputs.server_tools or _fits(unit, call.inputs.unknown_units) else 0
    return scaled(most, scale_of(unit))


def scaled(amount: Decimal, scale: int) -> int:
    """An amount in whole numbers of 10**-scale, rounded up."""
    return int(_CEILING.to_integral_value(amount.scaleb(scale, _CEILING)))


def exchanged(nano: int, exchange: Decimal) -> int:
    """Nano-units of a bill's currency in nano-units of another, rounded up."""
    return int(_CEILING.to_integral_value(_CEILING.multiply(nano, exchange)))
