"""Streams and WebSockets that end where a budget has no more: the app is told, and never sees a proper end."""

import asyncio
import gzip
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from msgspec.structs import replace

from policies.ledger.books import BooksUnavailableError
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.growing_calls import ASK, ASSUMED, HOLD, MOST_USED, STEP, budget, calling, leased, policies
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import get, post
from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.routes import ASK_STREAM, STREAM_HEAD, chunks, delta, event, routed, streamed, two_targets
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until
from tests.fakes.web_sockets import web_socket_server

UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA==")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def told(payload, before):
    """The error event behind these bytes."""
    assert payload.startswith(before)
    name, _, data = payload[len(before) :].rpartition(b"data: ")
    return name, json.loads(data)


def typed(text):
    """Text that every dialect's count sees."""
    return event({"type": "response.output_text.delta", "delta": text})


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


@asynccontextmanager
async def talking(tmp_path, *others, **fields):
    """A WebSocket to a server that echoes, under a budget that holds 100 for each 4,096 bytes."""
    rules = budget(unit="tokens", unbounded=100, step_bytes=4096, **fields), *others
    async with (
        web_socket_server() as server,
        running_worker(provider("p", server.url), policies=policies(*rules), data_dir=tmp_path) as worker,
        aiohttp.ClientSession() as session,
        asyncio.timeout(20),
    ):
        client = await session.ws_connect(f"http://127.0.0.1:{worker.port}/p/v1/realtime")
        yield client, worker, server


async def echoed(client, size):
    await client.send_bytes(b"x" * size)
    assert len((await client.receive()).data) == size


async def test_a_web_socket_is_closed_with_a_code_and_the_budgets_name_where_there_is_no_more(tmp_path):
    async with talking(tmp_path, limit=200) as (client, worker, server):
        await echoed(client, 1000)
        assert [line.draws[0].held for line in worker.journal.opened] == [100]
        await echoed(client, 1000)
        await until(lambda: [line.draws[0].held for line in worker.journal.opened] == [100, 200])
        await echoed(client, 2000)
        message = await client.receive()
        await server.over.wait()
        (record,) = await worker.journal.calls(1)

    assert (message.type, client.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)
    assert message.extra.startswith("Taximeter: budget b: ")
    assert (record.status, record.outcome, record.reasons[-1]) == (101, "interrupted", "budget:b:cut")
    assert (record.draws[0].held, record.draws[0].set_aside) == (200, 200)
    assert server.heard.events[-1] == ("closed", 1006)


async def test_into_a_frame_that_was_begun_no_other_is_put(tmp_path):
    async def play(conversation):
        await conversation.request()
        await conversation.say(SWITCH, b"\x82\x7e\xff\xff" + b"x" * 5000)
        await conversation.gone()

    rule = budget(unit="tokens", unbounded=100, step_bytes=4096, limit=100)
    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(rule), data_dir=tmp_path) as worker,
    ):
        answer = await worker.exchange(get(b"/p/v1/realtime", *UPGRADE, close=False))
        (record,) = await worker.journal.calls(1)

    assert answer.endswith(b"\r\n\r\n\x82\x7e\xff\xff" + b"x" * 5000)
    assert record.reasons[-1] == "budget:b:cut"


async def test_finish_lets_a_web_socket_go_on_and_says_so(tmp_path):
    roomy = budget(name="c", unit="tokens", unbounded=7, step_bytes=1 << 14)
    async with talking(tmp_path, roomy, limit=100, cuts=False) as (client, worker, _server):
        for _ in range(5):
            await echoed(client, 2000)
        await until(lambda: [line.draws[1].held for line in worker.journal.opened] == [7, 14])
        await echoed(client, 2000)
        await client.close()
        (record,) = await worker.journal.calls(1)

    assert client.close_code == 1000
    assert record.outcome == "ok"
    assert "budget:b:finish" in record.reasons
    assert [draw.held for draw in record.draws] == [100, 14]


