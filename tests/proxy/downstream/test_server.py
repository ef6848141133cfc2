"""The app's connection: what ends it, what it may carry next, and what is never taken for a request."""

import asyncio
import errno

import pytest

from proxy.downstream.server import ClientRequest
from tests.fakes.raw_requests import CHAT, OK, get, post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

UPGRADE = get(b"/p/v1/realtime", b"Connection: Upgrade", b"Upgrade: websocket", close=False)


async def test_a_refused_upgrade_says_that_the_connection_ends_with_it():
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    async with raw_upstream(answers(refusal)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(UPGRADE + get(b"/p/after"))

        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\nno")
        assert len(upstream.requests) == 1


async def test_only_a_web_socket_may_leave_http():
    # A provider that spoke HTTP/2 from here on would answer calls that nobody meters.
    request = get(
        b"/p/x", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", close=False
    )
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with raw_upstream(answers(OK, switched)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        passed, switching = await worker.exchange(request), await worker.exchange(request)

        assert passed.startswith(b"HTTP/1.1 200 ")
        assert b"pgrade" not in b"".join(upstream.requests)
        assert b"2-Settings" not in b"".join(upstream.requests)
        assert switching.startswith(b"HTTP/1.1 502 ")


async def test_the_connection_of_a_kept_app_carries_its_next_call():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for number in range(3):
                writer.write(get(b"/p/%d" % number, close=False))
                assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
        writer.close()

        assert [call.path for call in await worker.journal.calls(3)] == ["/0", "/1", "/2"]


async def test_an_app_that_leaves_after_an_early_answer_is_not_waited_for():
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), max_request_bytes=10) as worker,
    ):
        before = asyncio.all_tasks()
        reader, writer = await worker.connect()
        writer.write(get(CHAT, b"Content-Length: 1000000", method=b"POST", close=False))
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 413 ")
        writer.write(b"some of it")
        writer.close()

        await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()}, limit_s=2)


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.EHOSTUNREACH, "No route to host"), ConnectionResetError("reset")],
    ids=["network", "reset"],
)
async def test_an_app_whose_network_fails_has_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: OSError
):
    # What the loop says of a connection that it lost while an app was sending.
    monkeypatch.setattr(ClientRequest, "_cancel", lambda request, _error: request.body.set_exception(failure))
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(post(CHAT, b"x" * 100)[:-50])
        # A call after it on another connection: by then this one's head was taken up.
        await worker.exchange(get(b"/p/x"))
        writer.close()
        _, call = await worker.journal.calls(2)

        assert (call.outcome, call.error_class, call.status) == ("cancelled", "cancelled_by_client", 0)
        assert caplog.records == [], "it is no mistake of ours"
