"""What may pass from one side to the other: message headers as raw lists, less what belongs to one connection only.

Headers are `list[tuple[bytes, bytes]]` in and out: order, duplicates and the sender's letter case stay. Taken off, by
RFC 9110 section 7.6.1: the fields named in `Connection`, `Connection` itself, `Proxy-Connection`, `Keep-Alive`, `TE`,
`Transfer-Encoding`, `Upgrade`, and the three fields of proxy authentication (section 11.7).

- `Host` is left out of a request's list: the upstream's own stands first in what `upstream_headers` returns.
- `TE: trailers` would promise that trailers get through; each side speaks for itself, so it is not passed on.
- `Upgrade` goes with the connection. Whoever carries a WebSocket makes a handshake of its own, from `values`.
- `Content-Length` is end-to-end and stays, but not beside a `Transfer-Encoding`, which overrides it (RFC 9112, 6.3).
- `Via` (RFC 9110, 7.6.3) is passed on but not added: providers and apps must see the same bytes as without the proxy,
  and some servers switch compression off when they see one. The same for `Forwarded` and `X-Forwarded-*`.
- `x-taximeter-*` is between the app and the proxy, in both directions.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from proxy.core.facts import AnswerHead

Headers = list[tuple[bytes, bytes]]
"""Header fields in the order of the wire: name as sent, value without the white space around it."""

Changes = Mapping[bytes, bytes | None]
"""Lower-case header name -> the value that replaces all its fields, or None to take them off."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Every header in which a provider takes its key, in the order in which they win over each other."""
WEBSOCKET_HANDSHAKE = frozenset(
    {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-accept"}
)
"""Fields of a WebSocket handshake that belong to one connection, as its `Upgrade` does."""

OWN_PREFIX = b"x-taximeter-"
WEBSOCKET_KEY = b"openai-insecure-api-key."
"""Prefix of the sub-protocol in which browsers hand over an OpenAI key: they cannot set headers."""

_CONNECTION = b"connection"
_NOT_OF_REQUESTS = HOP_BY_HOP | {b"host"}


class Head(msgspec.Struct):
    """The headers of one message, read once."""

    forward: Headers
    """What may pass, as it came; without `Host` for requests."""
    names: list[bytes]
    """Lower-case names of `forward`, at the same positions."""
    values: dict[bytes, bytes]
    """First value of every field by lower-case name, those that were taken off included, ours not."""
    own: Headers
    """The `x-taximeter-*` fields: lower-case name, value."""

    def all_values(self, name: bytes) -> list[bytes]:
        """Every value of a field that may pass, in order; `name` in lower case."""
        if name not in self.values:
            return []
        return [field[1] for field, known in zip(self.forward, self.names, strict=True) if known == name]

    def first_text(self, names: Iterable[str]) -> str:
        """Value of the first of these fields (lower-case names) that is there, decoded as latin-1; empty if none is."""
        for name in names:
            value = self.values.get(name.encode("latin-1"))
            if value:
                return value.decode("latin-1")
        return ""


def read_request_head(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    """Sort the header fields of an app's request."""
    return _read(fields, _NOT_OF_REQUESTS)


def read_response_head(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    """Sort the header fields of a provider's answer."""
    return _read(fields, HOP_BY_HOP)


def _read(fields: Iterable[tuple[bytes, bytes]], stays_here: frozenset[bytes]) -> Head:
    forward: Headers = []
    names: list[bytes] = []
    values: dict[bytes, bytes] = {}
    own: Headers = []
    options: list[bytes] = []
    for field in fields:
        name = field[0].lower()
        if name.startswith(OWN_PREFIX):
            own.append((name, field[1]))
            continue
        if name not in values:
            values[name] = field[1]
        if name not in stays_here:
            forward.append(field)
            names.append(name)
        elif name == _CONNECTION:
            options.append(field[1])
    head = Head(forward, names, values, own)
    dropped = _named_in(options) if options else set()
    # Whoever names Content-Length in Connection would cut the body off from its length: framing is never optional.
    dropped.discard(b"content-length")
    if b"transfer-encoding" in values:
        dropped.add(b"content-length")
    if not dropped.isdisjoint(values):
        _take_off(head, dropped)
    return head


def _named_in(options: list[bytes]) -> set[bytes]:
    """Lower-case names listed in `Connection` fields. `close` and `keep-alive` are no field names but harmless here."""
    return {option.strip().lower() for value in options for option in value.split(b",")}


def _take_off(head: Head, names: set[bytes]) -> None:
    kept = [index for index, name in enumerate(head.names) if name not in names]
    head.forward = [head.forward[index] for index in kept]
    head.names = [head.names[index] for index in kept]


def changed(head: Head, changes: Changes) -> Headers:
    """The fields that may pass, with some replaced where they stand, added at the end, or taken off.

    A replaced field keeps the sender's letter case. Of several fields of one name the first is replaced, the rest go.
    """
    if head.values.keys().isdisjoint(changes):
        out = head.forward.copy()
    else:
        left = dict(changes)
        out = []
        for field, name in zip(head.forward, head.names, strict=True):
            if name not in changes:
                out.append(field)
                continue
            value = left.pop(name, None)
            if value is not None:
                out.append((field[0], value))
        changes = left
    out.extend((name, value) for name, value in changes.items() if value is not None)
    return out


def upstream_headers(head: Head, host: bytes, changes: Changes) -> Headers:
    """A request's fields as they go to the provider: its `Host` first (RFC 9110, 7.2), then what may pass."""
    return [(b"Host", host), *changed(head, changes)]


def credential_changes(head: Head, name: str, value: str) -> dict[bytes, bytes | None]:
    """Changes that put the operator's credential in place of whatever the app sent.

    Every other credential field goes: the app's own key is the proxy's business, not the provider's. `name` is the
    provider's credential header in lower case, `value` its whole value, scheme included.
    """
    changes: dict[bytes, bytes | None] = dict.fromkeys(CREDENTIALS)
    changes[name.encode("latin-1")] = value.encode("latin-1", "replace")
    protocols = _protocols(head)
    kept = [part for part in protocols if not part.startswith(WEBSOCKET_KEY)]
    if len(kept) < len(protocols):
        changes[b"sec-websocket-protocol"] = b", ".join(kept) or None
    return changes


def websocket_key(head: Head) -> bytes | None:
    """The key that a browser put into the offered sub-protocols, or None."""
    found = (part for part in _protocols(head) if part.startswith(WEBSOCKET_KEY))
    return next((part.removeprefix(WEBSOCKET_KEY) for part in found), None)


def _protocols(head: Head) -> list[bytes]:
    """The offered sub-protocols of all fields: a list may stand in one or be spread over several (RFC 9110, 5.2)."""
    fields = head.all_values(b"sec-websocket-protocol")
    return [part.strip() for field in fields for part in field.split(b",")]


def without(headers: Headers, names: Iterable[bytes]) -> Headers:
    """The fields whose lower-case name is not among `names`, e.g. `WEBSOCKET_HANDSHAKE`."""
    dropped = frozenset(names)
    return [field for field in headers if field[0].lower() not in dropped]


def answer_head(status: int, head: Head) -> AnswerHead:
    """The little that a reader has to know of an answer before its body."""
    return AnswerHead(
        status=status,
        content_type=media_type(head.values.get(b"content-type", b"")),
        content_encoding=head.values.get(b"content-encoding", b"").strip().lower().decode("latin-1"),
    )


@lru_cache(maxsize=256)
def media_type(value: bytes) -> str:
    """A `Content-Type` in lower case and without its parameters: `text/event-stream`. Remembered: few exist."""
    return value.partition(b";")[0].strip().lower().decode("latin-1")
