"""HTTP content codings: bodies are undone and answers are packed piece by piece, within fixed memory.

A decoder hands out pieces of bounded size, so that a small body that unfolds to gigabytes costs nothing but time.
Source: ClickHouse documentation, "HTTP interface", compression: zstd, lz4 (frames), gzip, deflate (zlib) and br.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import lz4.frame  # type: ignore[import-untyped]  # publishes no types

from exporters.store.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, StoreError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1024 * 1024
_BROTLI_QUALITY = 3
_ZSTD_LEVEL = 1


class Decoder(Protocol):
    """Undoes a coding: feed pieces, then `finish`."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces, each of a bounded size. Raises StoreError on data that is not of this coding."""

    def finish(self) -> None:
        """Raises StoreError when the data broke off. No data at all are fine."""


class Encoder(Protocol):
    """Packs an answer: feed pieces, then `finish`."""

    def feed(self, data: bytes) -> bytes:
        """What can be sent already; everything fed so far can be read from it."""

    def finish(self) -> bytes:
        """The end."""


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data

    def finish(self) -> None:
        pass


class _FrameDecoder:
    """zlib, zstd and lz4 alike: frame after frame, at most PIECE_BYTES at a time."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._frame: _Frame | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            frame = self._frame = self._frame or _FRAMES[self._coding]()
            try:
                piece, data = frame.step(data)
            except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
                raise StoreError(CANNOT_DECOMPRESS, f"The body is not valid {self._coding}: {error}") from error
            if frame.ended:
                self._frame = None
            if piece:
                yield piece

    def finish(self) -> None:
        if self._frame is not None:
            raise StoreError(CANNOT_DECOMPRESS, f"The {self._coding} body is not complete")


class _Frame(Protocol):
    ended: bool

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """A decoded piece and what is left of `data`, which may not be empty while more can be had."""


class _ZlibFrame:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        piece = self._inner.decompress(data, PIECE_BYTES)
        if len(piece) == PIECE_BYTES and not self._inner.unconsumed_tail:
            # All input is in, but the end of a long repetition may still be due: at most the 32 KiB of the window.
            piece += self._inner.decompress(b"")
        self.ended = self._inner.eof
        return piece, self._inner.unused_data if self.ended else self._inner.unconsumed_tail


class _PullFrame:
    """zstd and lz4 keep what they have not read themselves, and say whether they need more."""

    def __init__(self, make: Callable[[], zstd.ZstdDecompressor]) -> None:
        self._inner = make()
        self._pending = b""
        self.ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        fresh = b"" if self._pending else data
        piece = self._inner.decompress(fresh, PIECE_BYTES)
        self.ended = self._inner.eof
        if self.ended:
            return piece, self._inner.unused_data or b""
        # While it holds data back, the same bytes come again only to keep the caller's loop going.
        self._pending = b"" if self._inner.needs_input else data
        return piece, self._pending


class _BrotliDecoder:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        try:
            while data or not self._inner.can_accept_more_data():
                piece = self._inner.process(data, output_buffer_limit=PIECE_BYTES)
                data = b""
                if not piece:
                    return
                yield piece
        except brotli.error as error:
            raise StoreError(CANNOT_DECOMPRESS, f"The body is not valid br: {error}") from error

    def finish(self) -> None:
        if self._begun and not self._inner.is_finished():
            raise StoreError(CANNOT_DECOMPRESS, "The br body is not complete")


class _ZlibEncoder:
    def __init__(self, wbits: int, level: int) -> None:
        self._inner = zlib.compressobj(level, wbits=wbits)

    def feed(self, data: bytes) -> bytes:
        return self._inner.compress(data) + self._inner.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._inner.flush()


class _ZstdEncoder:
    def __init__(self) -> None:
        self._inner = zstd.ZstdCompressor(level=_ZSTD_LEVEL)

    def feed(self, data: bytes) -> bytes:
        return self._inner.compress(data, mode=zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._inner.flush()


class _Lz4Encoder:
    def __init__(self) -> None:
        self._inner = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._head: bytes = self._inner.begin()

    def feed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = head + self._inner.compress(data)
        return packed

    def finish(self) -> bytes:
        end: bytes = self._head + self._inner.flush()
        return end


class _BrotliEncoder:
    def __init__(self) -> None:
        self._inner = brotli.Compressor(quality=_BROTLI_QUALITY)

    def feed(self, data: bytes) -> bytes:
        packed: bytes = self._inner.process(data) + self._inner.flush()
        return packed

    def finish(self) -> bytes:
        end: bytes = self._inner.finish()
        return end


_FRAMES: dict[str, Callable[[], _Frame]] = {
    "gzip": _ZlibFrame,
    "deflate": _ZlibFrame,
    "zstd": lambda: _PullFrame(zstd.ZstdDecompressor),
    "lz4": lambda: _PullFrame(lz4.frame.LZ4FrameDecompressor),
}
_ENCODERS: dict[str, Callable[[int], Encoder]] = {
    "zstd": lambda _: _ZstdEncoder(),
    "lz4": lambda _: _Lz4Encoder(),
    "gzip": lambda level: _ZlibEncoder(zlib.MAX_WBITS | 16, level),
    "deflate": lambda level: _ZlibEncoder(zlib.MAX_WBITS, level),
    "br": lambda _: _BrotliEncoder(),
}
"""The cheapest first: that is the order of preference."""


def decoder(content_encoding: str) -> Decoder:
    """The decoder for a Content-Encoding header; empty or `identity` means none. Raises StoreError if unknown."""
    coding = content_encoding.strip().lower().removeprefix("x-")
    if coding in {"", "identity"}:
        return _Identity()
    if coding == "br":
        return _BrotliDecoder()
    if coding not in _FRAMES:
        raise StoreError(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method: {content_encoding}")
    return _FrameDecoder(coding)


def choose_coding(accept_encoding: str) -> str | None:
    """The coding for an answer: the cheapest of those that an Accept-Encoding header names and does not forbid."""
    accepted = set()
    for wish in accept_encoding.lower().split(","):
        name, _, weight = wish.partition(";")
        if weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            accepted.add(name.strip())
    return next((coding for coding in _ENCODERS if coding in accepted), None)


def encoder(coding: str, level: int = 3) -> Encoder:
    """The encoder of a coding that `choose_coding` gave; `level` (1 to 9) is for gzip and deflate."""
    return _ENCODERS[coding](min(9, max(1, level)))
