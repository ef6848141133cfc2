"""What the first target does wrong, at which moment, and what has to come of it."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from proxy.core.errors import ErrorClass
from tests.failover.speech import Speech
from tests.fakes.raw_upstream import Conversation

Money = Literal["none", "known", "held", "doubtful"]
"""What the first target's attempt costs: nothing, what it reported, or (nobody knows) as much as was held; `doubtful`
is nothing or that, as the books are the more careful."""
End = Literal["next", "own", "broken"]
"""What the app sees: the second target's answer, the first one's as it is, or a part of it and a break."""
Play = Callable[[Conversation, Speech, bool], Awaitable[None]]
LIMIT_MS = 150
"""Of the first byte and of silence, in the route of the suite."""

_EVENTS = b"text/event-stream"
_JSON = b"application/json"
_REFUSAL = b'{"error":{"message":"not now"}}'


class Expected(msgspec.Struct, frozen=True):
    """What has to come of a fault."""

    end: End
    outcome: ErrorClass | Literal["ok"]
    money: Money


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong."""

    name: str
    play: Play | None
    """None: nobody listens."""
    whole: Expected | None
    """Of a whole answer; None where there is no such moment in one. Likewise streamed."""
    streamed: Expected | None
    hedge_ms: int | None = None
    """After so long without content the second target is asked, too; None lets the first one end."""


