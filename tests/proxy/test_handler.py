"""The walk of a call: every request is answered, and is one record; no request goes to a host that is not configured."""

import asyncio
import json

import pytest

from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = [b"%b %b HTTP/1.1" % (method, target), b"Host: evil.example", *lines, b"Connection: close"]
    return b"\r\n".join(head) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/p/v1/models", b"/v1/models"),
        (b"/p", b"/"),
        (b"/p/", b"/"),
        (b"/p?x=1", b"/?x=1"),
        (b"/p//evil.example/x", b"//evil.example/x"),
        (b"/p/../q/x", b"/../q/x"),
        (b"/p/a%2f..%2Fb?c=%00", b"/a%2f..%2Fb?c=%00"),
        (b"/p/@evil.example/", b"/@evil.example/"),
        (b"/p/http://evil.example/", b"/http://evil.example/"),
    ],
)
async def test_path_and_query_go_to_the_configured_host_byte_for_byte(target: bytes, sent: bytes):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(get(target))

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert upstream.requests[0].startswith(b"GET " + sent + b" HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (get(b"/nobody/v1/models"), 404, "unknown_provider"),
        (get(b"/"), 404, "unknown_provider"),
        (get(b"/p@evil.example/"), 404, "unknown_provider"),
        (get(b"/%70/v1"), 404, "unknown_provider"),
        (get(b"//p/v1"), 404, "unknown_provider"),
        (get(b"http://evil.example/p/v1"), 400, "bad_target"),
        (get(b"*", method=b"OPTIONS"), 400, "bad_target"),
        (get(b"evil.example:443", method=b"CONNECT"), 400, "bad_target"),
    ],
)
async def test_what_names_no_provider_is_refused_and_on_the_books(request_bytes: bytes, status: int, code: str):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(request_bytes)

        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"x-taximeter-error: " + code.encode() in head
        assert json.loads(body)["error"]["message"].startswith("Taximeter: ")
        assert upstream.requests == []
        (call,) = worker.journal.closed
        assert (call.outcome, call.status, call.reasons) == ("refused", status, (code,))
        assert b"x-taximeter-call-id: " + call.call_id.encode() in head


@pytest.mark.parametrize(
    "path", [b"/p/../../admin", b"/p/%2e%2E/x", b"/p/x/.%2e%2fadmin", b"/p/..%5cx", b"/p/..;/x", b"/p/..%3bv=1/x"]
)
async def test_dot_segments_cannot_leave_the_path_of_a_base_url(path: bytes):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url + "/tenants/a")) as worker,
    ):
        refused, passed = await worker.exchange(get(path)), await worker.exchange(get(b"/p/x"))

        assert refused.startswith(b"HTTP/1.1 400 ")
        assert passed.startswith(b"HTTP/1.1 200 ")
        assert [request.split(b" ")[1] for request in upstream.requests] == [b"/tenants/a/x"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        ("GET /p/ü HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400),
        (b"GET /p HTTP/1.1\r\nBad Name: x\r\n\r\n", 400),
        (b"GET /p HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"GET /p HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000_000 + b"\r\n\r\n", 431),
    ],
    ids=["no http", "no ascii", "bad name", "nul", "bad length", "two lengths", "10 MB header"],
)
async def test_what_is_not_http_gets_a_clear_4xx(request_bytes: bytes, status: int):
    async with running_worker(provider("p", "http://127.0.0.1:1")) as worker:
        reader, writer = await worker.connect()
        writer.write(request_bytes)
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"}")
        writer.close()

        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"x-taximeter-call-id" in answer
        assert worker.journal.losses == ["malformed_request"]


async def test_a_body_over_the_limit_is_a_413_where_it_would_have_to_be_held():
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), max_request_bytes=10) as worker,
    ):
        chat, files = b"/p/v1/chat/completions", b"/p/v1/files"
        declared = get(chat, b"Content-Length: 11", method=b"POST") + b"x" * 11
        chunked = get(chat, b"Transfer-Encoding: chunked", method=b"POST") + b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"
        streamed = get(files, b"Content-Length: 11", method=b"POST") + b"x" * 11

        for request in (declared, chunked):
            answer = await worker.exchange(request)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"larger than the limit of 10 bytes" in answer
        assert (await worker.exchange(streamed)).startswith(b"HTTP/1.1 200 ")
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "body", [b"", b"no json", b'{"model":', b"\x00\xff", b"[]", b'"x"', b'{"model":5,"stream":"yes"}']
)
async def test_a_body_that_cannot_be_read_is_the_provider_s_business(body: bytes):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        request = get(b"/p/v1/chat/completions", b"Content-Length: %d" % len(body), method=b"POST") + body
        answer = await worker.exchange(request)

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert upstream.requests[0].endswith(b"\r\n\r\n" + body)


