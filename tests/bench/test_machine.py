import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.machine import Cores, busy_share, children, hold_still, let_run, resident_kib, threads

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are read from /proc"),
]


@pytest.fixture
def child():
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        yield process.pid
        let_run([process.pid])
        process.stdin.close()


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_held_still_and_goes_on(child):
    hold_still([child])
    deadline = time.monotonic() + 5
    while state_of(child) != "T" and time.monotonic() < deadline:
        os.sched_yield()
    assert state_of(child) == "T"
    let_run([child])
    assert state_of(child) != "T"


def test_children_threads_and_memory_of_a_process(child):
    assert child in children(os.getpid())
    assert child in threads(child)
    assert resident_kib(child) > 1000


def test_a_process_that_is_gone_has_nothing():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert threads(gone.pid) == []
    assert children(gone.pid) == []
    hold_still([gone.pid])


def test_a_process_is_kept_on_its_core(child):
    cores = Cores()
    cores.pin_to_tools(child)
    allowed = os.sched_getaffinity(child)
    assert allowed == {cores.tools} if cores.separate else cores.tools in allowed


def test_the_busy_share_is_a_share():
    assert 0 <= busy_share(0.05) <= 1
