"""What an attempt used that nobody will ever tell of, because it was broken off from our side or died with us. PURE.

Where something was reserved for the call, that is the estimate. Else it comes from the size of the request (four bytes
to a token, the common rule of thumb for English) and the output limit that the app asked for. Where the app set no
limit, and where the body is too large to be text alone (images count by other rules), a figure would be made up: it
stays unknown.
"""

from proxy.core.record import Hold
from proxy.core.usage import NO_USAGE, Usage

BYTES_PER_TOKEN = 4
MAX_TEXT_BYTES = 1024 * 1024
"""A larger request is taken to hold more than text."""


def held_usage(hold: Hold, origin: str) -> Usage:
    """The bounds that were reserved, as usage."""
    if hold.input_tokens is None and hold.output_tokens is None and not hold.units:
        return NO_USAGE
    return Usage(
        input_tokens=hold.input_tokens,
        output_tokens=hold.output_tokens,
        units=hold.units,
        source="estimated",
        origin=origin,
    )


def estimated_usage(
    *, model: str, dialect: str, request_bytes: int, max_output_tokens: int | None, origin: str
) -> Usage:
    """A guess from the request alone; nothing where the request says too little."""
    is_text = 0 < request_bytes <= MAX_TEXT_BYTES
    if not model or not dialect or not is_text:
        return NO_USAGE
    return Usage(
        input_tokens=-(-request_bytes // BYTES_PER_TOKEN),
        output_tokens=max_output_tokens,
        source="estimated",
        origin=origin,
    )
