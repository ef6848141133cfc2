"""Asking an OpenAI-style stream for its usage on behalf of an app that did not ask, and hiding that we asked.

Without `stream_options.include_usage` such a stream says nothing of its tokens. `ask_for_usage` puts the option into
the text of the request and leaves every other byte. By OpenAI's contract the option adds two things to the stream: a
last chunk with `choices: []` and the usage, and a member `"usage":null` in every other chunk. `UsageFilter` takes both
off again, so that the app sees the bytes that it would have seen un-asked. An app that says `include_usage: false`
speaks of what it wants to see, and sees just that.

A call is not asked, and goes out as it came, where the option is refused or changes more than the usage:
- `data_sources` (Azure "on your data") answers 400 to `stream_options`;
- `continuous_usage_stats` (vLLM) would put figures into every chunk;
- duplicate or escaped keys, and values that are no option object: which one counts is the server's secret.

What the filter leaves, because it is there without asking too:
- chunks with empty `choices` that carry something else (Azure's prompt filter results, moderation, an error);
- usage in chunks that have a choice (DeepSeek, Gemini, xAI, vLLM, MiniMax's placeholders);
- `"usage":null` of a provider that always writes it (MiniMax): `keeps_null_usage`;
- comments, even inside the event that is dropped, and events that are no JSON.
"""

import msgspec

from proxy.core.facts import RequestFacts
from proxy.core.json_edit import Member, members, span_of, with_first_member, with_value
from proxy.core.sse import BOM, Event, EventSplitter

_OPTIONS = b"stream_options"
_INCLUDE = b"include_usage"
_ASKED = b'{"include_usage":true}'
_REFUSING = b"data_sources"
_UNSAFE_OPTION = b"continuous_usage_stats"

_USAGE = b"usage"
_NULL_AT_END = b',"usage":null}'
_SPACES = b" \t\r\n"
_NOTHING = frozenset({b"", b"null", b"[]", b"{}"})
_ABSENT = msgspec.Raw()


def ask_for_usage(body: bytes, facts: RequestFacts) -> bytes | None:
    """The request body with the usage option added, or None when it has to go as it is.

    Args:
        body: the decoded JSON body.
        facts: what the OpenAI chat dialect read from this very body.

    """
    if not facts.streaming or facts.include_usage or facts.unread is not None:
        return None
    # Inside a JSON string quotes are escaped: these bytes can only be a whole key or a whole string value.
    if not facts.has_stream_options and b'"stream_options"' not in body and b'"data_sources"' not in body:
        return with_first_member(body, _OPTIONS, _ASKED)
    found = members(body)
    if found is None or any(member.key == _REFUSING for member in found):
        return None
    options = [member for member in found if member.key == _OPTIONS]
    if not options:
        # Options that the reader saw and the text does not have under this name: the key is written with escapes.
        return None if facts.has_stream_options else with_first_member(body, _OPTIONS, _ASKED)
    return _with_option(body, options[0]) if len(options) == 1 else None


def _with_option(body: bytes, options: Member) -> bytes | None:
    text = options.value(body)
    if text == b"null":
        return with_value(body, options, _ASKED)
    inner = members(text)
    if inner is None or any(b"\\" in member.key or member.key == _UNSAFE_OPTION for member in inner):
        return None
    present = [member for member in inner if member.key == _INCLUDE]
    if not present:
        edited = with_first_member(text, _INCLUDE, b"true")
    elif len(present) == 1 and present[0].value(text) in {b"false", b"null"}:
        edited = with_value(text, present[0], b"true")
    else:
        edited = None
    return None if edited is None else with_value(body, options, edited)


class _Chunk(msgspec.Struct):
    """The members of a chunk that decide what becomes of it, unread."""

    usage: msgspec.Raw = _ABSENT
    choices: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT
    moderation: msgspec.Raw = _ABSENT
    prompt_filter_results: msgspec.Raw = _ABSENT
    base_resp: msgspec.Raw = _ABSENT


