"""The relay does what it is told, where it is told: otherwise a fault would be none."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.until import until
from tests.faults.relay import NO_HARM, Harm, relaying

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
INSERT = b"POST /?insert_deduplication_token=t HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789"
QUERY = b"POST /?query=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"


@asynccontextmanager
async def between(answer=ANSWER):
    """A relay, and the store behind it, which is given what reached it whole."""

    async def play(conversation):
        await conversation.request()
        await conversation.say(answer)

    async with raw_upstream(play) as store, relaying(lambda: store.port) as relay:
        yield relay, store


async def asked(relay, *requests, end=b"hello"):
    """What comes back for requests on one connection: each answer as far as it comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    said = b""
    for request in requests:
        writer.write(request)
        try:
            said += await reader.readuntil(end)
        except asyncio.IncompleteReadError as error:
            said += error.partial
    writer.close()
    return said


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
async def test_without_harm_everything_passes_unchanged(answer):
    async with between(answer) as (relay, store):
        assert await asked(relay, INSERT, QUERY, end=answer[-5:]) == answer + answer
        assert store.requests[0].endswith(b"0123456789")


async def test_inserts_are_told_from_queries():
    told = []
    async with between() as (relay, _):
        relay.choose = lambda is_insert: told.append(is_insert) or NO_HARM
        await asked(relay, INSERT, QUERY)
    assert told == [True, False]


@pytest.mark.parametrize(
    ("harm", "answered", "carried_out"),
    [
        (Harm("refuse"), b"", 0),
        (Harm("status", status=503), b"HTTP/1.1 503", 0),
        (Harm("status_after", status=502), b"HTTP/1.1 502", 1),
        (Harm("cut_request", at_bytes=4), b"", 0),
        (Harm("cut_answer", at_bytes=7), b"HTTP/1.", 1),
        (Harm("cut_answer", at_bytes=10**6), ANSWER[:-1], 1),
        (Harm("swallow"), b"", 1),
        (Harm("slow", delay_s=0.001), ANSWER, 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Harm) else "",
)
async def test_each_harm_strikes_where_it_is_meant_to(harm, answered, carried_out):
    async with between() as (relay, store):
        relay.choose = lambda _: harm
        said = await asked(relay, INSERT)
        await until(lambda: store.connections == (carried_out or harm.kind == "cut_request"))
        assert len(store.requests) == carried_out
    assert said.startswith(answered)
    assert harm.kind.startswith("status") or said == answered
    assert relay.struck[harm.kind] == 1


@pytest.mark.parametrize(("kind", "carried_out"), [("hold", 1), ("stall", 0)])
async def test_a_request_that_hangs_was_carried_out_or_was_not(kind, carried_out):
    async with between() as (relay, store):
        relay.choose = lambda _: Harm(kind)
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(INSERT)
        await until(lambda: relay.struck[kind])
        assert len(store.requests) == carried_out
        writer.close()
        with suppress(ConnectionError):
            assert await reader.read() == b""
