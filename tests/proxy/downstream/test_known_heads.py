"""A head is recognised by its bytes only where parsing it again would give the same."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, reject
from hypothesis import strategies as st

from proxy.downstream.known_heads import KnownHead, KnownHeads, varying_of

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request(body: bytes = b"abc", *lines: bytes, target: bytes = b"/openai/v1/x") -> bytes:
    head = [b"POST %b HTTP/1.1" % target, b"Host: h", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


LOOP = asyncio.new_event_loop()


def parse(data: bytes):
    protocol = BaseProtocol(LOOP)
    protocol._parser = parser = HttpRequestParser(protocol, LOOP, 2**16)
    return parser.feed_data(data)[0][0][0]


def known(*data: bytes) -> KnownHeads:
    heads = KnownHeads()
    for one in data:
        assert heads.learn(one, parse(one)) == 0
    return heads


def test_the_same_head_with_another_length_trace_and_body_is_recognised():
    heads = known(request(b"abc", b"traceparent: " + PARENT, b"X-A: 1"))
    other = PARENT.replace(b"0af7", b"ffff")

    found = heads.find(request(b"0123456789", b"traceparent: " + other, b"X-A: 1"))

    assert found is not None
    head, varying, body, missing_bytes = found
    assert missing_bytes == 0
    assert (head.method, head.target, head.keeps, head.http10) == ("POST", b"/openai/v1/x", True, False)
    assert head.fields == ((b"Host", b"h"), (b"X-A", b"1"))
    assert varying == [(b"content-length", b"10"), (b"traceparent", other)]
    assert body == b"0123456789"


@pytest.mark.parametrize(
    "data",
    [
        request(b"abc", b"X-A: 2"),
        request(b"abc", b"x-a: 1"),
        request(b"abc", b"X-A: 1", target=b"/openai/v1/y"),
        request(b"abc", b"X-A: 1") + b"G",
        request(b"abc", b"X-A: 1") + request(b"abc", b"X-A: 1"),
        request(b"abc", b"X-A: 1").replace(b"Content-Length: 3", b"Content-Length: +3"),
        request(b"abc", b"X-A: 1").replace(b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 3"),
        request(b"abc", b"X-A: 1").replace(b"Content-Length: 3", b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
        request(b"abc", b"X-A: 1", b"traceparent: " + PARENT),
        request(b"abc", b"X-A: 1").replace(b"\r\n", b"\n"),
        b"",
        b"\r\n\r\n",
    ],
)
def test_anything_else_goes_to_the_parser(data: bytes):
    assert known(request(b"abc", b"X-A: 1")).find(data) is None


def test_a_traceparent_that_is_none_goes_to_the_parser():
    heads = known(request(b"abc", b"traceparent: " + PARENT))

    assert heads.find(request(b"abc", b"traceparent: " + PARENT[:-2] + b"\x00\x00")) is None
    assert heads.find(request(b"abc", b"traceparent: " + PARENT + b"-more")) is None


def test_a_header_that_only_ends_like_a_length_is_no_length():
    heads = known(request(b"abc", b"X-Content-Length: 7"))

    assert heads.find(request(b"abc", b"X-Content-Length: 8")) is None
    assert heads.find(request(b"abcd", b"X-Content-Length: 7"))


def test_keys_of_two_apps_are_two_heads():
    one, two = request(b"", b"Authorization: Bearer sk-1"), request(b"", b"Authorization: Bearer sk-2")
    heads = known(one, two)

    assert heads.find(one)[0].fields[-1] == (b"Authorization", b"Bearer sk-1")
    assert heads.find(two)[0].fields[-1] == (b"Authorization", b"Bearer sk-2")


def test_chunked_bodies_upgrades_and_parts_are_not_learned():
    heads = KnownHeads()
    chunked = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    upgrade = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    assert heads.learn(chunked, parse(chunked)) == -1
    assert heads.learn(upgrade, parse(upgrade)) == -1
    assert heads.learn(request(b"abc") + b"G", parse(request(b"abc"))) == -1
    assert len(heads) == 0


def test_a_head_is_known_though_its_body_is_yet_to_come():
    heads = KnownHeads()
    data = request(b"x" * 100)

    assert heads.learn(data[:-60], parse(data[:-60])) == 60
    assert heads.find(data[:-100])[2:] == (b"", 100)
    assert heads.find(data[:-1])[2:] == (b"x" * 99, 1)
    assert heads.find(request(b"x" * 2_000_000)[:100]) is None


def test_a_long_head_is_not_kept_and_the_number_is_bounded():
    heads = KnownHeads()
    message = parse(request())

    assert heads.learn(request(b"", b"X-Long: " + b"x" * 9000), message) == 0
    assert len(heads) == 0
    for number in range(1100):
        heads.learn(request(b"", b"X-N: %d" % number), message)
    assert len(heads) == 1024


names = st.sampled_from([b"X-A", b"x-b", b"Content-Type", b"TRACESTATE", b"Expect", b"traceparent", b"Accept"])
values = st.sampled_from([b"1", b"a b", b"", PARENT, b"100-continue", b"k=v"])


@given(st.lists(st.tuples(names, values), max_size=6), st.binary(max_size=20), st.binary(max_size=20))
def test_what_is_recognised_is_what_the_parser_says(fields: list, first: bytes, second: bytes):
    lines = [b"%b: %b" % field for field in fields]
    data = request(second, *lines)
    heads = KnownHeads()
    try:
        heads.learn(request(first, *lines), parse(request(first, *lines)))
    except BadHttpMessage:
        reject()

    found = heads.find(data)

    if found is not None:
        message = parse(data)
        head, varying, body, _ = found
        assert sorted(varying) == sorted(varying_of(message))
        assert head.fields == KnownHead(message).fields
        assert body == second
        assert head.target == message.path.encode()