async def test_calls_on_one_connection_are_answered_in_order_and_each_is_recorded():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(b"".join(b"GET /p/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(3)))
        async with asyncio.timeout(5):
            for _ in range(3):
                await reader.readuntil(b"\r\n\r\nok")
        writer.close()

        assert [call.path for call in await worker.journal.calls(3)] == ["/0", "/1", "/2"]
        assert [record.call_id for record in worker.journal.opened] == [c.call_id for c in worker.journal.closed]
        assert upstream.connections == 1


async def test_a_head_that_was_seen_before_carries_the_length_trace_and_key_of_each_call():
    parents = [f"00-{n:032x}-00000000000000f{n}-01".encode() for n in (1, 2, 3)]
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for number, (parent, key) in enumerate(zip(parents, (b"sk-a", b"sk-a", b"sk-b"), strict=True)):
                body = b"x" * number
                writer.write(
                    b"POST /p/v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\ntraceparent: %b\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (key, parent, len(body), body)
                )
                await reader.readuntil(b"\r\n\r\nok")
        writer.close()

        calls = await worker.journal.calls(3)
        assert [call.trace.trace_id for call in calls] == [f"{n:032x}" for n in (1, 2, 3)]
        assert [call.request_bytes for call in calls] == [0, 1, 2]
        assert calls[0].caller.key_id == calls[1].caller.key_id != calls[2].caller.key_id
        assert [b"Bearer sk-b" in request for request in upstream.requests] == [False, False, True]
        assert [request.partition(b"\r\n\r\n")[2] for request in upstream.requests] == [b"", b"x", b"xx"]


@pytest.mark.parametrize("cut", [1, 20, 60, 79])
async def test_a_known_head_that_comes_in_parts_is_parsed(cut: int):
    whole = b"POST /p/v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for parts in ([whole], [whole], [whole[:cut], whole[cut:]], [whole]):
                for part in parts:
                    writer.write(part)
                    await until(lambda: not writer.transport.get_write_buffer_size())
                await reader.readuntil(b"\r\n\r\nok")
        writer.close()

        assert [request.partition(b"\r\n\r\n")[2] for request in upstream.requests] == [b"body"] * 4


async def test_a_known_head_with_a_long_body_in_pieces_and_the_next_request_behind_it():
    def long(number: int) -> bytes:
        body = b"%d" % number * 200_000
        return b"POST /p/v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(20):
            for number in (1, 2, 3):
                writer.write(long(number))
                await reader.readuntil(b"\r\n\r\nok")
            writer.write(long(4) + long(5) + long(6))
            for _ in range(3):
                await reader.readuntil(b"\r\n\r\nok")
        writer.close()

        got = [request.partition(b"\r\n\r\n")[2] for request in upstream.requests]
        assert [(len(body), set(body)) for body in got] == [(200_000, {ord(str(n))}) for n in (1, 2, 3, 4, 5, 6)]


async def test_an_app_that_leaves_in_the_body_of_a_known_head_is_recorded():
    whole = b"POST /p/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(whole)
                await reader.readuntil(b"\r\n\r\nok")
            writer.write(whole[:-1])
            await until(lambda: len(worker.journal.opened) == 2)
            writer.close()
            calls = await worker.journal.calls(3)

        assert (calls[2].outcome, calls[2].client_gone) == ("cancelled", True)
        assert len(upstream.requests) == 2


async def test_no_secret_is_in_a_record():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url, "gemini")) as worker:
        await worker.exchange(
            get(b"/p/v1beta/models?key=AIza-secret", b"Authorization: Bearer sk-secret", b"Cookie: secret=1")
        )

        assert b"key=AIza-secret" in upstream.requests[0]
        assert "secret" not in repr(worker.journal.closed) + repr(worker.journal.opened)
        assert worker.journal.closed[0].caller.key_id


