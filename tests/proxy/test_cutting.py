"""Streams and WebSockets that end where a budget has no more: the app is told, and never sees a proper end."""

import asyncio
import gzip
import json

import pytest

from tests.fakes.growing_calls import ASK, HOLD, MOST_USED, STEP, budget, calling, leased
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.routes import ASK_STREAM, STREAM_HEAD, chunks, delta
from tests.fakes.until import until


def told(payload, before):
    """The error event behind these bytes."""
    assert payload.startswith(before)
    name, _, data = payload[len(before) :].rpartition(b"data: ")
    return name, json.loads(data)


async def test_a_stream_ends_with_the_dialects_error_event_where_the_budget_has_no_more(tmp_path):
    async with calling(tmp_path, budget(limit=HOLD + STEP)) as call:
        call.stage.say(STREAM_HEAD, chunks(MOST_USED, ends=False))
        await call.held_is(HOLD, HOLD + STEP)
        call.stage.say(chunks(delta("ab" * 110), ends=False))
        answer = read_answer(await call.rest())
        await call.stage.left.wait()
        record = await call.record()

    assert (answer.status, answer.complete) == (200, False)
    name, body = told(answer.payload, MOST_USED + delta("ab" * 110))
    assert name == b""
    assert body["error"]["code"] == "budget_exceeded"
    assert body["error"]["message"].startswith("Taximeter: budget b: 0 USD of 0.0024 USD spent")
    assert (record.outcome, record.error_class) == ("interrupted", "unknown")
    assert record.reasons[-1] == "budget:b:cut"
    assert record.draws[0].held == record.draws[0].set_aside == HOLD + STEP
    assert leased(tmp_path) <= HOLD + STEP


@pytest.mark.parametrize(
    "spoken", [delta("ab" * 96) + b'data: {"id":"x","choi', delta("ab" * 96)[:-1], delta("ab" * 96) + b": note\n"]
)
async def test_an_event_that_was_begun_is_ended_before_the_error_event(tmp_path, spoken):
    async with calling(tmp_path, budget(limit=HOLD)) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 96), spoken, ends=False))
        answer = read_answer(await call.rest())

    before, body = told(answer.payload, delta("ab" * 96) + spoken)
    assert before == b"\n\n"
    assert body["error"]["code"] == "budget_exceeded"


async def test_a_chunk_that_was_begun_does_not_swallow_the_error_event(tmp_path):
    async with calling(tmp_path, budget(limit=HOLD)) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 96), ends=False) + b"ffff\r\n" + delta("x"))
        answer = read_answer(await call.rest())

    before, body = told(answer.payload, delta("ab" * 96) + delta("x"))
    assert (before, body["error"]["code"]) == (b"", "budget_exceeded")
    assert not answer.complete


async def test_a_stream_that_ends_with_its_connection_is_told_and_reset(tmp_path):
    data = ASK.replace(b"HTTP/1.1", b"HTTP/1.0")
    async with calling(tmp_path, budget(limit=HOLD), data=data) as call:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        call.stage.say(head, delta("ab" * 96))
        async with asyncio.timeout(10):
            got = await call.reader.readuntil(b'"code":"budget_exceeded"')
            await until(lambda: isinstance(call.reader.exception(), ConnectionResetError))
        record = await call.record()

    assert delta("ab" * 96) in got
    assert record.outcome == "interrupted"


async def test_into_a_compressed_stream_nothing_is_put_it_only_breaks_off(tmp_path):
    data = post(b"/p/v1/chat/completions", ASK_STREAM, b"Accept-Encoding: br, gzip")
    async with calling(tmp_path, budget(limit=HOLD), data=data) as call:
        head = STREAM_HEAD.replace(b"Transfer", b"Content-Encoding: gzip\r\nTransfer")
        packed = gzip.compress(delta("ab" * 96))
        call.stage.say(head, chunks(packed, ends=False))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert not answer.complete
    assert b"budget" not in answer.payload
    assert gzip.decompress(answer.payload) == delta("ab" * 96)
    assert record.reasons[-1] == "budget:b:cut"
