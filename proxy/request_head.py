"""The head of a request: what all requests of an app have in common, and what differs from call to call.

An SDK sends the same dozen headers with every call. Sorting them, finding the caller and writing them out for the
provider is done once for a head that is known (`proxy.downstream.known_heads`).
"""

import msgspec

from proxy.core.headers import Head, Headers, changed, credential_changes, read_request_head
from proxy.core.identity import Identity, identify
from proxy.core.record import TraceIds
from proxy.core.tracing import format_traceparent, trace_of

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as they came: name, value."""
Credential = tuple[str, str]
"""Header name and whole value of a provider's key."""


class SharedHead(msgspec.Struct, frozen=True):
    """What all requests with the same headers have in common."""

    head: Head
    """The sorted headers, less those that vary."""
    identity: Identity
    content_encoding: str
    """Of the request body; empty for none."""
    unknown_transfer: bool
    """Whether the body comes in a transfer coding that we do not undo."""

    def lines(self, credential: Credential | None) -> bytes:
        """The header lines as the provider gets them, each with its line end.

        Args:
            credential: Takes the place of whatever key the app sent; None lets the app's own pass.
        """
        changes = dict(self.identity.changes)
        if credential is not None:
            changes |= credential_changes(self.head, *credential)
        return b"".join(b"%b: %b\r\n" % field for field in changed(self.head, changes))


class RequestHead:
    """The head of one request."""

    __slots__ = ("_traced", "declared_length", "shared", "varying")

    def __init__(self, shared: SharedHead, varying: Headers) -> None:
        self.shared = shared
        self.varying = varying
        """The fields that differ from call to call, names in lower case."""
        self.declared_length: bytes | None = None
        """`Content-Length` as it was sent."""
        self._traced = False
        for name, value in varying:
            if name == b"content-length":
                self.declared_length = value
            elif name == b"traceparent":
                self._traced = True

    @property
    def expects_continue(self) -> bool:
        """Whether the app waits for `100 Continue` before it sends its body."""
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.varying)

    def trace(self, call_id: str, span_id: str) -> TraceIds:
        """Ids of the call: a child of the app's span, or a trace of its own that is named like the call."""
        if not self._traced:
            return TraceIds(trace_id=call_id, span_id=span_id)
        parents = [value for name, value in self.varying if name == b"traceparent"]
        states = [value for name, value in self.varying if name == b"tracestate"]
        return trace_of(parents, states, trace_id=call_id, span_id=span_id)

    def trace_lines(self, ids: TraceIds, attempt_span_id: str | None) -> bytes:
        """Trace context for the provider: our own span as parent, or the app's own words where it is not ours to touch.

        Args:
            ids: of the call.
            attempt_span_id: span of the attempt; None leaves the app's context as it came.
        """
        if attempt_span_id is None:
            return b"".join(b"%b: %b\r\n" % f for f in self.varying if f[0] in {b"traceparent", b"tracestate"})
        line = b"traceparent: %b\r\n" % format_traceparent(ids.trace_id, attempt_span_id, sampled=ids.sampled)
        if ids.parent_span_id:
            line += b"".join(b"%b: %b\r\n" % field for field in self.varying if field[0] == b"tracestate")
        return line


def share(fields: Fields, *query_keys: str) -> SharedHead:
    """Take the constant header fields of a request apart; `query_keys` are the keys that stand in its query."""
    head = read_request_head(fields)
    return SharedHead(
        head=head,
        identity=identify(head, *query_keys),
        content_encoding=str(head.values.get(b"content-encoding", b""), "latin-1"),
        unknown_transfer=head.values.get(b"transfer-encoding", b"chunked").lower() != b"chunked",
    )
