"""The first segment of a path names a configured provider; the rest goes there as it came."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser

from proxy.downstream.known_heads import KnownHead
from proxy.outbox import Outbox
from proxy.place import Place, Places, dialect_of
from proxy.providers import find_provider
from proxy.replies import Reply
from proxy.upstream.provider import Upstream
from tests.fakes.settings import provider

LOOP = asyncio.new_event_loop()
OUTBOX = Outbox(LOOP)
PLACES = Places(
    {
        "minimax": Upstream(
            provider("minimax", "https://api.minimax.io", "minimax"), find_provider("minimax"), LOOP, OUTBOX
        ),
        "mine": Upstream(
            provider("mine", "http://h:1/a", "openai", api_key="sk"), find_provider("openai"), LOOP, OUTBOX
        ),
    }
)


def head(target: bytes, method: bytes = b"POST") -> KnownHead:
    protocol = BaseProtocol(LOOP)
    protocol._parser = parser = HttpRequestParser(protocol, LOOP, 2**16)
    data = method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app\r\n\r\n"
    return KnownHead(parser.feed_data(data)[0][0][0])


def test_a_place_holds_what_the_path_decides():
    place = PLACES.find(head(b"/minimax/anthropic/v1/messages?a=%20"))

    assert isinstance(place, Place)
    assert (place.raw_path, place.query) == (b"/anthropic/v1/messages", b"?a=%20")
    assert (place.dialect_name, place.route.operation) == ("anthropic.messages", "chat")
    start = b"POST /anthropic/v1/messages?a=%20 HTTP/1.1\r\nHost: api.minimax.io\r\nAuthorization: Bearer app\r\n"
    assert place.start(None) == place.start(None) == start


def test_the_operator_s_key_stands_in_the_head_for_the_provider():
    place = PLACES.find(head(b"/mine/v1/models", b"GET"))

    assert isinstance(place, Place)
    assert place.start(place.upstream.keys.choose(0)).endswith(b"\r\nAuthorization: Bearer sk\r\n")


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        (b"/nobody/v1", 404, "one of: mine, minimax"),
        (b"/azure/v1", 404, "providers.azure.base_url"),
        (b"/", 404, "no provider has this name"),
        (b"/%6dine/v1", 404, "no provider has this name"),
        (b"http://mine/v1", 400, "must be a path"),
        (b"/mine/../b", 400, "dot segments"),
    ],
)
def test_a_refusal_says_what_would_be_right(target: bytes, status: int, said: str):
    reply = PLACES.find(head(target))

    assert isinstance(reply, Reply)
    assert reply.status == status
    assert said in reply.message


def test_a_refusal_speaks_the_dialect_of_such_a_path():
    assert dialect_of(head(b"/nobody/v1/messages")).name == "anthropic.messages"
    assert dialect_of(head(b"/nobody/v1/chat/completions")).name == "openai.chat"
    assert dialect_of(head(b"/")).name == "openai.chat"
