"""What a process takes of the machine, as Linux tells it in `/proc`; on any other system nothing is told."""

import os
from pathlib import Path

import msgspec

_STAT_UTIME, _STAT_STIME, _STAT_RSS = 11, 12, 21
"""Positions behind the name of the command, which ends with the last `)`: proc_pid_stat(5)."""


class ProcessUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One process, now."""

    cpu_s: float
    """Processor time since its start, in user and kernel mode."""
    rss_bytes: int
    """Memory that is resident."""
    open_fds: int | None = None
    """Open files and sockets; None where they may not be looked at."""


def process_usage(pid: int, proc: Path = Path("/proc")) -> ProcessUsage | None:
    """What a process takes; None when there is none of that id, or nothing is told of it."""
    folder = proc / str(pid)
    try:
        fields = (folder / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        ticks = int(fields[_STAT_UTIME]) + int(fields[_STAT_STIME])
        rss_bytes = int(fields[_STAT_RSS]) * os.sysconf("SC_PAGE_SIZE")
        cpu_s = ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    try:
        open_fds = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        open_fds = None
    return ProcessUsage(cpu_s=cpu_s, rss_bytes=rss_bytes, open_fds=open_fds)
