"""HTTP/1.1 framing of a provider's answer: strict, pure, and byte for byte.

Rules of this file:
- Bytes that are passed on are never re-made: a head keeps its bytes less the headers that are cut out, chunked bodies
  keep their own framing.
- What RFC 9112 calls an error is an error here, before a byte of it reaches the app. The two places where the RFC lets
  a proxy repair are named where they are used.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec

from proxy.core.facts import AnswerHead

MAX_HEAD_BYTES = 256 * 1024
"""Larger heads are refused: nginx allows 4 to 8 KiB, aiohttp 8 KiB a line, browsers about 256 KiB in all."""
MAX_CHUNK_LINE_BYTES = 4096
MAX_TRAILER_BYTES = 64 * 1024

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\x00]*)?(?:\r\n" + _TOKEN + rb":[^\r\n\x00]*)*\r\n\r\n",
)
DECIDING = frozenset(
    b"content-length transfer-encoding content-type content-encoding connection keep-alive proxy-connection"
    b" proxy-authenticate te trailer upgrade".split()
)
"""Lower-case names of headers that decide what a head means or what is cut out of it; `x-taximeter-*` are others."""
_WANTED = re.compile(
    rb"\r\n(" + b"|".join(sorted(DECIDING)) + rb"|x-taximeter-[^:]*):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_TO_CUT = re.compile(rb"\r\n(?:connection|keep-alive|proxy-|te:|trailer|transfer-encoding|upgrade|x-taximeter-)")
"""Finds in a lower-case head whether there is anything to cut out at all."""
_LENGTH = b"\r\ncontent-length:"
_CODING = b"\r\ncontent-encoding:"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\r\n")
_NOT_TO_CUT = frozenset(
    {b"close", b"keep-alive", b"upgrade", b"", b"content-length", b"content-type", b"content-encoding"}
)
"""Named in `Connection`, these are no headers to cut out: options of it, or what the body cannot be read without."""

Framing = Literal["none", "length", "chunked", "close", "tunnel"]


class FramingError(Exception):
    """The provider's bytes are not HTTP/1.1. The message says in what way; it holds none of the bytes."""


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """The head of one answer."""

    status: int
    raw: bytes
    """All of it, from the status line to the empty line."""
    relayed: bytes
    """What the app may get: the hop-by-hop headers are cut out, the last empty line is not there yet."""
    framing: Framing
    length: int
    """Body length in bytes where `framing` is `length`, else 0."""
    content_type: str
    """Lower case, without parameters."""
    content_encoding: str
    """Lower case; empty for none."""
    keep_alive: bool
    """Whether the connection may carry another call after this one."""
    answer: AnswerHead
    """What a reader of the body is told; one object for all heads of a shape."""
    request_id: str = ""
    """The provider's own id of the request; empty for none."""


