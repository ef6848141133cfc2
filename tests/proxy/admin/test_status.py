import asyncio
import json
import os

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from proxy.admin.app import admin_app
from proxy.admin.status import JournalStatus, fetch, gather, look_at_store
from proxy.config.credentials import make_private_dirs
from proxy.runlock import supervisor_lock
from proxy.runstate import RunState, write_state
from proxy.settings import Listen
from tests.fakes.clickhouse import fake_clickhouse
from tests.fakes.config_files import load
from tests.fakes.statuses import WELL


def rows(*row):
    return 200, {"X-ClickHouse-Format": "JSONCompact"}, json.dumps({"data": [row]}).encode()


def test_a_store_that_answers_says_who_it_is_and_how_far_its_schema_is():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers = {"SELECT version()": rows("26.9.2", 4_000_000_000_000), "SELECT max": rows(7)}
        seen = look_at_store(clickhouse.settings, 8)
    assert (seen.reachable, seen.version, seen.schema_version, seen.schema_wanted) == (True, "26.9.2", 7, 8)
    assert seen.clock_ahead_s > 0


def test_a_store_without_a_schema_is_reachable_all_the_same():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers = {"SELECT version()": rows("26.9.2", "1790000000000")}
        seen = look_at_store(clickhouse.settings, 8)
    assert seen.reachable
    assert seen.schema_version is None


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"data": []}', b'{"data": 5}', b"\xff"])
def test_what_is_no_clickhouse_is_not_reachable(body):
    with fake_clickhouse() as clickhouse:
        clickhouse.answers = {"SELECT": (200, {}, body)}
        seen = look_at_store(clickhouse.settings, 8)
    assert not seen.reachable
    assert seen.error == "what answers there is no ClickHouse"


async def test_the_recorder_tells_the_status_over_the_admin_port():
    async def source():
        return WELL

    async with TestServer(admin_app(source)) as server:
        seen = await asyncio.to_thread(fetch, Listen("127.0.0.1", server.port))
    assert seen == WELL
    assert fetch(Listen("127.0.0.1", server.port)) is None


def test_what_answers_with_something_else_tells_no_status():
    with fake_clickhouse() as other:
        assert fetch(Listen("127.0.0.1", int(other.settings.url.rpartition(":")[2]))) is None


def test_it_gathers_when_nothing_runs_and_makes_nothing(tmp_path):
    settings = load(tmp_path, "store: {listen: '127.0.0.1:1'}\n")
    seen = gather(settings, JournalStatus(segments=3), 2, told_by="disk")
    assert seen.supervisor_pid is None
    assert seen.processes == []
    assert not seen.store.reachable
    assert seen.journal.segments == 3
    assert seen.disk_free_bytes > 0
    assert not settings.data_dir.exists()


def test_the_addresses_in_use_are_shown_and_asked(tmp_path):
    settings = load(tmp_path, None)
    make_private_dirs(settings)
    with fake_clickhouse() as clickhouse, supervisor_lock(settings.run_dir) as _:
        clickhouse.answers = {"SELECT version()": rows("26.9.2", 1), "SELECT max": rows(1)}
        state = RunState(
            pid=0,
            version="1",
            started_at_s=5.0,
            config_file=None,
            listen=Listen("127.0.0.1", 1111),
            admin=Listen("127.0.0.1", 2222),
            store_url=clickhouse.settings.url,
            processes=WELL.processes,
        )
        write_state(settings, msgspec.structs.replace(state, pid=os.getpid()))
        seen = gather(settings, JournalStatus(), 1, told_by="recorder")
    assert seen.supervisor_pid == os.getpid()
    assert seen.listen == "http://127.0.0.1:1111"
    assert seen.store.reachable
    assert [process["name"] for process in seen.processes] == ["worker-0", "store-0"]
