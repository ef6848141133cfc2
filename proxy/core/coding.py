"""Takes content codings off and puts them on, piece by piece, with bounded memory.

The metering copy of an answer is decoded here; the bytes for the app are never touched. Where a stream has to be edited
on its way (a usage chunk that only the proxy asked for), the edited bytes are coded again by an `Encoder`.

Every stage unpacks in pieces of about `PIECE_BYTES`, so that a bomb is noticed before it is unpacked.

Source: RFC 9110 section 8.4 (codings, listed in the order in which they were applied), RFC 1950 to 1952 (zlib, deflate,
gzip), RFC 7932 (Brotli), RFC 8878 and 9659 (Zstandard and its 8 MiB window).
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CodingFailure = Literal["bad_coding", "unknown_coding", "too_large"]

PIECE_BYTES = 256 * 1024
"""About what one stage unpacks before it is asked for more (Brotli rounds up to its own blocks)."""

MAX_FEED_BYTES = 16 * 1024 * 1024
"""Most that one call of `Decoder.feed` gives: a socket read of 64 KiB that unpacks to more is a bomb, not an answer."""

MAX_STAGES = 3
"""Stacked codings that are undone. Each holds a window of up to 16 MiB, and nobody sends more than two."""

_ZSTD_WINDOW_LOG = 23  # RFC 9659: a decoder on the web need not hold more than 8 MiB
_BROTLI_QUALITY = 4  # compresses a chunk in microseconds; 11, the default, takes milliseconds
_BROTLI_WINDOW_LOG = 18  # 256 KiB are enough for a chat and keep an open stream small
_ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.window_log: 18,
}
_MAX_PARTS = 10_000  # members of a gzip body or frames of a Zstandard body
_ZLIB_LEVEL = 6
_GZIP_BITS = zlib.MAX_WBITS | 16
_GZIP_MAGIC = b"\x1f\x8b"


class _Unpacker(Protocol):
    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces of about `PIECE_BYTES`; raises what its library raises for bad bytes."""


class _Packer(Protocol):
    def pack(self, data: bytes) -> bytes:
        """Coded bytes from which the other side can decode all of `data`."""

    def finish(self) -> bytes:
        """The end of the coded stream."""


class Decoder:
    """Undoes a Content-Encoding. Never raises; after a failure it gives nothing more and `failed` says why.

    `max_bytes` bounds all decoded bytes together (None: an event stream may go on for as long as it likes),
    `max_feed_bytes` what one call unpacks, in all stages.
    """

    __slots__ = ("_left_bytes", "_max_feed_bytes", "_room_bytes", "_stages", "failed")

    def __init__(
        self, content_encoding: str, max_bytes: int | None = None, max_feed_bytes: int = MAX_FEED_BYTES
    ) -> None:
        self._left_bytes = max_bytes
        self._max_feed_bytes = max_feed_bytes
        self._room_bytes = 0  # what the call that is going on may still unpack
        self._stages: list[_Unpacker] = []
        self.failed: CodingFailure | None = None
        """Why decoding was given up; None while it works."""
        if can_code(content_encoding):
            self._stages = [_UNPACKERS[name]() for name in reversed(codings(content_encoding))]
        else:
            self.failed = "unknown_coding"

    def feed(self, data: bytes) -> bytes:
        """Take the next coded bytes; give what can be decoded with them."""
        if self.failed is not None:
            return b""
        if not self._stages:
            return data
        self._room_bytes = self._max_feed_bytes
        pieces: list[bytes] = []
        try:
            # Not a comprehension: what came out before a failure is kept.
            for piece in self._through(data, 0):
                pieces.append(piece)  # noqa: PERF402
        except _TooLargeError:
            self._give_up("too_large")
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError):
            self._give_up("bad_coding")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> bytes:
        """End of the coded bytes. `feed` gave all that could be decoded: an end that was cut off loses no more."""
        self._stages = []
        return b""

    def _through(self, data: bytes, stage: int) -> Iterator[bytes]:
        if stage == len(self._stages):
            if self._left_bytes is not None:
                self._left_bytes -= len(data)
                if self._left_bytes < 0:
                    raise _TooLargeError
            yield data
            return
        for piece in self._stages[stage].unpack(data):
            self._room_bytes -= len(piece)
            if self._room_bytes < 0:
                raise _TooLargeError
            yield from self._through(piece, stage + 1)

    def _give_up(self, reason: CodingFailure) -> None:
        self.failed = reason
        self._stages = []