def split_head(buffer: bytes | bytearray) -> int:
    """Length of a complete head at the start of `buffer`, 0 when it is not complete yet.

    Raises:
        FramingError: it is longer than any honest head.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD_BYTES:
            raise FramingError(f"the head of the answer is longer than {MAX_HEAD_BYTES} bytes")
        return 0
    if end > MAX_HEAD_BYTES:
        raise FramingError(f"the head of the answer is longer than {MAX_HEAD_BYTES} bytes")
    return end + 4


def parse_head(raw: bytes, *, method: str, request_id_names: tuple[bytes, ...] = ()) -> ResponseHead:
    """Read a complete head (`split_head` found it).

    Args:
        raw: From the status line to the empty line.
        method: Of the request that it answers.
        request_id_names: Lower-case names of headers with the provider's own id of the request, best first.

    Raises:
        FramingError: it is not well formed, or its body length is ambiguous.
    """
    matched = _HEAD.fullmatch(raw)
    if matched is None:
        raise FramingError("the head of the answer is not HTTP/1.1")
    lowered = raw.lower()
    old = matched[1] == b"0"
    plain = not old and _TO_CUT.search(lowered) is None
    if plain and lowered.count(_LENGTH) < 2 and lowered.count(_CODING) < 2:
        lengths, content_type, content_encoding = _plain_values(raw, lowered)
        codings: list[bytes] = []
        relayed, keep_alive = raw[:-2], True
    else:
        lengths, codings, content_type, content_encoding, relayed, keep_alive = _sort(raw, old=old)
    status = int(matched[2])
    framing, length = _body_framing(status, method, lengths, codings)
    if framing == "none" and (codings or any(length != b"0" for length in lengths)):
        # A server that sends the body it announces to HEAD or 204 after all: it would be taken for the next answer.
        keep_alive = False
    if framing == "chunked" and (lengths or old):
        # RFC 9112 6.1: a proxy may repair this: trust the coding, take the length away, do not reuse the connection.
        relayed = _without(relayed, {b"content-length"})
        keep_alive = False
    if status == 101:
        relayed = raw[:-2]
    media_type = _media_type(content_type)
    coding = str(content_encoding.lower(), "latin-1") if content_encoding else ""
    return ResponseHead(
        status,
        raw,
        relayed,
        framing,
        length,
        media_type,
        coding,
        keep_alive and framing != "close",
        AnswerHead(status=status, content_type=media_type, content_encoding=coding),
        _first(raw, lowered, request_id_names),
    )


def _first(raw: bytes, lowered: bytes, names: tuple[bytes, ...]) -> str:
    """The value of the first of these headers that has one; empty when none has."""
    for name in names:
        value = _value(raw, lowered, b"\r\n" + name + b":")
        if value:
            return str(value, "latin-1")
    return ""


def _plain_values(raw: bytes, lowered: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Length, type and coding of a head that has each of them once and nothing to cut out: the quick way."""
    length = _value(raw, lowered, _LENGTH)
    return (
        [] if length is None else [length],
        _value(raw, lowered, b"\r\ncontent-type:") or b"",
        _value(raw, lowered, _CODING) or b"",
    )


def _value(raw: bytes, lowered: bytes, start: bytes) -> bytes | None:
    at = lowered.find(start)
    if at < 0:
        return None
    at += len(start)
    return raw[at : raw.index(b"\r\n", at)].strip(b" \t")


def _sort(raw: bytes, *, old: bool) -> tuple[list[bytes], list[bytes], bytes, bytes, bytes, bool]:
    """Lengths, transfer codings, type, content coding, what may pass, and whether the connection stays."""
    lengths: list[bytes] = []
    codings: list[bytes] = []
    content_type = content_encoding = b""
    named: set[bytes] = set()
    relayed, start = b"", 0
    for found in _WANTED.finditer(raw):
        name = found[1].lower()
        if name == b"content-length":
            lengths.append(found[2])
        elif name == b"content-type":
            content_type = content_type or found[2]
        elif name == b"content-encoding":
            content_encoding = content_encoding + b"," + found[2] if content_encoding else found[2]
        else:
            relayed += raw[start : found.start()]
            start = found.end()
            if name == b"connection":
                named.update(part.strip().lower() for part in found[2].split(b","))
            elif name == b"transfer-encoding":
                codings.append(found[2])
    relayed += raw[start:-2]
    if old:
        relayed = b"HTTP/1.1" + relayed[8:]
    extra = named - _NOT_TO_CUT
    if extra:
        relayed = _without(relayed, extra)
    keep_alive = b"close" not in named and (not old or b"keep-alive" in named)
    return lengths, codings, content_type, content_encoding, relayed, keep_alive


@lru_cache(256)
def _media_type(value: bytes) -> str:
    return str(value.partition(b";")[0].strip().lower(), "latin-1")


