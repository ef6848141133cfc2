"""`taximeter serve` as a whole: every process real, started and ended as a person or a machine would."""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.until import until
from tests.fakes.whole import serving, taximeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

READY_S = 5.0


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan whose new parent has not looked yet is gone as well.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def pids(whole):
    return [child["pid"] for child in whole.state["processes"]]


async def answers(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_it_is_ready_soon_says_where_it_is_and_ends_cleanly(tmp_path):
    began = time.monotonic()
    async with serving(tmp_path) as whole:
        took_s = time.monotonic() - began
        children = pids(whole)
        assert whole.url in whole.banner
        assert whole.admin in whole.banner
        assert re.search(r"http://reader:\S+@127\.0\.0\.1:\d+", whole.banner)
        assert "data/run/store-credentials.json" in whole.banner
        assert f'openai.OpenAI(base_url="{whole.url}/minimax/v1"' in whole.banner
        assert f'anthropic.Anthropic(base_url="{whole.url}/anthropic"' in whole.banner
        assert await answers(f"{whole.url}/nowhere/v1") == 404
        assert await answers(f"{whole.admin}/readyz") == 200
        whole.process.terminate()
        assert await whole.ends() == 0
    assert all(map(gone, children))
    assert took_s < READY_S


async def test_its_commands_find_it(tmp_path):
    async with serving(tmp_path):
        status, output, _ = await taximeter(tmp_path, "doctor", "--format", "json")
        assert (status, json.loads(output)["healthy"]) == (0, True)
        assert (await taximeter(tmp_path, "sql", "SELECT count() AS n FROM calls"))[:2] == (0, "n\n0\n")
        assert (await taximeter(tmp_path, "sql", stdin=b"SELECT 1 AS one"))[:2] == (0, "one\n1\n")
        status, _, errors = await taximeter(tmp_path, "sql", "CREATE TABLE t (a Int8) ENGINE = Memory")
        assert status == 1
        assert errors
        assert (await taximeter(tmp_path, "sql", "--write", "CREATE TABLE t (a Int8) ENGINE = Memory"))[0] == 0


async def test_what_is_killed_comes_back_and_the_rest_goes_on(tmp_path):
    async with serving(tmp_path) as whole:
        for name in ("worker-0", "recorder-0", "store-0"):
            before = whole.pid(name)
            others = set(pids(whole)) - {before}
            os.kill(before, signal.SIGKILL)
            await until(
                lambda name=name, before=before: (
                    whole.pid(name) not in {None, before}
                    and all(child["state"] == "ready" for child in whole.state["processes"])
                ),
                limit_s=60,
            )
            assert others <= set(pids(whole))
        assert await answers(f"{whole.url}/nowhere/v1") == 404
        assert await answers(f"{whole.admin}/readyz") == 200
        async with asyncio.timeout(60):
            # The recorder's own patience with the store has to run out first.
            while (looked := await taximeter(tmp_path, "doctor"))[0] != 0:
                pass
        assert looked[1].count("died once, the last time by SIGKILL") == 3


async def test_a_second_one_on_the_same_folder_names_the_first(tmp_path):
    async with serving(tmp_path) as whole:
        status, output, errors = await taximeter(tmp_path, "serve")
        assert status == 1
        assert output == ""
        assert f"in use by the taximeter process {whole.process.pid}" in errors
        assert await answers(f"{whole.admin}/readyz") == 200


async def test_when_the_supervisor_is_killed_its_children_end_and_another_can_start(tmp_path):
    async with serving(tmp_path) as whole:
        children = pids(whole)
        whole.process.kill()
        await whole.ends()
        # At once, while the children still drain: it waits for them.
        async with serving(tmp_path) as second:
            assert all(map(gone, children))
            assert await answers(f"{second.admin}/readyz") == 200


async def test_sighup_changes_nothing_and_a_second_sigterm_hurries(tmp_path):
    async with serving(tmp_path) as whole:
        children = pids(whole)
        whole.process.send_signal(signal.SIGHUP)
        assert await answers(f"{whole.admin}/healthz") == 200
        assert pids(whole) == children
        whole.process.terminate()
        whole.process.terminate()
        assert await whole.ends() == 0
        assert all(map(gone, children))


async def test_doctor_works_when_nothing_runs(tmp_path):
    status, output, _ = await taximeter(tmp_path, "doctor", "--format", "json")
    found = {finding["about"]: finding["state"] for finding in json.loads(output)["findings"]}
    assert status == 0
    assert found["processes"] == "note"
    assert not (tmp_path / "data").exists()


async def test_mistakes_in_the_file_keep_it_from_starting_with_their_lines(tmp_path):
    (tmp_path / "taximeter.yaml").write_text("listn: 1\n")
    status, output, errors = await taximeter(tmp_path, "serve")
    assert (status, output) == (1, "")
    assert errors == "taximeter.yaml:1: listn: unknown key; did you mean listen?\n"


async def test_the_demo_fills_its_reports_by_itself(tmp_path):
    async with serving(tmp_path, "--demo"):
        folder = str(tmp_path / "data" / "demo")

        async def costs():
            _, output, _ = await taximeter(tmp_path, "report", "costs", "--format", "json", "--data-dir", folder)
            return output

        async with asyncio.timeout(60):
            while "openai" not in (found := await costs()) and "MiniMax" not in found:
                pass
        assert json.loads(found)
