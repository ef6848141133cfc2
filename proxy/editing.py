"""Takes the usage that only the proxy asked for off a stream again, also where the stream is compressed."""

from typing import Protocol

from proxy.core.coding import Decoder, Encoder
from proxy.core.usage_request import UsageFilter

_NO_LIMIT_BYTES = 1 << 62
"""What goes on to the app has no limit of ours in all; one piece of it has the decoder's own."""


class Editor(Protocol):
    """Changes the payload of an answer on its way (the usage chunk that only we asked for)."""

    @property
    def failed(self) -> bool:
        """Whether nothing more can be made of the payload."""

    def feed(self, data: bytes) -> bytes:
        """What the app gets of these bytes."""

    def finish(self) -> bytes:
        """What the app still gets at the end."""


class UsageEditor:
    """What the app would have seen had nobody asked for usage. An `Editor`."""

    __slots__ = ("_decoder", "_encoder", "_filter")

    def __init__(self, content_encoding: str, *, keeps_null_usage: bool) -> None:
        self._filter = UsageFilter(keeps_null_usage=keeps_null_usage)
        self._decoder = Decoder(content_encoding, _NO_LIMIT_BYTES) if content_encoding else None
        self._encoder = Encoder(content_encoding) if content_encoding else None

    @property
    def failed(self) -> bool:
        """Whether the coding of the answer turned out to be damaged: nothing more can be made of it."""
        return self._decoder is not None and bool(self._decoder.failed)

    def feed(self, data: bytes) -> bytes:
        """What the app gets of these bytes, in the coding of the answer."""
        if self._decoder is None or self._encoder is None:
            return self._filter.feed(data)
        edited = self._filter.feed(self._decoder.feed(data))
        return self._encoder.feed(edited) if edited else b""

    def finish(self) -> bytes:
        """What the app still gets at the end."""
        rest = self._filter.finish()
        if self._encoder is None:
            return rest
        return (self._encoder.feed(rest) if rest else b"") + self._encoder.finish()
