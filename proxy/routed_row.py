"""What a routed attempt's row says otherwise than that of a call without a route: its target is not the app's own."""

from collections.abc import Collection

from msgspec.structs import replace

from proxy.call import Call
from proxy.core.coding import Decoder
from proxy.core.errors import ErrorFacts
from proxy.core.facts import ResponseFacts
from proxy.core.query import REDACTED
from proxy.core.sse import EventSplitter
from proxy.exchange import Exchange
from proxy.held_exchange import HeldExchange
from proxy.upstream.provider import Upstream

_SHORTEST_KEY_CHARS = 8
"""A shorter one is no secret, but a word that may stand in any message."""
_END_MARKERS = frozenset({"done_marker", "message_stop"})


def without_keys(error: ErrorFacts, call: Call, upstream: Upstream) -> ErrorFacts:
    """The error without the keys that were used, the app's and the operator's: some providers repeat them."""
    message = error.message or ""
    own = (key.decode("utf-8", "replace") for key in call.identity.credentials)
    for key in (*own, *(key.secret for key in (*upstream.keys.all, *call.upstream.keys.all))):
        if len(key) >= _SHORTEST_KEY_CHARS:
            message = message.replace(key, REDACTED)
    return replace(error, message=message)


def had_answer(exchange: Exchange | None, facts: ResponseFacts) -> bool:
    """Whether there was nothing more to come for an app that has left."""
    if exchange is None or exchange.head is None:
        return False
    return exchange.complete or facts.stream_end in _END_MARKERS


def header_values(raw: bytes, names: Collection[str]) -> dict[str, str]:
    """Those of an answer's headers that somebody wants, by names in lower case; of several of a name the first."""
    found: dict[str, str] = {}
    for line in raw.split(b"\r\n")[1:]:
        name, mark, value = line.partition(b":")
        low = str(name, "latin-1").lower()
        if mark and low in names and low not in found:
            found[low] = str(value.strip(), "latin-1")
    return found


def decoded(exchange: HeldExchange, max_bytes: int) -> bytes:
    """What was kept of an answer's payload, without its content coding; `max_bytes` of it at the most."""
    data, coding = exchange.captured, exchange.head.content_encoding if exchange.head is not None else ""
    if not data or not coding:
        return data
    decoder = Decoder(coding, max_bytes)
    return decoder.feed(data) + decoder.finish()


def last_event(stream: bytes) -> bytes:
    """The data of the last event in a stream that has any."""
    splitter = EventSplitter()
    events = [event.data for event in (*splitter.feed(stream), *splitter.finish()) if event.data]
    marked = [data for data in events if data.strip() != b"[DONE]"]
    return marked[-1] if marked else b""