def _head(streamed: bool, status: bytes = b"200 OK", *lines: bytes, content_type: bytes = b"") -> bytes:
    kind = content_type or (_EVENTS if streamed else _JSON)
    return b"\r\n".join(
        (b"HTTP/1.1 " + status, b"Content-Type: " + kind, *lines, b"Transfer-Encoding: chunked\r\n\r\n")
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


_END = b"0\r\n\r\n"


async def _reset(conversation: Conversation, speech: Speech, streamed: bool) -> None:
    conversation.reset()


async def _silent(conversation: Conversation, speech: Speech, streamed: bool) -> None:
    await conversation.gone()


async def _close(conversation: Conversation, speech: Speech, streamed: bool) -> None:
    conversation.writer.close()


def _part(speech: Speech, *, streamed: bool, content: int) -> bytes:
    """The beginning of a good answer; in a stream with so many events of content."""
    if streamed:
        return b"".join((*speech.before, *speech.pieces[:content]))
    return speech.whole[: len(speech.whole) // 2]


def _then(last: Play, *, content: int | None = None) -> Play:
    """Begin an answer, then do something else; without `content` after the head alone."""

    async def play(conversation: Conversation, speech: Speech, streamed: bool) -> None:
        begun = b"" if content is None else _part(speech, streamed=streamed, content=content)
        await conversation.say(_head(streamed) + _chunk(begun))
        await last(conversation, speech, streamed)

    return play


def _says(make: Callable[[Speech, bool], bytes], status: bytes = b"200 OK", *lines: bytes, kind: bytes = b"") -> Play:
    """A complete answer with this payload."""

    async def play(conversation: Conversation, speech: Speech, streamed: bool) -> None:
        whole = streamed and status.startswith(b"200")
        await conversation.say(_head(whole, status, *lines, content_type=kind) + _chunk(make(speech, streamed)) + _END)

    return play


async def _late(conversation: Conversation, speech: Speech, streamed: bool) -> None:
    import asyncio  # noqa: PLC0415 - only this fault waits

    await asyncio.sleep(LIMIT_MS / 1000 / 3)
    await conversation.say(_head(streamed) + _chunk(speech.stream if streamed else speech.whole) + _END)


def _error(before: int) -> Callable[[Speech, bool], bytes]:
    return lambda speech, _: b"".join((*speech.pieces[:before], speech.error_event))


def _malformed(speech: Speech, _: bool) -> bytes:
    return b"".join((*speech.before, *speech.pieces[:3], speech.malformed, *speech.pieces[3:], *speech.after))


_NEXT_FREE = {kind: Expected("next", kind, "none") for kind in ("connect_error", "rate_limit", "overloaded", "auth")}
_CONNECT = _NEXT_FREE["connect_error"]
_DOUBTFUL = Expected("next", "connect_error", "doubtful")
_TIMEOUT = Expected("next", "timeout", "held")
_CUT = Expected("next", "stream_truncated", "held")
_BROKEN = Expected("broken", "stream_truncated", "held")
_BAD = Expected("next", "bad_upstream_body", "held")
_STATED = Expected("next", "overloaded", "none")
_OUTRUN = Expected("next", "unknown", "held")
_HEDGE_MS = 5

FAULTS = (
    Fault(name="refused", play=None, whole=_CONNECT, streamed=_CONNECT),
    Fault(name="reset before head", play=_reset, whole=_DOUBTFUL, streamed=_DOUBTFUL),
    Fault(name="reset after head", play=_then(_reset), whole=_CUT, streamed=_CUT),
    Fault(name="reset mid-stream", play=_then(_reset, content=3), whole=_CUT, streamed=_BROKEN),
    Fault(name="closed mid-stream", play=_then(_close, content=3), whole=_CUT, streamed=_BROKEN),
    Fault(name="stall before head", play=_silent, whole=_TIMEOUT, streamed=_TIMEOUT),
    Fault(name="stall after head", play=_then(_silent), whole=_TIMEOUT, streamed=_TIMEOUT),
    Fault(
        name="stall mid-stream",
        play=_then(_silent, content=3),
        whole=_TIMEOUT,
        streamed=Expected("broken", "timeout", "held"),
    ),
    Fault(name="hedged: no head", play=_silent, whole=_OUTRUN, streamed=_OUTRUN, hedge_ms=_HEDGE_MS),
    Fault(name="hedged: head alone", play=_then(_silent), whole=_OUTRUN, streamed=_OUTRUN, hedge_ms=_HEDGE_MS),
    Fault(name="hedged: refused", play=None, whole=_CONNECT, streamed=_CONNECT, hedge_ms=_HEDGE_MS * 1000),
    Fault(name="malformed SSE line", play=_says(_malformed), whole=None, streamed=Expected("own", "ok", "known")),
    Fault(
        name="error in a 200 body",
        play=_says(lambda speech, _: speech.error_whole),
        whole=_STATED,
        streamed=None,
    ),
    Fault(name="error as first event", play=_says(_error(0)), whole=None, streamed=_STATED),
    Fault(
        name="error as tenth event",
        play=_says(_error(9)),
        whole=None,
        streamed=Expected("own", "overloaded", "held"),
    ),
    Fault(name="empty answer", play=_says(lambda *_: b""), whole=_BAD, streamed=_CUT),
    Fault(
        name="no end marker, no content",
        play=_says(lambda speech, _: b"".join(speech.before)),
        whole=None,
        streamed=_CUT,
    ),
    Fault(
        name="no end marker",
        play=_says(lambda speech, _: b"".join((*speech.before, *speech.pieces))),
        whole=None,
        streamed=_BROKEN,
    ),
    Fault(
        name="slow first byte",
        play=_late,
        whole=Expected("own", "ok", "known"),
        streamed=Expected("own", "ok", "known"),
    ),
    Fault(
        name="wrong content type",
        play=_says(lambda *_: b"<html>gateway</html>", kind=b"text/html"),
        whole=_BAD,
        streamed=_BAD,
    ),
    Fault(
        name="truncated JSON",
        play=_says(lambda speech, _: speech.whole[:-20]),
        whole=_BAD,
        streamed=None,
    ),
    Fault(
        name="429",
        play=_says(lambda *_: _REFUSAL, b"429 Too Many Requests"),
        whole=_NEXT_FREE["rate_limit"],
        streamed=_NEXT_FREE["rate_limit"],
    ),
    Fault(
        name="429 with retry-after",
        play=_says(lambda *_: _REFUSAL, b"429 Too Many Requests", b"Retry-After: 60"),
        whole=_NEXT_FREE["rate_limit"],
        streamed=_NEXT_FREE["rate_limit"],
    ),
    Fault(
        name="529",
        play=_says(lambda *_: _REFUSAL, b"529 Overloaded"),
        whole=_NEXT_FREE["overloaded"],
        streamed=_NEXT_FREE["overloaded"],
    ),
    Fault(
        name="401",
        play=_says(lambda *_: _REFUSAL, b"401 Unauthorized"),
        whole=_NEXT_FREE["auth"],
        streamed=_NEXT_FREE["auth"],
    ),
)
