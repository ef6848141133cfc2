"""Answers that the proxy itself gives: always in the dialect's own envelope, always saying who speaks and why."""

from http import HTTPStatus

import msgspec

from proxy.core.facts import Dialect

_NAMES_EVENTS = frozenset({"anthropic.messages", "openai.responses"})
CALL_ID_HEADER = b"x-taximeter-call-id"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the proxy's own."""

    status: int
    code: str
    """Machine-readable reason: `unknown_provider`, `upstream_unreachable`, `upstream_timeout`, `body_too_large` ..."""
    message: str
    """One sentence for the app's author; `Taximeter: ` is put before it."""
    headers: tuple[tuple[str, str], ...] = ()


def encode(reply: Reply, dialect: Dialect, call_id: str, *, close: bool, body_wanted: bool = True) -> bytes:
    """The whole answer as bytes.

    Args:
        reply: what to say.
        dialect: whose envelope to say it in.
        call_id: goes into the header and the envelope.
        close: whether the connection ends after it.
        body_wanted: False for the answer to HEAD.
    """
    body = dialect.error_body(reply.status, reply.code, f"Taximeter: {reply.message}", call_id)
    lines = [
        f"HTTP/1.1 {reply.status} {_phrase(reply.status)}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-taximeter-error: {reply.code}",
        f"x-taximeter-call-id: {call_id}",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    if close:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + body if body_wanted else head


def error_event(reply: Reply, dialect: Dialect, call_id: str) -> bytes:
    """An error as an event of a stream that has begun, so that the dialect's SDKs raise it."""
    body = dialect.error_body(reply.status, reply.code, f"Taximeter: {reply.message}", call_id)
    name = b"event: error\n" if dialect.name in _NAMES_EVENTS else b""
    return b"%bdata: %b\n\n" % (name, body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
