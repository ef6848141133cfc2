import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxy.admin.app import admin_app, not_ready, serve_admin
from proxy.admin.status import JournalStatus
from proxy.settings import Listen
from tests.fakes.statuses import WELL, status, store


@contextlib.asynccontextmanager
async def client_of(shown, hosts=()):
    async def source():
        return shown

    async with TestClient(TestServer(admin_app(source, hosts=hosts))) as client:
        yield client


async def test_alive_is_alive_whatever_the_rest_does():
    async with client_of(status(store=store(reachable=False))) as client:
        response = await client.get("/healthz")
        assert response.status == 200
        assert await response.json() == {"status": "alive"}


async def test_ready_when_every_process_serves_and_the_store_answers():
    async with client_of(WELL) as client:
        response = await client.get("/readyz")
        assert (response.status, await response.json()) == (200, {"ready": True, "reasons": []})


async def test_not_ready_names_the_reasons():
    processes = [{**WELL.processes[0], "state": "waiting"}]
    shown = status(processes=processes, store=store(reachable=False, error="connection refused"))
    async with client_of(shown) as client:
        response = await client.get("/readyz")
        assert response.status == 503
        assert (await response.json())["reasons"] == not_ready(shown)
    assert not_ready(shown) == ["worker-0 is waiting", "the store cannot be reached: connection refused"]


async def test_status_is_the_whole_status():
    async with client_of(status(journal=JournalStatus(losses={"disk_full": 3}))) as client:
        body = await (await client.get("/status")).json()
    assert body["journal"]["losses"] == {"disk_full": 3}
    assert body["processes"][0]["name"] == "worker-0"


@contextlib.asynccontextmanager
async def scraped(**headers):
    async def source():
        return WELL

    async def metrics(accept):
        return (
            f"# asked for {accept}\n".encode() * 100,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        )

    async with (
        TestClient(TestServer(admin_app(source, metrics=metrics))) as client,
        client.get("/metrics", headers=headers) as response,
    ):
        yield response


async def test_metrics_come_in_the_format_asked_for():
    async with scraped(Accept="text/plain") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        assert (await response.text()).startswith("# asked for text/plain\n")


async def test_metrics_are_compressed_where_that_is_understood():
    async with scraped(**{"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert int(response.headers["Content-Length"]) < 500


async def test_metrics_too_are_for_our_own_host_names_only():
    async with scraped(Host="evil.example") as response:
        assert response.status == 421


async def test_without_a_source_there_are_no_metrics():
    async with client_of(WELL) as client:
        assert (await client.get("/metrics")).status == 404


async def test_without_a_console_there_is_no_page():
    async with client_of(WELL) as client:
        assert (await client.get("/")).status == 404


@pytest.mark.parametrize("path", ["/", "/status", "/healthz", "/nothing"])
async def test_a_foreign_host_name_is_refused_everywhere(path):
    async with client_of(WELL) as client:
        response = await client.get(path, headers={"Host": "evil.example"})
        assert response.status == 421
        assert "1.2.3" not in await response.text()


async def test_configured_names_are_answered():
    async with client_of(WELL, hosts=("meter.internal",)) as client:
        assert (await client.get("/healthz", headers={"Host": "meter.internal:8485"})).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_changed(method):
    async with client_of(WELL) as client:
        assert (await client.request(method, "/status")).status == 405


async def test_it_serves_until_told_to_stop():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def source():
        return WELL

    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve_admin(Listen("127.0.0.1", port), admin_app(source), stop, ready.set))
    await asyncio.wait_for(ready.wait(), 10)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as response:
        assert response.status == 200
    stop.set()
    await asyncio.wait_for(serving, 10)
