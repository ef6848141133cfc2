import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from proxy.child import HURRY
from proxy.settings import to_json
from tests.fakes.config_files import load

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

FAKE = (sys.executable, str(Path(__file__).parents[1] / "fakes" / "child_roles.py"))


async def start(role, line):
    process = await asyncio.create_subprocess_exec(
        *FAKE,
        role,
        "--slot",
        "0",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    process.stdin.write(line)
    return process


def settings_line(tmp_path):
    return to_json(load(tmp_path, None)) + b"\n"


async def test_a_child_says_ready_and_drains_at_the_end_of_its_stdin(tmp_path):
    process = await start("steady", settings_line(tmp_path))
    assert await process.stdout.readline() == b"ready\n"
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (tmp_path / "data" / "steady-0.txt").read_text().endswith("drained\n")


async def test_a_child_drains_at_sigterm(tmp_path):
    process = await start("steady", settings_line(tmp_path))
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (tmp_path / "data" / "steady-0.txt").read_text().endswith("drained\n")


async def test_a_child_that_drains_for_long_ends_at_the_signal_to_hurry(tmp_path):
    process = await start("stubborn", settings_line(tmp_path))
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(HURRY)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (tmp_path / "data" / "stubborn-0.txt").read_text() == "cancelled\n"


async def test_a_crash_is_logged_and_gives_status_1(tmp_path):
    process = await start("doomed", settings_line(tmp_path))
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert output == b""
    assert json.loads(errors)["event"] == "process crashed"
    assert "RuntimeError: doomed" in json.loads(errors)["exception"]


async def test_a_role_that_cannot_serve_says_why_in_one_line_and_in_the_log(tmp_path):
    process = await start("unable", settings_line(tmp_path))
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert output == b"cannot: the port is taken\n"
    logged = json.loads(errors)
    assert (logged["event"], logged["why"]) == ("process cannot serve", "the port\nis taken")
    assert "exception" not in logged


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"nonsense\n"])
async def test_a_child_without_settings_ends_by_itself(line):
    process = await start("steady", line)
    process.stdin.close()
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
