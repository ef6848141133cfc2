"""Whatever is wrong, `taximeter doctor`, `/metrics` and `/readyz` say so while it is, and take it back when it is over."""

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.journal.names import new_instance
from exporters.journal.writer import Journal
from tests.fakes.clickhouse import fake_clickhouse
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import call
from tests.fakes.store_relay import store_relay
from tests.fakes.whole import CONFIG, serving, taximeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

PATIENCE_S = 40.0
ASK_AGAIN_S = 0.05
SLOW_S = 2.2
STORE_UP, SINK_UP, STORE_BAD = ("store_up",), ("sink_up", "clickhouse"), ("finding_bad", "store")


class Asked:
    """What a running Taximeter says of itself."""

    def __init__(self, whole, session):
        self.whole = whole
        self.session = session

    async def metrics(self):
        """Name without prefix, and values of the labels -> value."""
        async with self.session.get(f"{self.whole.admin}/metrics") as response:
            assert response.status == 200
            families = text_string_to_metric_families(await response.text())
        return {(s.name.removeprefix("taximeter_"), *s.labels.values()): s.value for f in families for s in f.samples}

    async def tell(self, *expected):
        """Ask until the metrics say what is expected: pairs of (name, values of labels ...) and value."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                told = await self.metrics()
                if all(told.get(key) == value for key, value in expected):
                    return told
                later = loop.create_future()
                loop.call_later(ASK_AGAIN_S, later.set_result, None)
                await asyncio.shield(later)

    async def ready(self):
        """Status of `/readyz`; `/healthz` is good whatever happens."""
        async with self.session.get(f"{self.whole.admin}/healthz") as response:
            assert response.status == 200
        async with self.session.get(f"{self.whole.admin}/readyz") as response:
            return response.status

    async def doctor(self):
        """Exit status, and what is not good: about -> (state, said, advice)."""
        return await doctor(self.whole.folder)

    async def call(self, path="/nowhere/v1"):
        """One call, and its status; a refused one is a call as well."""
        async with self.session.post(f"{self.whole.url}{path}", data=b"{}") as response:
            return response.status


async def doctor(folder):
    status, output, errors = await taximeter(folder, "doctor", "--format", "json")
    assert output, errors
    said = json.loads(output)
    findings = [finding for finding in said["findings"] if finding["state"] != "good"]
    assert all(finding["advice"] for finding in findings if finding["state"] == "bad")
    assert (status == 0) == said["healthy"] == (not any(finding["state"] == "bad" for finding in findings))
    return status, {finding["about"]: (finding["state"], finding["said"], finding["advice"]) for finding in findings}


@asynccontextmanager
async def asked(folder, config):
    async with serving(folder, config=config) as whole, aiohttp.ClientSession() as session:
        yield Asked(whole, session)


async def test_the_truth_about_a_store_that_is_cut_off_hangs_is_slow_or_of_a_newer_schema(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE_PASSWORD", "secret")
    monkeypatch.setenv("READER_PASSWORD", "look")
    with embedded_store(tmp_path / "store") as store:
        async with store_relay(int(store.settings.store.url.rpartition(":")[2]), slow_s=SLOW_S) as relay:
            config = (
                "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nshutdown_grace: 2s\n"
                f"store: {{url: 'http://127.0.0.1:{relay.port}', user: taximeter, password: 'env:STORE_PASSWORD',"
                " reader: {user: reader, password: 'env:READER_PASSWORD'}}\n"
            )
            async with asked(tmp_path, config) as it:
                await it.tell((STORE_UP, 1), (SINK_UP, 1), (STORE_BAD, 0))
                assert await it.ready() == 200
                assert await it.doctor() == (0, {})
                await cut_off(it, relay)
                await hanging(it, relay)
                await slow(it, relay)
                await of_a_newer_schema(it, store)


async def cut_off(it, relay):
    relay.become("cut")
    await it.tell((STORE_UP, 0), (STORE_BAD, 1))
    assert await it.call() == 404
    told = await it.tell((SINK_UP, 0), (("finding_bad", "sink clickhouse"), 1))
    assert await it.ready() == 503
    # What is counted goes on while the store is away.
    await it.tell((("decisions_total", "deny", "unknown_provider"), 1), (("sink_up", "prometheus"), 1))
    assert told["sink_waiting_segments", "prometheus"] <= 1
    status, findings = await it.doctor()
    assert status == 1
    assert findings["store"][0] == "bad"
    assert f"127.0.0.1:{relay.port}" in findings["store"][1]
    assert findings["sink clickhouse"][0] == "bad"
    relay.become("pass")
    await it.tell((STORE_UP, 1), (SINK_UP, 1), (("journal_segments",), 0))
    assert await it.doctor() == (0, {})
    assert await it.ready() == 200


async def hanging(it, relay):
    relay.become("hang")
    began_s = time.monotonic()
    await it.metrics()
    assert time.monotonic() - began_s < 3.0
    # Seconds later the look that was begun gives up; nobody had to wait for it.
    await it.tell((STORE_UP, 0))
    status, findings = await it.doctor()
    assert status == 1
    assert "timed out" in findings["store"][1]
    relay.become("pass")
    await it.tell((STORE_UP, 1), (SINK_UP, 1))


async def slow(it, relay):
    relay.become("slow")
    status, findings = await it.doctor()
    assert status == 1
    assert "is slow" in findings["store"][1]
    told = await it.tell((STORE_UP, 1), (STORE_BAD, 1))
    assert told["store_answer_seconds",] > 2.0
    relay.become("pass")
    await it.tell((STORE_BAD, 0), (SINK_UP, 1))


async def of_a_newer_schema(it, store):
    client = store.client()
    columns = [column for column, *_ in client.query("DESCRIBE TABLE schema_migrations").result_rows]
    picked = ", ".join("99" if column == "version" else column for column in columns)
    client.command(f"INSERT INTO schema_migrations SELECT {picked} FROM schema_migrations LIMIT 1")
    client.close()
    told = await it.tell((("finding_bad", "schema"), 1), (("store_schema_version",), 99))
    assert told["store_schema_wanted",] < 99
    status, findings = await it.doctor()
    assert status == 1
    assert "newer than this Taximeter" in findings["schema"][1]


async def test_the_truth_about_processes_that_die_or_stand_still_and_about_what_cannot_be_read(tmp_path):
    async with asked(tmp_path, CONFIG) as it:
        os.kill(it.whole.pid("worker-0"), signal.SIGKILL)
        told = await it.tell((("process_restarts_total", "worker-0"), 1), (("process_up", "worker-0"), 1))
        assert told["process_resident_memory_bytes", "worker-0"] > 10 * 2**20
        status, findings = await it.doctor()
        assert status == 0
        assert findings["worker-0"][0] == "note"
        assert "died once, the last time by SIGKILL" in findings["worker-0"][1]
        assert await it.ready() == 200

        leave_a_damaged_segment(it.whole.folder / "data" / "journal")
        await it.tell((("quarantined_lines", "damaged"), 1), (("losses_total", "segment_damaged"), 1))
        await it.tell((("finding_bad", "losses"), 1), (("finding_bad", "quarantine"), 1))
        status, findings = await it.doctor()
        assert status == 1
        assert findings["quarantine"][1] == "1 line damaged"
        assert "some of them within the last hour" in findings["losses"][1]

        recorder = it.whole.pid("recorder-0")
        os.kill(recorder, signal.SIGSTOP)
        try:
            status, findings = await it.doctor()
        finally:
            os.kill(recorder, signal.SIGCONT)
        assert status == 1
        assert findings["admin"][:2] == ("bad", f"nobody answers at {it.whole.admin}")


def leave_a_damaged_segment(journal_dir):
    """What a worker leaves that died, on a disk that has changed a byte since."""
    writer = Journal(journal_dir, new_instance("worker-9"))
    writer.close_call(call(1))
    folder = writer.folder
    writer.close()
    path = next(folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b"{half")


async def test_the_truth_about_a_journal_without_room(tmp_path):
    config = (
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nshutdown_grace: 2s\nstore: {url: 'http://127.0.0.1:1'}\n"
        "providers: {nobody: {kind: openai, base_url: 'http://127.0.0.1:1'}}\n"
        "journal: {max_bytes: 1, on_full: refuse}\n"
    )
    async with asked(tmp_path, config) as it:
        assert await it.call() == 404
        # One call waits for a store that is not there: that is all there is room for.
        await it.tell((("finding_bad", "journal room"), 1), (STORE_UP, 0), (SINK_UP, 0))
        async with asyncio.timeout(PATIENCE_S):
            while (seen := await it.call("/nobody/v1/chat/completions")) != 503:
                assert seen == 502
        status, findings = await it.doctor()
        assert status == 1
        assert "calls are refused with 503" in findings["journal room"][1]


async def test_the_truth_about_receivers_that_do_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "a-secret-of-the-hook-that-is-long-enough")
    config = CONFIG + (
        "sinks: {otlp: {endpoint: 'http://127.0.0.1:1'},"
        " webhooks: {crm: {url: 'http://127.0.0.1:1/hook', secret: 'env:HOOK_SECRET'}}}\n"
    )
    async with asked(tmp_path, config) as it:
        assert await it.call() == 404
        told = await it.tell((("sink_up", "webhook-crm"), 0), (("finding_bad", "sink webhook-crm"), 1), (SINK_UP, 1))
        down = {name for name in ("otlp", "otlp-traces", "otlp-metrics") if ("sink_lag_seconds", name) in told}
        assert down
        # What they do not have waits for them, though the store has it.
        await it.tell((("journal_segments",), 1), *((("finding_bad", f"sink {name}"), 1) for name in down))
        assert await it.ready() == 200
        status, findings = await it.doctor()
        assert status == 1
        assert findings.keys() == {f"sink {name}" for name in (*down, "webhook-crm")}


async def test_the_truth_about_clocks_that_differ(tmp_path):
    rows = {"X-ClickHouse-Format": "JSONCompact"}
    with fake_clickhouse() as clickhouse:
        ahead_ms = int((time.time() + 60) * 1000)
        clickhouse.answers = {"SELECT version()": (200, rows, json.dumps({"data": [["26.9", ahead_ms]]}).encode())}
        (tmp_path / "taximeter.yaml").write_text(f"store: {{url: '{clickhouse.settings.url}'}}\n")
        status, findings = await doctor(tmp_path)
    assert status == 1
    assert findings["clock"][0] == "bad"
    assert "store +" in findings["clock"][1]
