"""An answer taken apart from its bytes, by a reader that is no part of the product."""

from typing import NamedTuple


class RawAnswer(NamedTuple):
    """The final answer in some bytes."""

    status: int
    """0 when there is no complete head."""
    fields: dict[bytes, bytes]
    """Last value by lower-case name."""
    payload: bytes
    """Without its framing; what came of it."""
    complete: bool
    """Whether it came to its proper end."""
    rest: bytes
    """What follows it."""

    @property
    def code(self) -> str:
        """The proxy's own reason, where it was the proxy that answered."""
        return self.fields.get(b"x-taximeter-error", b"").decode()

    @property
    def call_id(self) -> str:
        """Of the call that it answers."""
        return self.fields[b"x-taximeter-call-id"].decode()


def read_answer(data: bytes) -> RawAnswer:
    """The first final answer; interim ones are passed over."""
    while True:
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            return RawAnswer(0, {}, b"", complete=False, rest=data)
        status = int(head.split(b" ", 2)[1])
        if status >= 200 or status == 101:
            break
        data = rest
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    fields = {name.lower(): value.strip() for name, _, value in lines}
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return RawAnswer(status, fields, *_chunks(rest))
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        return RawAnswer(status, fields, rest[:length], len(rest) >= length, rest[length:])
    return RawAnswer(status, fields, rest, complete=True, rest=b"")


def _chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    payload, at = bytearray(), 0
    while (end := data.find(b"\r\n", at)) >= 0:
        try:
            size = int(data[at:end].partition(b";")[0], 16)
        except ValueError:
            break
        if not size:
            over = data.find(b"\r\n\r\n", end)
            return bytes(payload), over >= 0, data[over + 4 :] if over >= 0 else b""
        payload += data[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(payload), False, b""
