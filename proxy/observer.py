"""Watches the copy of an answer: decodes it, lets the dialect's reader read it, and never disturbs the call.

Invariant "Client first": nothing in here may delay, alter or break the stream. Whatever fails is counted by its reason
and ends the watching, not the call; what was read until then still counts.
"""

from collections.abc import Callable

import msgspec

from proxy.core.coding import Decoder
from proxy.core.facts import AnswerHead, Dialect, Reader, RequestFacts, ResponseFacts

Lose = Callable[[str], None]
"""Counts a loss by its reason."""
Amend = Callable[[RequestFacts, ResponseFacts], ResponseFacts]
"""What a provider's own sense makes of an answer (`proxy.providers.base.Provider.amend`)."""


class Observer:
    """Reads one answer on the side. Without a dialect it only says that nothing was read."""

    __slots__ = ("_decoder", "_facts", "_left_bytes", "_lose", "_reader", "_unread", "saw_content")

    def __init__(self, dialect: Dialect | None, head: AnswerHead, max_bytes: int, lose: Lose) -> None:
        self._reader: Reader | None = dialect.reader(head) if dialect is not None else None
        streamed = head.content_type == "text/event-stream"
        # A stream is read in fixed memory however long it is; only a whole body has to be held.
        limit = None if streamed else max_bytes
        self._decoder = Decoder(head.content_encoding, limit) if head.content_encoding else None
        self._left_bytes = -1 if streamed else max_bytes
        self._lose = lose
        self._unread = ""
        self._facts: ResponseFacts | None = None
        self.saw_content = False

    def feed(self, data: bytes) -> None:
        """Take payload bytes as they came (still encoded)."""
        reader = self._reader
        if reader is None or self._unread:
            return
        try:
            if self._decoder is not None:
                data = self._decoder.feed(data)
                if self._decoder.failed:
                    self._give_up(self._decoder.failed)
            if self._left_bytes >= 0:
                self._left_bytes -= len(data)
                if self._left_bytes < 0:
                    self._give_up("body_too_large")
                    return
            reader.feed(data)
            self.saw_content = reader.saw_content
        except Exception:  # noqa: BLE001 - a reader's bug must not reach the stream; it is counted instead
            self._give_up("reader_failed")

    def finish(self, *, clean: bool) -> ResponseFacts:
        """What the answer said of itself, as far as it was read; asked again it says the same."""
        if self._facts is None:
            self._facts = self._read_to_end(clean=clean)
        return self._facts

    def amended(self, asked: RequestFacts, amend: Amend | None, *, clean: bool) -> ResponseFacts:
        """The same in the provider's own sense of it; None leaves it as it was read."""
        facts = self.finish(clean=clean)
        if amend is None:
            return facts
        try:
            return amend(asked, facts)
        except Exception:  # noqa: BLE001 - a bug in a provider's rule must not cost the record; it is counted instead
            self._lose("amend_failed")
            return facts

    def _read_to_end(self, *, clean: bool) -> ResponseFacts:
        reader = self._reader
        if reader is None:
            return ResponseFacts()
        try:
            rest = self._decoder.finish() if self._decoder is not None and not self._unread else b""
            if rest:
                reader.feed(rest)
            facts = reader.finish(clean=clean and not self._unread)
        except Exception:  # noqa: BLE001 - see feed
            self._give_up("reader_failed")
            return ResponseFacts(unread=self._unread)
        if self._unread:
            # That the reading stopped says nothing of how the answer ended.
            return msgspec.structs.replace(facts, unread=self._unread, stream_end=None)
        if facts.unread:
            self._lose(facts.unread)
        return facts

    def _give_up(self, reason: str) -> None:
        if not self._unread:
            self._unread = reason
            self._lose(reason)
