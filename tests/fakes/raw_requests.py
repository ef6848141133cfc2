"""Requests as bytes, for apps that are made of raw sockets."""

import asyncio

CHAT = b"/p/v1/chat/completions"
FILES = b"/p/v1/files"
"""A path whose bodies nobody reads: they stream through."""
ASKS_STREAM = b'{"model":"m","stream":true}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def get(target: bytes, *lines: bytes, method: bytes = b"GET", close: bool = True) -> bytes:
    """A request without a body; `lines` are further header lines."""
    head = [b"%b %b HTTP/1.1" % (method, target), b"Host: proxy", *lines, *([b"Connection: close"] if close else [])]
    return b"\r\n".join(head) + b"\r\n\r\n"


def post(target: bytes, body: bytes, *lines: bytes, close: bool = True) -> bytes:
    """A request with a body whose length is declared."""
    return get(target, b"Content-Length: %d" % len(body), *lines, method=b"POST", close=close) + body


async def write_until_blocked(writer: asyncio.StreamWriter, block: bytes) -> None:
    """Write until nobody takes anything any more for a while."""
    while True:
        writer.write(block)
        try:
            async with asyncio.timeout(0.3):
                await writer.drain()
        except TimeoutError:
            return