class Encoder:
    """Applies a Content-Encoding to a stream. Each call gives bytes from which all that went in can be decoded.

    Raises:
        ValueError: The coding is not known; ask `can_code` first.
    """

    __slots__ = ("_stages",)

    def __init__(self, content_encoding: str) -> None:
        if not can_code(content_encoding):
            raise ValueError(f"cannot apply the content encoding {content_encoding!r}")
        self._stages: list[_Packer] = [_PACKERS[name]() for name in codings(content_encoding)]

    def feed(self, data: bytes) -> bytes:
        """Code the next bytes; nothing is kept back for later."""
        if not data:
            return b""
        for stage in self._stages:
            data = stage.pack(data)
        return data

    def finish(self) -> bytes:
        """The end of the coded stream."""
        rest = b""
        for stage in self._stages:
            rest = (stage.pack(rest) if rest else b"") + stage.finish()
        return rest


def codings(content_encoding: str) -> list[str]:
    """Names in a Content-Encoding field in the order of application, lower case, without `identity`."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return [name for name in names if name and name != "identity"]


def can_code(content_encoding: str) -> bool:
    """Whether this Content-Encoding can be undone and applied here."""
    names = codings(content_encoding)
    return len(names) <= MAX_STAGES and all(name in _UNPACKERS for name in names)


class _TooLargeError(Exception):
    """More came out than may."""


def _drain(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        piece = inflater.decompress(data, PIECE_BYTES)
        if piece:
            yield piece
        data = inflater.unconsumed_tail
        # A full piece may have left output inside even when all input is used up.
        if not data and len(piece) < PIECE_BYTES:
            return


def _count_part(parts: int) -> int:
    """Count a further member or frame: empty ones cost time and give nothing, so there is an end to them."""
    if parts >= _MAX_PARTS:
        raise _TooLargeError
    return parts + 1


class _Gunzip:
    """gzip with any number of members; what is no further member is ignored, as gzip itself does."""

    __slots__ = ("_after", "_inflater", "_members", "_over")

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP_BITS)
        self._members = 1
        self._after = b""  # bytes after a member, until they can be told from a further member
        self._over = False

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while data and not self._over:
            if self._inflater.eof:
                self._after += data
                if len(self._after) < len(_GZIP_MAGIC) and _GZIP_MAGIC.startswith(self._after):
                    return
                if not self._after.startswith(_GZIP_MAGIC):
                    self._over = True
                    return
                data, self._after = self._after, b""
                self._members = _count_part(self._members)
                self._inflater = zlib.decompressobj(_GZIP_BITS)
            yield from _drain(self._inflater, data)
            data = self._inflater.unused_data


class _Inflate:
    """`deflate`: the zlib format of the standard, or the bare deflate that some servers mean by it."""

    __slots__ = ("_head", "_inflater")

    def __init__(self) -> None:
        self._head = b""
        self._inflater: zlib._Decompress | None = None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            is_zlib = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        if not self._inflater.eof:
            yield from _drain(self._inflater, data)


class _Unbrotli:
    __slots__ = ("_decompressor",)

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while not self._decompressor.is_finished():
            piece = self._decompressor.process(data, output_buffer_limit=PIECE_BYTES)
            if piece:
                yield piece
            data = b""
            if self._decompressor.can_accept_more_data():
                return


class _Unzstd:
    """Zstandard with any number of frames."""

    __slots__ = ("_decompressor", "_frames")

    def __init__(self) -> None:
        self._decompressor = self._fresh()
        self._frames = 1

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decompressor.eof:
                self._decompressor = self._fresh()
                self._frames = _count_part(self._frames)
            piece = self._decompressor.decompress(data, PIECE_BYTES)
            while piece:
                yield piece
                if self._decompressor.eof or self._decompressor.needs_input:
                    break
                piece = self._decompressor.decompress(b"", PIECE_BYTES)
            data = self._decompressor.unused_data if self._decompressor.eof else b""

    @staticmethod
    def _fresh() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


class _Deflate:
    """gzip and zlib, by window bits."""

    __slots__ = ("_compressor",)

    def __init__(self, window_bits: int) -> None:
        self._compressor = zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, window_bits)

    def pack(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=_BROTLI_QUALITY, lgwin=_BROTLI_WINDOW_LOG)

    def pack(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data) + self._compressor.flush())

    def finish(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(options=_ZSTD_OPTIONS)

    def pack(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME)


_UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    "gzip": _Gunzip,
    "x-gzip": _Gunzip,
    "deflate": _Inflate,
    "br": _Unbrotli,
    "zstd": _Unzstd,
}
_PACKERS: dict[str, Callable[[], _Packer]] = {
    "gzip": partial(_Deflate, _GZIP_BITS),
    "x-gzip": partial(_Deflate, _GZIP_BITS),
    "deflate": partial(_Deflate, zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstd,
}
