import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.runlock import LockedError, children_live, hold_child_lock, supervisor_lock, supervisor_pid, wait_for_orphans

ROOT = str(Path(__file__).parents[2])


def holder(run_dir, statement):
    """Another process that holds a lock until its stdin closes."""
    program = (
        f"import sys\nfrom pathlib import Path\nfrom proxy.runlock import *\nrun = Path({str(run_dir)!r})\n{statement}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": ROOT},
    )
    assert process.stdout.readline() == b"held\n"
    return process


SUPERVISES = "with supervisor_lock(run):\n    print('held', flush=True)\n    sys.stdin.read()"
WORKS = "hold_child_lock(run)\nprint('held', flush=True)\nsys.stdin.read()"


def test_the_second_supervisor_learns_who_the_first_is(tmp_path):
    with supervisor_lock(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()
        with pytest.raises(LockedError, match=f"is in use by the taximeter process {os.getpid()}"):
            supervisor_lock(tmp_path).__enter__()
    assert supervisor_pid(tmp_path) is None


@pytest.mark.real
def test_a_killed_supervisor_leaves_no_lock(tmp_path):
    process = holder(tmp_path, SUPERVISES)
    assert supervisor_pid(tmp_path) == process.pid
    process.kill()
    process.communicate()
    assert supervisor_pid(tmp_path) is None
    with supervisor_lock(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()


def test_no_folder_has_no_supervisor(tmp_path):
    assert supervisor_pid(tmp_path / "none") is None


@pytest.mark.real
async def test_a_start_waits_for_the_processes_of_a_former_one(tmp_path):
    process = holder(tmp_path, WORKS)
    waiting = asyncio.create_task(wait_for_orphans(tmp_path, at_most_s=30))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    process.send_signal(signal.SIGKILL)
    process.communicate()
    await asyncio.wait_for(waiting, 20)


@pytest.mark.real
async def test_the_wait_has_an_end(tmp_path):
    process = holder(tmp_path, WORKS)
    with pytest.raises(LockedError, match="former taximeter"):
        await wait_for_orphans(tmp_path, at_most_s=0.1)
    process.communicate()


@pytest.mark.real
def test_whether_processes_work_on_a_folder_can_be_asked(tmp_path):
    assert not children_live(tmp_path / "none")
    process = holder(tmp_path, WORKS)
    assert children_live(tmp_path)
    process.communicate()
    assert not children_live(tmp_path)


async def test_children_share_their_lock(tmp_path):
    hold_child_lock(tmp_path)
    hold_child_lock(tmp_path)
    with pytest.raises(LockedError):
        await wait_for_orphans(tmp_path, at_most_s=0)
