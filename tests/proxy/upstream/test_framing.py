"""HTTP/1.1 framing of answers: strict, and byte for byte."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.framing import (
    LAST_CHUNK,
    MAX_CHUNK_LINE_BYTES,
    MAX_HEAD_BYTES,
    ChunkedBody,
    FramingError,
    chunk,
    parse_head,
    split_head,
)


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *lines, "", ""]).encode()


def test_a_head_keeps_its_bytes_less_the_hop_by_hop_headers():
    raw = head(
        "Content-Type: text/plain; charset=utf-8",
        "X-Twice: a",
        "Connection: keep-alive, X-Named",
        "x-twice:  b ",
        "Keep-Alive: timeout=5",
        "X-Named: 1",
        "Content-Length: 3",
        "x-taximeter-call-id: of another proxy",
    )

    parsed = parse_head(raw, method="GET")

    assert parsed.relayed == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nX-Twice: a\r\nx-twice:  b \r\nContent-Length: 3\r\n"
    )
    assert (parsed.framing, parsed.length, parsed.content_type, parsed.keep_alive) == ("length", 3, "text/plain", True)


@pytest.mark.parametrize(
    ("method", "raw", "framing"),
    [
        ("HEAD", head("Content-Length: 10"), "none"),
        ("GET", head("Content-Length: 10", status="HTTP/1.1 304 Not Modified"), "none"),
        ("GET", head(status="HTTP/1.1 204 No Content"), "none"),
        ("GET", head("Upgrade: websocket", "Connection: Upgrade", status="HTTP/1.1 101 Switching Protocols"), "tunnel"),
        ("GET", head("Transfer-Encoding: chunked"), "chunked"),
        ("GET", head("Transfer-Encoding:  Chunked "), "chunked"),
        ("GET", head("Transfer-Encoding: identity"), "close"),
        ("GET", head(), "close"),
        ("GET", head("Content-Length: 5, 5"), "length"),
        ("GET", head("Content-Length: 5", "Content-Length: 5"), "length"),
    ],
)
def test_the_body_length_follows_the_order_of_rfc_9112(method: str, raw: bytes, framing: str):
    assert parse_head(raw, method=method).framing == framing


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: +5",),
        ("Content-Length: -1",),
        ("Content-Length: 5 5",),
        ("Content-Length: ",),
        ("Content-Length: 99999999999999999999",),
    ],
)
def test_an_ambiguous_length_is_refused(lines: tuple[str, ...]):
    with pytest.raises(FramingError, match="content-length"):
        parse_head(head(*lines), method="GET")


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(raw: bytes):
    with pytest.raises(FramingError):
        parse_head(raw, method="GET")


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
def test_a_transfer_coding_that_the_app_would_not_be_told_of_is_refused(lines: tuple[str, ...]):
    with pytest.raises(FramingError, match="transfer coding"):
        parse_head(head(*lines), method="GET")


def test_a_length_beside_chunks_is_taken_away_and_the_connection_is_not_kept():
    parsed = parse_head(head("Transfer-Encoding: chunked", "Content-Length: 5"), method="GET")

    assert b"ontent-" not in parsed.relayed
    assert (parsed.framing, parsed.keep_alive) == ("chunked", False)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (head("Content-Length: 0"), True),
        (head("Content-Length: 0", "Connection: Close"), False),
        (head("Content-Length: 0", status="HTTP/1.0 200 OK"), False),
        (head("Content-Length: 0", "Connection: keep-alive", status="HTTP/1.0 200 OK"), True),
        (head(), False),
    ],
)
def test_a_connection_is_kept_only_when_the_answer_allows_it(raw: bytes, kept: bool):
    parsed = parse_head(raw, method="GET")

    assert parsed.keep_alive is kept
    assert parsed.relayed.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("method", "raw", "kept"),
    [
        ("HEAD", head(), True),
        ("HEAD", head("Content-Length: 0"), True),
        ("HEAD", head("Content-Length: 10"), False),
        ("HEAD", head("Transfer-Encoding: chunked"), False),
        ("GET", head("Content-Length: 10", status="HTTP/1.1 204 No Content"), False),
        ("GET", head("Content-Length: 0", status="HTTP/1.1 204 No Content"), True),
    ],
)
def test_a_body_that_is_announced_where_none_may_come_costs_the_connection(method: str, raw: bytes, kept: bool):
    # A server that sends it after all would have it taken for the answer to the next call.
    assert parse_head(raw, method=method).keep_alive is kept


def test_chunks_of_an_http_1_0_server_cost_the_connection():
    raw = head("Transfer-Encoding: chunked", "Connection: keep-alive", status="HTTP/1.0 200 OK")

    assert not parse_head(raw, method="GET").keep_alive


def test_a_switch_of_protocols_is_passed_on_whole():
    raw = head("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x", status="HTTP/1.1 101 Switching")

    assert parse_head(raw, method="GET").relayed + b"\r\n" == raw


def test_an_endless_head_is_given_up():
    assert split_head(b"HTTP/1.1 200 OK\r\nA: b") == 0
    with pytest.raises(FramingError, match="longer"):
        split_head(b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD_BYTES)


def test_the_best_of_several_headers_is_found_by_lower_case_names():
    raw = head("X-Request-Id: second", "Empty: ", "Request-Id:  req_1 ")

    def request_id(*names):
        return parse_head(raw, method="GET", request_id_names=names).request_id

    assert request_id(b"request-id", b"x-request-id") == "req_1"
    assert request_id(b"empty", b"x-request-id") == "second"
    assert request_id(b"absent") == request_id() == ""


payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


@given(payloads, st.lists(st.integers(0, 400), max_size=12), st.sampled_from([b"", b";ext=1", b' ; a="b"']))
def test_a_chunked_body_reads_the_same_however_it_is_cut(pieces: list[bytes], cuts: list[int], extension: bytes):
    wire = b"".join(b"%X%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    surplus = b"HTTP/1.1"
    bounds = sorted({0, len(wire) + len(surplus), *(c for c in cuts if c < len(wire))})
    body, got, used = ChunkedBody(), b"", 0

    for start, end in itertools.pairwise(bounds):
        if body.done:
            break
        found, count = body.feed((wire + surplus)[start:end])
        got += b"".join(found)
        used += count

    assert body.done
    assert not body.error
    assert got == b"".join(pieces)
    assert used == len(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"zz\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n",
        b"-1\r\n",
        b"\r\n",
        b"fffffffffffffffffff\r\n",
        b"0\r\nTrailer: x\n\r\n",
    ],
)
def test_malformed_chunks_are_an_error_byte_by_byte_and_whole(wire: bytes):
    whole, single = ChunkedBody(), ChunkedBody()

    whole.feed(wire)
    for byte in wire:
        if not single.error:
            single.feed(bytes([byte]))

    assert whole.error
    assert single.error
    assert not whole.done


def test_endless_chunk_lines_and_trailers_are_given_up():
    line, trailer = ChunkedBody(), ChunkedBody()

    line.feed(b"5;" + b"x" * MAX_CHUNK_LINE_BYTES)
    trailer.feed(b"0\r\n" + b"A: b\r\n" * 20000)

    assert line.error
    assert trailer.error


@given(st.binary(max_size=300), st.integers(0, 300))
def test_arbitrary_bytes_never_raise(data: bytes, cut: int):
    body = ChunkedBody()
    body.feed(data[:cut])
    if not body.error and not body.done:
        body.feed(data[cut:])

    assert not (body.done and body.error)
    with suppress(FramingError):
        assert parse_head(data[: split_head(data)] or data, method="GET").status >= 100


def test_our_own_chunks_are_read_back():
    body = ChunkedBody()

    assert body.feed(chunk(b"abc") + LAST_CHUNK) == ([b"abc"], 13)
    assert body.done
