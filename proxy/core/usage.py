"""What a provider says was used, in one normal form for every dialect.

Rules that every reader follows: absent is None and never 0; null never overwrites a number; the last object with real
figures wins; figures of two frames of one response are never added up.
"""

from decimal import Decimal
from typing import Literal

import msgspec

UsageSource = Literal["provider", "computed", "estimated", "none"]


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consumption of one attempt. Token figures are counts; None means "not reported".

    `input_tokens` holds all prompt tokens, cache reads and writes included; `output_tokens` all billed output,
    reasoning included. The `cached_`, `cache_write_`, `reasoning_` and `audio_` figures are parts of those two.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    total_tokens: int | None = None
    units: dict[str, Decimal] = {}
    """Everything counted that is not a token: `characters`, `audio_seconds`, `images`, `web_search_requests` ..."""
    source: UsageSource = "none"
    origin: str = ""
    """Where on the wire the figures stood, e.g. `response.usage` or `stream.usage_chunk`; informative."""
    complete: bool = False
    """False when the figures are provisional or partial: a broken stream, a total without its parts."""
    parts: tuple["UsagePart", ...] = ()
    """Usage of further models inside one answer (Anthropic `iterations`), each priced by its own model."""


class UsagePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consumption by one model inside an answer that several models worked on."""

    kind: str
    model: str | None
    usage: Usage


NO_USAGE = Usage()
"""Nothing was reported."""
