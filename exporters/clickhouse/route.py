"""The route of a call: its path with all that is a value taken out, so that a span name stays one of a few. PURE.

Source: OpenTelemetry's HTTP conventions: a span is named by method and a route of low cardinality, never by the path.
"""

import re
from functools import lru_cache

MAX_SEGMENTS = 8
_VALUE = "{id}"
_WORD = re.compile(r"[A-Za-z_-]{0,40}|v[0-9]{1,2}[a-z]{0,8}[0-9]{0,2}|[a-z0-9_]{1,40}_v[0-9]{1,2}")
"""A word of an interface: `chat`, `v1beta`, `chatcompletion_v2`; ids and model names have digits elsewhere."""


@lru_cache(maxsize=4096)
def route(provider: str, path: str, operation: str) -> str:
    """`/openai/v1/files/{id}/content`; empty for a path that nobody described, as that may be anything.

    Args:
        provider: Name of the configured provider.
        path: As sent to it, without the query.
        operation: What the path is; `unknown` where it is none that we know.
    """
    if operation in {"", "unknown"} or not provider:
        return ""
    segments = path.split("?", 1)[0].strip("/").split("/")
    parts = [_part(segment) for segment in segments[:MAX_SEGMENTS]]
    if len(segments) > MAX_SEGMENTS:
        parts.append("...")
    return "/".join(["", provider, *parts])


def _part(segment: str) -> str:
    """A segment that is a word of the interface stays, any other is a value; a verb behind a colon is kept."""
    name, colon, verb = segment.partition(":")
    return colon.join(part if _WORD.fullmatch(part) else _VALUE for part in ((name, verb) if colon else (name,)))
