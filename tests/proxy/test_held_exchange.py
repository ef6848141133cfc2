"""What holds an answer back, and how a stream that has begun to go out ends when it breaks."""

import asyncio

import pytest

from proxy.core.facts import AnswerHead
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.held_exchange import Bounds, HeldExchange, Untouched
from proxy.observer import Observer
from proxy.upstream.errors import UpstreamError
from proxy.upstream.framing import parse_head
from tests.fakes.routes import delta, event

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
EVENT = b"data: broken\n\n"


class Client:
    writing_stopped = False

    def __init__(self):
        self.sent = b""

    def send(self, data):
        self.sent += data


@pytest.fixture
def client():
    return Client()


def exchange_of(client, raw, *, stream_bytes=1000, stream_s=60.0, whole_bytes=100):
    exchange = HeldExchange(
        client,
        asyncio.get_running_loop(),
        http10=False,
        keep_client=True,
        extra_head=b"",
        watch=lambda head: (
            Observer(OPENAI_CHAT, AnswerHead(status=head.status, content_type=head.content_type), 1000, lambda _: None),
            Untouched() if head.content_type == "text/event-stream" else None,
        ),
        relays_continue=False,
        upgrades=False,
        holds=lambda _: True,
    )
    bounds = Bounds(stream_bytes=stream_bytes, stream_s=stream_s, whole_bytes=whole_bytes)
    exchange.hold_within(bounds, lambda _: EVENT, captures_bytes=0)
    exchange.on_head(parse_head(raw, method="POST"), more=False)
    return exchange


def say(exchange, *pieces):
    for piece in pieces:
        exchange.on_data(b"%x\r\n%b\r\n" % (len(piece), piece), [piece])


async def test_a_stream_waits_for_its_first_content(client):
    exchange = exchange_of(client, STREAM)
    say(exchange, delta(None))
    held = client.sent
    say(exchange, delta("word"))

    assert held == b""
    assert exchange.is_committed
    assert client.sent.count(b"data: ") == 2


async def test_a_stream_goes_out_when_it_is_longer_than_its_bound(client):
    exchange = exchange_of(client, STREAM, stream_bytes=200)
    say(exchange, b": " + b"x" * 300 + b"\n\n")

    assert exchange.is_committed


async def test_a_whole_answer_waits_for_its_end_and_for_whoever_looks_at_it(client):
    exchange = exchange_of(client, WHOLE, whole_bytes=1000)
    exchange.on_data(b"x" * 40, None)
    exchange.on_end()
    held = client.sent
    exchange.let_go()

    assert held == b""
    assert client.sent.endswith(b"x" * 40)


async def test_a_whole_answer_that_is_too_large_goes_out(client):
    exchange = exchange_of(client, WHOLE, whole_bytes=50)
    exchange.on_data(b"x" * 39, None)

    assert exchange.is_committed


async def test_what_is_discarded_never_goes_out(client):
    exchange = exchange_of(client, STREAM)
    say(exchange, delta(None))
    exchange.discard()
    exchange.let_go()

    assert client.sent == b""


async def test_a_stream_that_breaks_ends_with_an_error_event_of_its_own(client):
    exchange = exchange_of(client, STREAM)
    say(exchange, delta("word"), b'data: {"half')
    exchange.on_broken(UpstreamError("gone", phase="answer"))

    assert client.sent.endswith(b'data: {"half\r\n' + b"%x\r\n\n\n%b\r\n" % (2 + len(EVENT), EVENT))


async def test_a_stream_whose_provider_stated_the_error_gets_no_second_one(client):
    exchange = exchange_of(client, STREAM)
    say(exchange, delta("word"), event({"error": {"message": "no"}}))
    exchange.on_broken(UpstreamError("gone", phase="answer"))

    assert EVENT not in client.sent


async def test_a_stream_without_its_end_marker_gets_no_last_chunk(client):
    exchange = exchange_of(client, STREAM)
    say(exchange, delta("word"))
    exchange.on_end()

    assert exchange.cut_short
    assert EVENT in client.sent
    assert not client.sent.endswith(b"0\r\n\r\n")