async def test_calls_under_way_finish_before_the_worker_stops():
    release: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await release
        await conversation.say(OK)

    async with raw_upstream(play) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            answer = asyncio.ensure_future(worker.exchange(get(b"/p/x")))
            await until(lambda: upstream.requests)
            release.set_result(None)
        assert (await answer).startswith(b"HTTP/1.1 200 OK")


async def test_calls_that_outlast_the_grace_time_are_ended_and_recorded():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    async with raw_upstream(play) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            answer = asyncio.ensure_future(worker.exchange(get(b"/p/x")))
            await until(lambda: upstream.requests)

        assert (await answer).startswith(b"HTTP/1.1 503 ")
        assert b'"Taximeter: shut down before the provider had answered"' in await answer
        (call,) = worker.journal.closed
        assert (call.outcome, call.error_class, call.status) == ("interrupted", "unknown", 503)


async def test_calls_that_have_not_reached_their_provider_by_then_are_recorded_too():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    async with raw_upstream(play) as upstream:
        async with running_worker(provider("p", upstream.url, max_connections=1)) as worker:
            _, busy = await worker.connect()
            busy.write(get(b"/p/busy"))
            await until(lambda: upstream.requests)
            _, waiting = await worker.connect()
            waiting.write(get(b"/p/waiting"))
            await until(lambda: len(worker.journal.opened) == 2)
            _, reading = await worker.connect()
            reading.write(get(b"/p/v1/chat/completions", b"Content-Length: 9", method=b"POST") + b"{")
            # A call after it on its own connection: the one before was taken up by then.
            assert (await worker.exchange(get(b"/nobody"))).startswith(b"HTTP/1.1 404 ")
        for writer in (busy, waiting, reading):
            writer.close()

    records = {call.path: call for call in worker.journal.closed}
    assert {path: call.outcome for path, call in records.items()} == {
        "/busy": "interrupted",
        "/waiting": "interrupted",
        "/v1/chat/completions": "interrupted",
        "/nobody": "refused",
    }


async def test_a_mistake_of_ours_behind_an_answer_is_not_sent_after_it(monkeypatch: pytest.MonkeyPatch):
    def fail(record: object) -> None:
        raise RuntimeError("a bug")

    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        monkeypatch.setattr(worker.journal, "close_call", fail)
        answer = await worker.exchange(b"GET /p/1 HTTP/1.1\r\nHost: x\r\n\r\n" + get(b"/p/2"))

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"\r\n\r\nok")
        assert answer.count(b"HTTP/1.1") == 1


async def test_a_mistake_of_ours_before_an_answer_is_a_500_in_our_name(monkeypatch: pytest.MonkeyPatch):
    def fail(record: object) -> None:
        raise RuntimeError("a bug")

    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        monkeypatch.setattr(worker.journal, "open_call", fail)
        answer = await worker.exchange(get(b"/p/1"))

        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"Taximeter failed" in answer
        assert len(worker.journal.closed) == 1


@pytest.mark.parametrize("path", [b"/p/v1/chat/completions", b"/p/v1/messages", b"/p/v1/files"])
async def test_without_room_in_the_journal_a_call_is_refused_before_it_is_forwarded(path: bytes):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        worker.journal.full, worker.journal.refusing = "max_bytes", True
        answer = await worker.exchange(get(path, b"Content-Length: 2", method=b"POST") + b"{}")

        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"x-taximeter-error: journal_full" in head
        assert b"Retry-After: 5" in head
        assert "no room to record this call" in json.loads(body)["error"]["message"]
        assert upstream.requests == []
        (call,) = worker.journal.closed
        assert (call.outcome, call.status, call.reasons[-1]) == ("refused", 503, "journal_full")

        worker.journal.full, worker.journal.refusing = "", False
        assert (await worker.exchange(get(b"/p/x"))).startswith(b"HTTP/1.1 200 ")


async def test_without_room_in_the_journal_calls_go_on_where_the_operator_lets_them():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        worker.journal.full = "write_failed"
        assert (await worker.exchange(get(b"/p/x"))).startswith(b"HTTP/1.1 200 ")
        assert worker.journal.opened == []
