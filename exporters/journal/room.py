"""Whether there is room for more of the journal: measured by its keeper, read by the loop as a flag.

Invariants (each with a test of the same name):
1. It is full when what waits in the journal, of all instances, has reached `max_bytes`; or the file system has less
   left than `min_free_bytes`; or a line could not be written.
2. It is full no longer as soon as none of that holds, and nobody has to do anything for it.
3. A disk that fills up under us still takes the ends of the calls that were admitted: the reserve, a file of nothing,
   makes way for them.

What waits is counted by a walk over the folder, at a distance that keeps it below 2 % of a core however many segments
there are; between two walks what this process wrote is added. So the bound is kept to within some seconds of writing.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from exporters.journal.names import OPEN_SUFFIX, RESERVE_NAME, SEALED_SUFFIX, is_instance

OnFull = Literal["pass", "refuse"]
"""Whether calls go on unrecorded when there is no room, or are refused."""
Full = Literal["", "max_bytes", "min_free_bytes", "write_failed"]
"""Why there is no room; empty while there is."""

RESERVE_BYTES = 1024 * 1024
RESERVE_BYTES_PER_CALL = 4096
"""What the end of one call may take; the line of one with an attempt has some 1,200."""
_WALK_S = 1.0
_WALK_SHARE = 50.0
_WALK_SHARE_WHEN_FULL = 10.0
"""A walk is not taken again before so many times its own duration: nor is room found later than that."""
_BLOCK = bytes(64 * 1024)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal may take; 0 is no limit."""

    max_bytes: int = 0
    """What may wait in the journal, of all instances together."""
    min_free_bytes: int = 0
    """What must be left of the file system."""
    reserve_bytes: int = 0
    """What is kept for the ends of admitted calls; more where many are under way. 0 keeps none."""
    on_full: OnFull = "pass"


class Room:
    """The room of one instance. `look` belongs to its keeper's thread, the rest to the loop's.

    Args:
        journal_dir: The folder of all instances.
        folder: Of the instance; it may come later.
        limits: What the journal may take.
    """

    def __init__(self, journal_dir: Path, folder: Path, limits: Limits) -> None:
        self.limits = limits
        self.full: Full = ""
        self.waiting_segments = 0
        """Of all instances, at the last walk; 0 where `max_bytes` is no limit, as then nobody walks."""
        self._journal_dir = journal_dir
        self._folder = folder
        self._reserve = folder / RESERVE_NAME
        self._held_bytes = 0
        self._failures = 0
        self._waiting_bytes = 0
        self._walk_due_s = 0.0

    def look(self, *, calls: int, written_bytes: int) -> None:
        """Measure. What goes wrong with it counts as no room.

        Args:
            calls: How many are under way.
            written_bytes: What this process has written since the last look.
        """
        failures = self._failures
        self._waiting_bytes += written_bytes
        found = self._judge(calls)
        if failures == self._failures:
            self.full = found
        else:
            # A write failed meanwhile, and may have been in need of what was just reserved.
            self.release()

    def failed(self) -> None:
        """A line could not be written."""
        self._failures += 1
        self.full = "write_failed"

    def release(self) -> bool:
        """Give the reserve up for what has to be written now; whether there was one."""
        held_bytes, self._held_bytes = self._held_bytes, 0
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        return held_bytes > 0

    def _judge(self, calls: int) -> Full:
        limits = self.limits
        if limits.max_bytes and self._waiting() >= limits.max_bytes:
            return "max_bytes"
        reserve_bytes = limits.reserve_bytes and max(limits.reserve_bytes, calls * RESERVE_BYTES_PER_CALL)
        try:
            if free_bytes(self._folder) < max(limits.min_free_bytes, reserve_bytes):
                return "min_free_bytes"
            self._hold(reserve_bytes)
        except OSError:
            return "write_failed"
        return ""

    def _waiting(self) -> int:
        now_s = time.monotonic()
        if now_s >= self._walk_due_s:
            used_s = time.thread_time()
            self._waiting_bytes, self.waiting_segments = waiting(self._journal_dir)
            used_s = time.thread_time() - used_s
            share = _WALK_SHARE_WHEN_FULL if self.full else _WALK_SHARE
            self._walk_due_s = now_s + max(_WALK_S, used_s * share)
        return self._waiting_bytes

    def _hold(self, wanted_bytes: int) -> None:
        """Have a reserve of that size, or a larger one. Raises OSError when there is no room for it."""
        if wanted_bytes <= self._held_bytes:
            return
        descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(descriptor, wanted_bytes)
        except OSError:
            os.ftruncate(descriptor, self._held_bytes)
            raise
        finally:
            os.close(descriptor)
        self._held_bytes = wanted_bytes


def free_bytes(folder: Path) -> int:
    """What the file system of a folder has left for users like us. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def waiting(journal_dir: Path) -> tuple[int, int]:
    """Bytes and segments in the journal that were not put away; costs some microseconds for each segment."""
    total_bytes = segments = 0
    for folder in _entries(journal_dir):
        if is_instance(folder.name):
            for file in _entries(Path(folder.path)):
                if file.name.endswith((SEALED_SUFFIX, OPEN_SUFFIX)):
                    # It may just be put away.
                    with contextlib.suppress(OSError):
                        total_bytes += file.stat(follow_symlinks=False).st_size
                        segments += 1
    return total_bytes, segments


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    # One at a time: a list of a long backlog would be megabytes.
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        yield from found


def _allocate(descriptor: int, size_bytes: int) -> None:
    """Take that much of the disk for a file. Raises OSError."""
    try:
        # Not every system has it.
        os.posix_fallocate(descriptor, 0, size_bytes)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise
        for offset in range(0, size_bytes, len(_BLOCK)):
            os.pwrite(descriptor, _BLOCK[: size_bytes - offset], offset)
