"""As much of the WebSocket protocol as it takes to end one properly from between the two ends. PURE.

Source: RFC 6455, sections 5.2 (framing) and 5.5.1 (close).
"""

POLICY_VIOLATION = 1008
"""Close code for an end that only a policy asks for."""
_CLOSE = 0x88
_MAX_REASON_BYTES = 123
_LENGTHS = {126: 2, 127: 8}


class Frames:
    """Follows one direction of a WebSocket, to know where a frame ends: only there another one can be put in."""

    __slots__ = ("_head", "_left_bytes")

    def __init__(self) -> None:
        self._head = b""
        self._left_bytes = 0

    @property
    def at_end(self) -> bool:
        """Whether what came so far is whole frames."""
        return not self._head and not self._left_bytes

    def feed(self, data: bytes) -> None:
        """Take the next bytes, however they are cut."""
        position = 0
        while position < len(data):
            if self._left_bytes:
                taken = min(self._left_bytes, len(data) - position)
                self._left_bytes -= taken
                position += taken
                continue
            self._head += data[position : position + 1]
            position += 1
            self._begin()

    def _begin(self) -> None:
        head = self._head
        if len(head) < 2:
            return
        stated = head[1] & 0x7F
        extended = _LENGTHS.get(stated, 0)
        if len(head) < 2 + extended + (4 if head[1] & 0x80 else 0):
            return
        self._left_bytes = int.from_bytes(head[2 : 2 + extended]) if extended else stated
        self._head = b""


def close_frame(code: int, reason: str) -> bytes:
    """A server's close frame; the reason is cut where it is too long for one."""
    text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return bytes((_CLOSE, 2 + len(text))) + code.to_bytes(2) + text