class UsageFilter:
    """Gives what the app would have seen un-asked. Never raises, and holds at most one unfinished event."""

    __slots__ = ("_keeps_null_usage", "_splitter")

    def __init__(self, *, keeps_null_usage: bool = False) -> None:
        self._keeps_null_usage = keeps_null_usage
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the decoded stream; give what of it goes to the app now."""
        return b"".join([self._pass(event) for event in self._splitter.feed(data)])

    def finish(self) -> bytes:
        """End of the stream, clean or not: what was still held."""
        return b"".join([self._pass(event) for event in self._splitter.finish()])

    def _pass(self, event: Event) -> bytes:
        data = event.data
        if data is None or b'"usage"' not in data:
            return event.raw
        try:
            chunk = _read_chunk(data)
        except (msgspec.DecodeError, RecursionError):
            return event.raw
        if bytes(chunk.usage) == b"null":
            return event.raw if self._keeps_null_usage else _without_usage(event)
        return _comments(event.raw) if _is_usage_only(chunk) else event.raw


_read_chunk = msgspec.json.Decoder(_Chunk).decode


def _is_usage_only(chunk: _Chunk) -> bool:
    """Whether a chunk holds real figures, no choice (`[]`; null where Go wrote it), and nothing else of interest."""
    if _compact(chunk.choices) not in {b"[]", b"null"} or not _has_figures(chunk.usage):
        return False
    if any(_compact(other) not in _NOTHING for other in (chunk.error, chunk.moderation, chunk.prompt_filter_results)):
        return False
    # MiniMax can put an error into its last chunk; code 0 is none.
    base_resp = _value(chunk.base_resp)
    return not (isinstance(base_resp, dict) and base_resp.get("status_code"))


def _has_figures(usage: msgspec.Raw) -> bool:
    """Whether it is a usage object that was measured; a placeholder (`"total_tokens":0` and no parts) is not."""
    figures = _value(usage)
    if not isinstance(figures, dict):
        return False
    parts = (figures.get("prompt_tokens"), figures.get("completion_tokens"), figures.get("total_tokens") or None)
    return any(isinstance(part, int | float) for part in parts)


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _compact(raw: msgspec.Raw) -> bytes:
    return bytes(raw).translate(None, _SPACES)


def _without_usage(event: Event) -> bytes:
    """The event less its outermost `usage` member."""
    raw, data = event.raw, event.data or b""
    if data.endswith(_NULL_AT_END) and raw.startswith(b"data:") and (start := raw.find(data, 5)) in {5, 6}:
        # What valid JSON closes with belongs to the outermost object; this is where servers put it.
        brace = start + len(data) - 1
        return raw[: brace + 1 - len(_NULL_AT_END)] + raw[brace:]
    found = members(_payload_in_place(raw)) or []
    places = [index for index, member in enumerate(found) if member.key == _USAGE]
    if len(places) != 1:
        return raw
    start, end = span_of(found, places[0])
    return raw[:start] + raw[end:]


def _payload_in_place(raw: bytes) -> bytes:
    """The event's text with everything blanked that is not data, so that offsets in it are offsets in the event."""
    lines = []
    for line in raw.removeprefix(BOM).splitlines(keepends=True):
        text = line.rstrip(b"\r\n")
        skipped = (6 if text.startswith(b"data: ") else 5) if text.startswith(b"data:") else len(text)
        lines.append(b" " * skipped + line[skipped:])
    return b"".join(lines).rjust(len(raw))


def _comments(raw: bytes) -> bytes:
    """What stays of a dropped event: its comment lines, and the byte order mark of the stream if it came first."""
    mark = BOM if raw.startswith(BOM) else b""
    lines = raw.removeprefix(BOM).splitlines(keepends=True)
    return mark + b"".join(line for line in lines if line.startswith(b":"))
