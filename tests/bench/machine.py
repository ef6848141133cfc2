"""Who runs on which core, how urgently, and who is held still while another is measured."""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LEAST_URGENT = 19


class Cores:
    """One core for the proxy, one for mock and load generator; a machine with a single core has both on it."""

    def __init__(self) -> None:
        available = sorted(os.sched_getaffinity(0))
        self.proxy = available[0]
        self.tools = available[min(1, len(available) - 1)]
        self.separate = self.proxy != self.tools

    @property
    def tools_prefix(self) -> list[str]:
        """What stands in front of a command that shall run on the core of the tools."""
        return ["taskset", "-c", str(self.tools)] if self.separate and shutil.which("taskset") else []

    def pin_to_proxy(self, pid: int) -> None:
        """Every thread of the process to the core of the proxy."""
        self._pin(pid, self.proxy)

    def pin_to_tools(self, pid: int) -> None:
        """Every thread of the process to the core of the tools."""
        self._pin(pid, self.tools)

    def _pin(self, pid: int, core: int) -> None:
        if not self.separate:
            return
        for thread in threads(pid):
            with contextlib.suppress(OSError):  # a thread may have ended since
                os.sched_setaffinity(thread, {core})


def threads(pid: int) -> list[int]:
    """The threads of a process; none when it is gone."""
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []


def make_least_urgent(pid: int) -> None:
    """The process gets what others leave."""
    if os.getsid(pid) != os.getsid(0):
        # Linux first shares the core out between sessions, and only inside of one between processes.
        with contextlib.suppress(OSError):  # where the kernel does not do so, there is no such file
            Path(f"/proc/{pid}/autogroup").write_text(str(LEAST_URGENT))
    for thread in threads(pid):
        with contextlib.suppress(OSError):  # a thread may have ended since
            os.setpriority(os.PRIO_PROCESS, thread, LEAST_URGENT)
            # Whoever else wakes up on the core gets it at once: on a third core there would be nothing to wait for.
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def hold_still(pids: Iterable[int]) -> None:
    """Stop processes without ending them."""
    _signal(pids, signal.SIGSTOP)


def let_run(pids: Iterable[int]) -> None:
    """Let them go on."""
    _signal(pids, signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def resident_kib(pid: int) -> int:
    """Resident memory of one process, in KiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * (os.sysconf("SC_PAGESIZE") // 1024)


def busy_share(seconds: float) -> float:
    """How much of all cores is in use, over so many seconds from now; 0 is a quiet machine, 1 one that has no room."""
    before = _jiffies()
    time.sleep(seconds)
    busy, total = (after - earlier for after, earlier in zip(_jiffies(), before, strict=True))
    return busy / total if total else 0.0


def _jiffies() -> tuple[int, int]:
    """Time in use and time at all, of all cores together (proc(5), the first line of stat; stolen time is in use)."""
    user, nice, system, idle, waiting, *others = (int(part) for part in Path("/proc/stat").read_text().split()[1:9])
    busy = user + nice + system + sum(others)
    return busy, busy + idle + waiting


def describe(root: Path) -> dict[str, Any]:
    """What figures mean nothing without: the machine, the versions, the commit."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nginx": _said(["nginx", "-v"]).rpartition("/")[2] or None,
        "commit": _said(["git", "-C", str(root), "describe", "--always", "--dirty"]) or None,
        "arguments": sys.argv[1:],
    }


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""
