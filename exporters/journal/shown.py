"""Lines of a quarantine as a person may see them: read where that is possible, and without what may be a key.

Lines of ours hold none. But bytes that are no line of ours, as a damaged disk leaves them, may be anything.
"""

import re
from typing import Any

import msgspec

from exporters.journal.quarantine import Entry
from exporters.journal.reader import LINE_DECODER
from proxy.core.query import REDACTED

MAX_TEXT_CHARS = 400
_WORD = re.compile(r"[A-Za-z0-9+_=.~-]{20,}")
_ID = re.compile(r"(?=[a-z0-9-]*[0-9])[0-9a-f-]{20,40}|[0-9.-]+|[A-Za-z_]{20,40}|(?:[a-z0-9]{1,12}_)+[a-z0-9]{1,12}")
"""Ids of calls and traces, figures, and plain words: nobody's key."""


class ShownLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    readable: bool
    """Whether this version takes it for a line of the journal."""
    kind: str
    """`call`, `open`, `loss`; `row`, `json`, or `bytes`."""
    size_bytes: int
    problem: str = ""
    """Why it is not readable."""
    content: Any = None
    """As JSON, or as text where it is none."""


def shown(entry: Entry, *, limit: int) -> list[ShownLine]:
    """The first lines of an entry. Raises OSError."""
    row = entry.reason.startswith("refused-")
    return [_shown(line, row=row) for line in entry.read()[:limit]]


def _shown(line: bytes, *, row: bool) -> ShownLine:
    try:
        record = LINE_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        problem = "" if row else str(error)
    else:
        return ShownLine(
            readable=True,
            kind=str(record.__struct_config__.tag),
            size_bytes=len(line),
            content=msgspec.json.decode(line),
        )
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        content, kind = without_keys(line.decode("utf-8", "backslashreplace")[:MAX_TEXT_CHARS]), "bytes"
    else:
        content, kind = _without_keys(content), "row" if row else "json"
    return ShownLine(readable=False, kind=kind, size_bytes=len(line), problem=problem, content=content)


def without_keys(text: str) -> str:
    """The text without the words that may be keys: long, and of letters and figures mixed."""
    return _WORD.sub(lambda found: found[0] if _ID.fullmatch(found[0]) else REDACTED, text)


def _without_keys(value: Any) -> Any:
    if isinstance(value, str):
        return without_keys(value)
    if isinstance(value, dict):
        return {without_keys(key): _without_keys(item) for key, item in value.items()}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value