@pytest.mark.parametrize(
    ("kind", "path", "head"),
    [
        ("anthropic", b"/p/v1/messages", b"event: error\ndata: "),
        ("openai", b"/p/v1/responses", b"event: error\ndata: "),
        ("minimax", b"/p/v1/text/chatcompletion_v2", b"data: "),
    ],
)
async def test_each_dialect_is_told_in_its_own_words(tmp_path, kind, path, head):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD, chunks(*[typed("ab" * 96)], ends=False))
        await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(
            provider("p", upstream.url, kind=kind), policies=policies(budget(limit=HOLD)), data_dir=tmp_path
        ) as worker,
    ):
        answer = read_answer(await worker.exchange(post(path, ASK_STREAM)))
        (record,) = await worker.journal.calls(1)

    assert answer.payload.startswith(typed("ab" * 96) + head)
    assert b"budget b" in answer.payload
    assert record.reasons[-1] == "budget:b:cut"


async def test_a_routed_stream_is_told_of_its_budget_once_and_its_target_is_not_blamed(tmp_path):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD, chunks(delta("ab" * 96), ends=False))
        await conversation.gone()

    rules = policies(budget(limit=HOLD), providers=("a", "b"))
    compiled = replace(rules, routing=routed().routing)
    async with (
        raw_upstream(play) as first,
        raw_upstream(play) as second,
        running_worker(*two_targets(first.url, second.url), policies=compiled, data_dir=tmp_path) as worker,
    ):
        answer = read_answer(await worker.exchange(post(b"/a/v1/chat/completions", ASK_STREAM)))
        (record,) = await worker.journal.calls(1)

    before, body = told(answer.payload, delta("ab" * 96))
    assert (before, answer.complete) == (b"", False)
    assert body["error"]["code"] == "budget_exceeded"
    assert answer.payload.count(b"error") == 1 + b"rate_limit_error".count(b"error")
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.rule, attempt.error.error_class) == ("interrupted", "way:budget", "unknown")
    assert record.draws[0].set_aside == HOLD
    assert "budget:b:cut" in record.reasons
    assert second.requests == []


@pytest.mark.parametrize(
    ("framing", "body", "is_told"),
    [
        (b"Connection: close", typed("ab" * 96), True),
        (b"Transfer-Encoding: chunked", chunks(typed("ab" * 96), ends=False), True),
        (b"Content-Length: 5000", typed("ab" * 96), False),
    ],
)
async def test_in_every_framing_the_app_sees_no_proper_end(tmp_path, framing, body, is_told):
    async def play(conversation):
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framing + b"\r\n\r\n", body)
        await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(
            provider("p", upstream.url, kind="anthropic"), policies=policies(budget(limit=HOLD)), data_dir=tmp_path
        ) as worker,
    ):
        answer = read_answer(await worker.exchange(post(b"/p/v1/messages", ASK_STREAM)))
        (record,) = await worker.journal.calls(1)

    assert not answer.complete
    assert answer.payload.startswith(typed("ab" * 96))
    assert (b"budget b" in answer.payload) == is_told
    assert record.draws[0].set_aside == HOLD


@pytest.mark.parametrize("unavailable", ["deny", "allow"])
async def test_without_a_ledger_the_policy_says_whether_a_stream_may_go_on(tmp_path, monkeypatch, unavailable):
    def gone(*_):
        raise BooksUnavailableError("no disk")

    rule = budget(unit="output_tokens", limit=ASSUMED + 10, when_unavailable=unavailable)
    async with calling(tmp_path, rule) as call:
        await call.held_is(ASSUMED)
        monkeypatch.setattr(SqliteBooks, "borrow", gone)
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 96), ends=False))
        if unavailable == "allow":
            await until(lambda: len(call.held) == 2)
            call.stage.say(chunks(streamed("end")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete == (unavailable == "allow")
    assert (b"ledger_unavailable" in answer.payload) == (unavailable == "deny")
    assert ("budget:b:cut:ledger_unavailable" in record.reasons) == (unavailable == "deny")
    assert ("budget:b:uncounted" in record.reasons) == (unavailable == "allow")
