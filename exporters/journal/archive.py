"""Segments that every sink has: kept for a while, so that they can be shipped again by hand, then removed.

They lie in folders by the hour (UTC) in which they were put away, and go by whole hours: the oldest first, once it is
older than it may be or all together are larger than they may be. On a disk that fills up they are the first to go, long
before the journal itself finds no room.
"""

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from exporters.journal.names import shipped_dir
from exporters.journal.reader import Segment
from exporters.journal.room import free_bytes

_HOUR = "%Y%m%dT%H"
_HOUR_DIR = re.compile(r"[0-9]{8}T[0-9]{2}")
_HOUR_S = 3600
_EARLIER = 2
"""Times the space that the journal leaves free: there the archive gives way."""


class Archive:
    """The shipped segments of one journal folder. Thread-safe.

    Args:
        journal_dir: The folder of all instances.
        keep_s: How long a segment is kept; 0 keeps none.
        keep_bytes: How large all of them may be; the present hour is never cut short.
        min_free_bytes: What the journal leaves free of the file system.
        now_s: The wall clock, Unix time in seconds.
    """

    def __init__(
        self,
        journal_dir: Path,
        *,
        keep_s: float,
        keep_bytes: int,
        min_free_bytes: int = 0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._folder = shipped_dir(journal_dir)
        self._min_free_bytes = min_free_bytes
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._now_s = now_s
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        if self._folder.is_dir():
            self._sizes = {hour.name: _size_bytes(hour) for hour in self._folder.iterdir() if _is_hour(hour.name)}

    @property
    def size_bytes(self) -> int:
        """All that is kept."""
        with self._lock:
            return sum(self._sizes.values())

    def put(self, segment: Segment) -> int | None:
        """Take a segment out of the journal; its size in bytes, None when it is gone already. Raises OSError."""
        hour = time.strftime(_HOUR, time.gmtime(self._now_s()))
        folder = self._folder / hour / segment.instance
        with self._lock, contextlib.suppress(FileNotFoundError):
            size_bytes = segment.path.stat().st_size
            if self._keep_s <= 0:
                segment.path.unlink()
                return size_bytes
            folder.mkdir(parents=True, exist_ok=True)
            segment.path.rename(folder / segment.path.name)
            self._sizes[hour] = self._sizes.get(hour, 0) + size_bytes
            return size_bytes
        return None

    def expire(self) -> None:
        """Remove the hours that are too old or too much. Cheap when there is nothing to do."""
        with self._lock:
            self._expire(self._now_s())

    def relieve(self) -> None:
        """Remove the oldest hours, the present one too, while the file system has little left. Raises OSError."""
        with self._lock:
            for hour in sorted(self._sizes):
                if free_bytes(self._folder) >= _EARLIER * self._min_free_bytes:
                    return
                self._remove(hour)

    def _expire(self, now_s: float) -> None:
        present = time.strftime(_HOUR, time.gmtime(now_s))
        oldest_kept = time.strftime(_HOUR, time.gmtime(max(0.0, now_s - self._keep_s - _HOUR_S)))
        for hour in sorted(self._sizes):
            if hour >= present or (hour > oldest_kept and sum(self._sizes.values()) <= self._keep_bytes):
                return
            self._remove(hour)

    def _remove(self, hour: str) -> None:
        shutil.rmtree(self._folder / hour, ignore_errors=True)
        del self._sizes[hour]


def _is_hour(name: str) -> bool:
    return _HOUR_DIR.fullmatch(name) is not None


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))
