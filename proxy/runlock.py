"""One supervisor per data folder, and none while processes of a former one still live.

Both are file locks (flock): they end with the process that holds them, however it ends, and cannot go stale.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_SUPERVISOR = "supervisor.lock"
_CHILDREN = "children.lock"


class LockedError(Exception):
    """Somebody else uses the data folder; the message says who."""


@contextlib.contextmanager
def supervisor_lock(run_dir: Path) -> Iterator[None]:
    """Be the supervisor of this data folder. Raises LockedError with the pid of the one there is."""
    with os.fdopen(os.open(run_dir / _SUPERVISOR, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        if not _locked(file):
            holder = file.read(32).strip()
            who = f"the taximeter process {holder}" if holder.isdigit() else "another taximeter process"
            raise LockedError(f"the data folder {run_dir.parent} is in use by {who}")
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def supervisor_pid(run_dir: Path) -> int | None:
    """The pid of the supervisor that holds the lock now; None when none does or it cannot be told."""
    try:
        with (run_dir / _SUPERVISOR).open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = file.read(32).strip()
                return int(pid) if pid.isdigit() else None
    except OSError:
        return None
    return None


def hold_child_lock(run_dir: Path) -> None:
    """Say, for as long as this process lives, that a process works on this data folder."""
    # The descriptor is meant to stay open: the lock ends with the process.
    descriptor = os.open(run_dir / _CHILDREN, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def children_live(run_dir: Path) -> bool:
    """Whether a process works on this data folder, be it of a supervisor that is gone."""
    try:
        with (run_dir / _CHILDREN).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def wait_for_orphans(run_dir: Path, *, at_most_s: float) -> None:
    """Wait until no process of a former supervisor is left. Raises LockedError when some outlive the wait."""
    deadline = time.monotonic() + at_most_s
    with os.fdopen(os.open(run_dir / _CHILDREN, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    message = f"processes of a former taximeter still work on {run_dir.parent}; end them first"
                    raise LockedError(message) from None
                await asyncio.sleep(0.05)
            else:
                return


def _locked(file: IO[str]) -> bool:
    """Take the lock; tried for a moment, since `supervisor_pid` takes it too, for as long as a look lasts."""
    for pause_s in (0.05, 0.1, 0.1, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause_s)
        else:
            return True
    return False
