import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app import run_child, told_report
from proxy.config.load import load_settings
from proxy.ports import with_free_ports
from proxy.providers import PROVIDERS
from proxy.runlock import LockedError, wait_for_orphans
from proxy.settings import Settings, to_json

ROOT = str(Path(__file__).parents[2])
NOT_IN_A_WORKER = (
    "pydantic",
    "typer",
    "rich.console",
    "yaml",
    "clickhouse_connect",
    "chdb",
    "pandas",
    "genai_prices",
    "xlsxwriter",
    "exporters.recorder",
    "exporters.reports",
    "exporters.sinks",
    "opentelemetry",
    "grpc",
    "google.protobuf",
)
IDLE_WORKER_MB = 70


@pytest.fixture
def settings(tmp_path) -> Settings:
    text = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: {listen: '127.0.0.1:0'}\n"
    (tmp_path / "t.yaml").write_text(text)
    settings = with_free_ports(load_settings(Path("t.yaml"), env={}, cwd=tmp_path, kinds=PROVIDERS))
    settings.run_dir.mkdir(parents=True)
    return settings


def resident_bytes(pid):
    statm = Path(f"/proc/{pid}/statm")
    if not statm.exists():
        pytest.skip("resident memory is read from /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def start_worker(settings):
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "proxy", "_child", "worker", "--slot", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": ROOT},
    )
    worker.stdin.write(to_json(settings) + b"\n")
    assert await asyncio.wait_for(worker.stdout.readline(), 20) == b"ready\n"
    return worker


@pytest.mark.real
@pytest.mark.timeout(60)
async def test_an_idle_worker_is_small(settings):
    worker = await start_worker(settings)
    used_bytes = resident_bytes(worker.pid)
    worker.stdin.close()
    assert await asyncio.wait_for(worker.wait(), 20) == 0
    assert used_bytes <= IDLE_WORKER_MB * 1024 * 1024


@pytest.mark.real
@pytest.mark.timeout(60)
async def test_a_worker_counts_as_alive_until_it_has_ended(settings):
    worker = await start_worker(settings)
    with pytest.raises(LockedError):
        await wait_for_orphans(settings.run_dir, at_most_s=0)
    worker.stdin.close()
    await asyncio.wait_for(worker.wait(), 20)
    await wait_for_orphans(settings.run_dir, at_most_s=0)


@pytest.mark.real
def test_a_worker_loads_nothing_of_the_other_processes():
    program = (
        "import json, sys\n"
        "sys.modules['rich'] = None  # as proxy.__main__ does for a worker\n"
        "import exporters.journal.writer, proxy.app, proxy.worker, structlog\n"
        f"print(json.dumps([name for name in {NOT_IN_A_WORKER!r} if sys.modules.get(name)]))"
    )
    environment = os.environ | {"PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment)
    assert json.loads(done.stdout) == []


def test_an_unknown_role_is_no_process(settings):
    with pytest.raises(KeyError):
        run_child("driver", settings, 0)


def test_a_wrong_question_is_answered_with_what_is_wrong(settings):
    asked = {"name": "costs", "since": "yesterdayish", "by": "model"}
    assert told_report(settings, asked, "text").problem