def _body_framing(status: int, method: str, lengths: list[bytes], codings: list[bytes]) -> tuple[Framing, int]:
    """RFC 9112 section 6.3, in its order."""
    if status == 101:
        return "tunnel", 0
    if method == "HEAD" or status < 200 or status in {204, 304}:
        return "none", 0
    if codings:
        # What else was done to the body the app could not undo: the field that says so is cut out.
        coding = b",".join(codings).strip().lower()
        if coding not in {b"chunked", b"identity"}:
            raise FramingError("the answer has a transfer coding that was not asked for")
        return ("chunked" if coding == b"chunked" else "close"), 0
    if not lengths:
        return "close", 0
    length = lengths[0]
    if len(lengths) > 1 or b"," in length:
        # Repeated equal lengths may be taken as one (RFC 9110 8.6); anything else is ambiguous.
        distinct = {part.strip() for value in lengths for part in value.split(b",")}
        length = distinct.pop()
        if distinct:
            raise FramingError("the answer has no single valid content-length")
    if not length.isdigit() or len(length) > 18:
        raise FramingError("the answer has no single valid content-length")
    return "length", int(length)


def _without(head: bytes, names: set[bytes]) -> bytes:
    lines = head[:-2].split(b"\r\n")
    kept = [line for line in lines[1:] if line.partition(b":")[0].lower() not in names]
    return b"\r\n".join([lines[0], *kept]) + b"\r\n"


class ChunkedBody:
    """Follows a chunked body so that its own bytes can be passed on as they come.

    `feed` gives the payload pieces of the new bytes and how many of the bytes belong to the body; `done` says that its
    end was reached. Malformed framing sets `error`; the bytes before it still count.
    """

    __slots__ = ("_left", "_line", "_state", "_trailer_bytes", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error = ""
        self._left = 0
        self._line = b""
        self._state: Literal["size", "data", "crlf", "trailer"] = "size"
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """Follow `data`; returns (payload pieces, number of bytes that were well formed)."""
        pieces: list[bytes] = []
        position = 0
        size = len(data)
        while position < size and not self.done and not self.error:
            if self._state == "size":
                position = self._read_size(data, position)
            elif self._state == "data":
                end = min(position + self._left, size)
                pieces.append(data[position:end] if position or end < size else data)
                self._left -= end - position
                position = end
                if not self._left:
                    self._state = "crlf"
            elif self._state == "crlf":
                position = self._read_crlf(data, position)
            else:
                position = self._read_trailer(data, position)
        return pieces, position

    def _read_size(self, data: bytes, position: int) -> int:
        if self._line:
            return self._read_cut_size(data, position)
        line = _CHUNK_LINE.match(data, position)
        if line is None:
            return self._read_cut_size(data, position)
        self._begin_chunk(line[1])
        return line.end()

    def _read_cut_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        if end < 0:
            self._line += data[position:]
            if len(self._line) > MAX_CHUNK_LINE_BYTES:
                self.error = "a chunk size line is too long"
                return position
            return len(data)
        line = _CHUNK_LINE.fullmatch(self._line + data[position : end + 1])
        if line is None:
            self.error = "a chunk size line is malformed"
            return position
        self._line = b""
        self._begin_chunk(line[1])
        return end + 1

    def _begin_chunk(self, size: bytes) -> None:
        self._left = int(size, 16)
        self._state = "data" if self._left else "trailer"

    def _read_crlf(self, data: bytes, position: int) -> int:
        wanted = b"\r\n"[len(self._line) :]
        got = data[position : position + len(wanted)]
        if not wanted.startswith(got):
            self.error = "a chunk does not end where it said"
            return position
        self._line += got
        if len(self._line) == 2:
            self._line = b""
            self._state = "size"
        return position + len(got)

    def _read_trailer(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        self._line += data[position:stop]
        self._trailer_bytes += stop - position
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            self.error = "the trailer section is too long"
        elif end >= 0:
            if not self._line.endswith(b"\r\n"):
                self.error = "the trailer section is malformed"
            elif self._line == b"\r\n":
                self.done = True
            self._line = b""
        return position if self.error else stop


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body that the proxy frames itself."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
