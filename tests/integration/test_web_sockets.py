"""WebSockets through the proxy: client and server see what they would see without it, and it is on the books."""

import asyncio

import aiohttp
import pytest

from tests.fakes.settings import provider
from tests.fakes.until import until
from tests.fakes.web_sockets import LARGE, SCENARIOS, run, web_socket_server
from tests.fakes.worker_process import worker_process

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

IDLE_S = 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("web-sockets")


async def test_both_ends_see_what_they_would_see_without_the_proxy(folder):
    async with web_socket_server() as server:
        with worker_process(folder / "both", provider("p", server.url)) as worker:
            before = worker.rss_bytes
            for name in SCENARIOS:
                direct = await run(server.url, server, name)
                proxied = await run(f"{worker.url}/p", server, name)

                assert proxied == direct, name
                assert len(direct[0]) > 1
            await until(lambda: worker.sockets <= worker.idle_sockets)
            assert worker.rss_bytes - before < 20_000_000
            calls = worker.calls()

    assert len(calls) == len(SCENARIOS)
    assert {(call.status, call.operation != "", call.provider) for call in calls} == {(101, True, "p")}
    by_name = dict(zip(SCENARIOS, calls, strict=True))
    assert by_name["echo"].outcome == "ok"
    assert min(by_name["echo"].request_bytes, by_name["echo"].response_bytes) > len(LARGE)
    assert by_name["echo, compressed"].request_bytes < len(LARGE)
    assert by_name["the client is gone"].client_gone


async def test_a_refused_handshake_is_the_provider_s_answer(folder):
    async with web_socket_server() as server, aiohttp.ClientSession() as session:
        with worker_process(folder / "refused", provider("p", server.url)) as worker:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{worker.url}/p/v1/realtime?does=refuse")
            assert refused.value.status == 401
            assert refused.value.headers is not None
            assert refused.value.headers["WWW-Authenticate"] == "Bearer"
            with pytest.raises(aiohttp.WSServerHandshakeError) as unknown:
                await session.ws_connect(f"{worker.url}/nobody/v1/realtime")
            assert unknown.value.status == 404

        assert [(call.status, call.outcome) for call in worker.calls()] == [(401, "error"), (404, "refused")]


async def test_silence_ends_a_web_socket_and_a_sign_of_life_on_either_side_does_not_let_it_end(folder):
    async with web_socket_server() as server, aiohttp.ClientSession() as session:
        with worker_process(folder / "idle", provider("p", server.url, idle_timeout_s=IDLE_S)) as worker:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                client = await session.ws_connect(f"{worker.url}/p/v1/realtime?does=count")
                began = loop.time()
                pulse = loop.create_task(beat(client))
                await until(lambda: loop.time() - began > 3 * IDLE_S)
                assert not client.closed
                pulse.cancel()
                assert (await client.receive()).type == aiohttp.WSMsgType.CLOSED
            await until(worker.calls)

        (call,) = worker.calls()
        assert (call.outcome, call.error_class) == ("broken", "timeout")


async def beat(client):
    """Say something now and then, to a server that says nothing."""
    while True:
        await client.send_str("still here")
        await asyncio.sleep(IDLE_S / 4)
