"""Request heads that were parsed before, recognised by their bytes.

An app sends the same head with every call, but for its length and its trace. Parsing such a head again costs more
than anything else that the proxy does for a small call (16 of 70 us), and gives the same result. So a head that aiohttp
has parsed once is remembered by its bytes, less the digits of `Content-Length` and the value of `traceparent`; only
what begins with such bytes and holds no more than one request is recognised, everything else goes to the parser.
"""

import re
from collections import OrderedDict

from aiohttp.http_parser import RawRequestMessage

from proxy.core.headers import Headers

VARYING = frozenset({b"content-length", b"traceparent", b"tracestate", b"expect"})
"""Lower-case names of the fields that differ from call to call of the same app."""
_CUT = frozenset({b"content-length", b"traceparent"})
"""Those whose values are cut out of the key."""
_REMEMBERED = 1024
"""Different apps, keys and paths; at a kilobyte or two each."""
_LARGEST_BYTES = 8192
LARGEST_ARRIVING_BYTES = 1024 * 1024
"""A longer rest of a body goes through the parser, which can stop the app from sending faster than is read."""
_LONGEST_LENGTH = 9
_TRACEPARENT = b"\r\ntraceparent: "
_TRACEPARENT_VALUE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\r\n")
_TRACEPARENT_BYTES = 55
_HTTP_1_1 = (1, 1)


class KnownHead:
    """What is the same in all requests with this head."""

    __slots__ = ("constant", "fields", "http10", "keeps", "method", "place", "target")

    def __init__(self, message: RawRequestMessage) -> None:
        self.method: str = message.method
        self.target: bytes = message.path.encode("utf-8", "surrogateescape")
        """The request target as it was sent."""
        self.http10: bool = message.version < _HTTP_1_1
        """Whether the app speaks HTTP/1.0 and understands no chunks."""
        self.keeps: bool = not (message.should_close or self.http10 or message.upgrade)
        """Whether the app's connection stays open for another call; what follows an upgrade is no request."""
        self.fields = tuple(field for field in message.raw_headers if field[0].lower() not in VARYING)
        """The header fields, less those that vary."""
        self.constant: Headers = [field for field in varying_of(message) if field[0] not in _CUT]
        """Fields that may vary but do not among the requests that this head stands for: their bytes are in its key."""
        self.place: object = None
        """For the handler to remember where such requests go."""


class KnownHeads:
    """Remembers heads; one for all connections of a worker."""

    def __init__(self) -> None:
        self._heads: OrderedDict[bytes, KnownHead] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, data: bytes) -> tuple[KnownHead, Headers, bytes, int] | None:
        """The head of a request, its varying fields, its body and how many bytes of that are yet to come.

        None for everything that has to be parsed.
        """
        apart = _take_apart(data)
        if apart is None:
            return None
        key, varying, body, missing_bytes = apart
        head = self._heads.get(key)
        if head is None:
            return None
        return head, varying + head.constant if head.constant else varying, body, missing_bytes

    def learn(self, data: bytes, message: RawRequestMessage) -> int:
        """Remember the head of a request that was parsed out of `data`.

        Gives the number of bytes of its body that are yet to come, or -1 where that cannot be told.
        """
        apart = _take_apart(data)
        if apart is None or message.chunked or message.upgrade or message.method == "CONNECT":
            return -1
        if len(apart[1]) != sum(name in _CUT for name, _ in varying_of(message)):
            return -1  # spelled in a way that is not cut out
        if len(data) - len(apart[2]) <= _LARGEST_BYTES:
            self._heads[apart[0]] = KnownHead(message)
            if len(self._heads) > _REMEMBERED:
                self._heads.popitem(last=False)
        return apart[3]


def varying_of(message: RawRequestMessage) -> Headers:
    """The fields of a parsed request that differ from call to call, names in lower case."""
    return [(name, field[1]) for field in message.raw_headers if (name := field[0].lower()) in VARYING]


def _take_apart(data: bytes) -> tuple[bytes, Headers, bytes, int] | None:
    """Key, varying fields, body and its missing bytes of what may be one request; None for anything else."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    head = data[:end]
    varying: Headers = []
    length = 0
    at = head.find(b"\r\nContent-Length: ")
    if at < 0:
        at = head.find(b"\r\ncontent-length: ")
    if at >= 0:
        at += 18
        stop = head.index(b"\r\n", at)
        digits = head[at:stop]
        if not digits.isdigit() or len(digits) > _LONGEST_LENGTH:
            return None
        length = int(digits)
        varying.append((b"content-length", digits))
        head = head[:at] + head[stop:]
    missing_bytes = end + length - len(data)
    if missing_bytes and not 0 < missing_bytes < LARGEST_ARRIVING_BYTES:
        return None
    at = head.find(_TRACEPARENT)
    if at >= 0:
        at += len(_TRACEPARENT)
        if _TRACEPARENT_VALUE.match(head, at) is None:
            return None
        stop = at + _TRACEPARENT_BYTES
        varying.append((b"traceparent", head[at:stop]))
        head = head[:at] + head[stop:]
    return head, varying, data[end:], missing_bytes
