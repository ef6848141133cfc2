"""Ways to feed a reader, and its facts laid out like the corpus's expectations."""

from proxy.core.facts import AnswerHead


def read(dialect, body, *, status=200, content_type="text/event-stream", sizes=(), clean=True, max_bytes=1 << 25):
    """Facts and `saw_content` of a body fed in pieces of the given sizes, then the rest at once."""
    reader = dialect.reader(AnswerHead(status=status, content_type=content_type), max_bytes)
    at = 0
    for size in sizes:
        reader.feed(body[at : at + size])
        at += size
    reader.feed(body[at:])
    return reader.finish(clean=clean), reader.saw_content


def facts_of(dialect, body, **how):
    """Facts alone."""
    return read(dialect, body, **how)[0]


def sse(*chunks):
    """A stream of these JSON texts."""
    return b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks)


def moment_of_content(dialect, *pieces, content_type="text/event-stream"):
    """The number of the piece (from 0) after which content was seen; None when there was none."""
    reader = dialect.reader(AnswerHead(status=200, content_type=content_type))
    for number, piece in enumerate(pieces):
        reader.feed(piece)
        if reader.saw_content:
            return number
    return None


def laid_out(facts, model_requested):
    """Facts by the paths of `expected.json`, amounts as plain text."""
    usage = facts.usage
    seen = {
        "model": facts.model or model_requested,
        "response_id": facts.response_id,
        "finish_reason": facts.finish_reason,
        "finish_class": facts.finish_class,
        "stream_end": facts.stream_end,
        "usage_complete": usage.complete,
    }
    if facts.error is not None:
        seen |= {
            "error.provider_code": facts.error.code,
            "error.provider_type": facts.error.type,
            "error.message": facts.error.message,
        }
    else:
        seen["error"] = None
    if facts.provider_cost is not None:
        seen["provider_cost.amount"] = format(facts.provider_cost.amount.normalize(), "f")
        seen["provider_cost.currency"] = facts.provider_cost.currency
    else:
        seen["provider_cost"] = None
    return seen | _usage_laid_out(usage)


def _usage_laid_out(usage):
    if usage.source == "none":
        return {"usage": None}
    names = ("input", "output", "cached_input", "cache_write", "cache_write_5m", "cache_write_1h", "reasoning", "total")
    seen = {f"usage.{name}_tokens": getattr(usage, f"{name}_tokens") for name in names}
    return seen | {
        "usage.audio_input_tokens": usage.audio_input_tokens,
        "usage.audio_output_tokens": usage.audio_output_tokens,
        "usage.units": {name: int(quantity) for name, quantity in usage.units.items()} or None,
    }
