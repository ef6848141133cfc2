"""The writing end of the journal: it lives in a worker, on its event loop, and costs microseconds per line.

Invariants (each with a test of the same name):
1. A line is one write(): what was written survives the death of the process, and a crash tears at most the last line.
2. A write that fails leaves no half line behind, is counted, and never reaches the caller: the call goes on.
3. A sealed segment is complete: its name holds its number, its line count and the sha256 of its bytes.
4. Nothing that waits for the disk runs on the loop, unless the operator asked for `strict`.
5. When there is no room (`exporters.journal.room`), no call is begun any more, those that were are ended, what is left
   out is counted, and it goes on by itself as soon as there is room.

Not thread-safe: all methods are called from one thread. Imports nothing but msgspec and the standard library.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from exporters.journal.encode import encode_line
from exporters.journal.files import FileLock, sync_dir
from exporters.journal.names import LOCK_NAME, NEW_DIR_SUFFIX, SegmentName, open_name
from exporters.journal.room import Full, Limits, Room
from proxy.core.record import RECORD_VERSION, CallRecord, JournalLine, LossRecord, OpenRecord

Durability = Literal["fast", "group", "strict"]
"""`fast`: survives the death of the process. `group`: and, but for the last moments, that of the machine. `strict`: a
line is on the disk before the call goes on."""

CallLater = Callable[[float, Callable[[], None]], object]
"""`call_later(delay_s, callback)`, as of an event loop."""

JOURNAL_FULL = "journal_full"
"""The reason in the record of a call that was refused for want of room."""
LEFT_OUT = "journal_full"
"""Loss: a call that there was no room for."""
REFUSED = "journal_full_refused"
"""Loss: a call that was refused for want of room, and there was none for the record of that either."""

_NO_LIMITS = Limits()
_LOOK_S = 1.0
"""How long room may be there before it is seen."""
_SAY_WHEN_FULL_S = 10.0
"""How often losses are written down while there is no room for anything else."""
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MANY_SEGMENTS = 500
_SEGMENTS_AT_BOUND = 64
_LEAST_SEGMENT_BYTES = 64 * 1024
_LONGEST_AGE_S = 60.0
_SEAL_TRIES = 3
_SEAL_PAUSE_S = 0.2


class _Segment:
    """The segment that is being written."""

    __slots__ = ("age_s", "descriptor", "digest", "lines", "named", "number", "opened_at_s", "path", "size_bytes")

    def __init__(self, number: int, path: Path, descriptor: int, age_s: float) -> None:
        self.number = number
        self.path = path
        self.descriptor = descriptor
        self.opened_at_s = time.monotonic()
        self.age_s = age_s
        """How old it may become."""
        self.digest = hashlib.sha256()
        self.lines = 0
        self.size_bytes = 0
        self.named = False
        """Whether its name is on the disk, not only its bytes. The keeper's."""


class Journal:
    """The journal of one process.

    Args:
        journal_dir: The folder of all instances; made when it is not there.
        instance: A name that no other process ever had, see `new_instance`.
        segment_s: A segment is sealed this long after its first line, so that the recorder gets it (later where many
            wait for a sink: each costs something to everybody who looks at the folder) ...
        segment_bytes: ... or when it has grown to this size.
        durability: When a line is safe from what.
        sync_s: With `group`, how long a line may wait for the disk; a segment that is sealed by then is synced then.
        call_later: The loop's, to seal and sync by time; without it somebody has to call `tick`.
        limits: What the journal may take.

    Raises OSError when the folder cannot be made, unless the disk is full: then it is made when there is room.
    """

    def __init__(
        self,
        journal_dir: Path,
        instance: str,
        *,
        segment_s: float = 1.0,
        segment_bytes: int = 8 * 1024 * 1024,
        durability: Durability = "group",
        sync_s: float = 1.0,
        call_later: CallLater | None = None,
        limits: Limits = _NO_LIMITS,
    ) -> None:
        self.folder = journal_dir / instance
        self.losses: dict[str, int] = {}
        """Everything lost since the start, by reason."""
        self.lines_written = 0
        self._segment_s = segment_s
        # What is on its way to a dead sink stays, and one segment at least: of a small journal only a small part.
        small_bytes = max(_LEAST_SEGMENT_BYTES, limits.max_bytes // _SEGMENTS_AT_BOUND)
        self._segment_bytes = min(segment_bytes, small_bytes) if limits.max_bytes else segment_bytes
        self._durability = durability
        self._sync_s = sync_s
        self._call_later = call_later
        self._syncs_open = False
        self._buffer = bytearray()
        self._segment: _Segment | None = None
        self._number = 0
        self._unsaid: dict[str, int] = {}
        self._sync_due = False
        self._loss_due = False
        self._look_due = False
        self._closed = False
        self._under_way: set[str] = set()
        """Ids of the calls that have a line and no second one yet."""
        self._seal_failures: deque[OSError] = deque()
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._lock: FileLock | None = None
        self._room = Room(journal_dir, self.folder, limits)
        try:
            self._lock = _make_folder(self.folder)
        except OSError as error:
            if error.errno not in _DISK_IS_FULL:
                raise
            self._room.failed()
        else:
            self._room.look(calls=0, written_bytes=0)

    @property
    def full(self) -> Full:
        """Why there is no room for calls; empty while there is."""
        return self._room.full

    @property
    def refusing(self) -> bool:
        """Whether calls are to be refused, as there is no room for them."""
        return self._room.full != "" and self._room.limits.on_full == "refuse"

    def open_call(self, record: OpenRecord) -> bool:
        """Note that a call was admitted. False when it was not written; what that costs is counted at its end."""
        if self._room.full:
            self._look_later()
            return False
        written = self._append(record)
        if written:
            self._under_way.add(record.call_id)
        elif not self._room.full:
            self.lose("journal_open_failed")
        return written

    def close_call(self, record: CallRecord) -> bool:
        """Note how a call ended. False when it could not be written, which is counted."""
        admitted = record.call_id in self._under_way
        if admitted:
            self._under_way.remove(record.call_id)
        elif self._room.full:
            self.lose(REFUSED if JOURNAL_FULL in record.reasons else LEFT_OUT)
            return False
        written = self._append(record) or (admitted and self._room.release() and self._append(record))
        if not written:
            self.lose("journal_write_failed")
        return written

    def lose(self, reason: str, count: int = 1) -> None:
        """Count what was not recorded or not understood; the counts are journalled with the next segment."""
        self.losses[reason] = self.losses.get(reason, 0) + count
        self._unsaid[reason] = self._unsaid.get(reason, 0) + count
        if not self._loss_due and self._call_later:
            self._loss_due = True
            self._call_later(_SAY_WHEN_FULL_S if self._room.full else self._segment_s, self._loss_timer)

    def tick(self) -> None:
        """Do what time asks for: write counts down, sync, seal by age, look for room. For use without `call_later`."""
        self._say_losses()
        self._sync_timer()
        self._look_timer()
        segment = self._segment
        if segment and time.monotonic() - segment.opened_at_s >= segment.age_s:
            self._seal()

    def close(self) -> None:
        """Seal what there is, wait until it is on the disk, and give up the sign of life. Blocks; call it once."""
        self._say_losses()
        self._closed = True
        self._seal()
        self._keeper.shutdown(wait=True)
        self._room.release()
        if self._lock is None:
            return
        self._lock.release()
        if self._number == 0:
            # Nothing was ever written: leave nothing behind.
            with contextlib.suppress(OSError):
                self._lock.path.unlink()
                self.folder.rmdir()

    def _append(self, record: JournalLine) -> bool:
        """One line, one write; False when it failed. The hot path."""
        segment = self._segment or self._begin()
        if segment is None:
            self._room.failed()
            return False
        buffer = self._buffer
        try:
            encode_line(record, buffer)
            written = os.write(segment.descriptor, buffer)
            while written < len(buffer):
                written += os.write(segment.descriptor, memoryview(buffer)[written:])
        except OSError:
            self._take_back(segment)
            self._room.failed()
            return False
        except (TypeError, ValueError):
            # No record at all: a mistake of ours, which must not cost the caller its answer.
            return False
        segment.digest.update(buffer)
        segment.lines += 1
        segment.size_bytes += written
        self.lines_written += 1
        if segment.size_bytes >= self._segment_bytes:
            self._seal()
        elif self._syncs_open and not self._sync_due and self._call_later:
            self._sync_due = True
            self._call_later(self._sync_s, self._sync_timer)
        return True

    def _begin(self) -> _Segment | None:
        """Open the next segment; None when that fails."""
        if self._closed or self._lock is None:
            return None
        number = self._number + 1
        path = self.folder / open_name(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        if self._durability == "strict":
            flags |= os.O_DSYNC
        try:
            descriptor = os.open(path, flags, 0o600)
            if self._durability == "strict":
                sync_dir(self.folder)
        except OSError:
            return None
        self._number = number
        age_s = min(_LONGEST_AGE_S, self._segment_s * (1 + self._room.waiting_segments // _MANY_SEGMENTS))
        age_s = max(age_s, self._segment_s)
        # To sync a file that is being written makes its writer wait for the disk: 40 % of the time at 8,000 calls/s,
        # with five syncs a second. So a segment that is sealed soon is synced then, when nobody writes to it any more.
        self._syncs_open = self._durability == "group" and self._sync_s < age_s
        self._segment = segment = _Segment(number, path, descriptor, age_s)
        if self._call_later:
            self._call_later(age_s, lambda: self._age_timer(number))
        return segment

    def _take_back(self, segment: _Segment) -> None:
        """After a failed write: cut the half line off, or else let nothing follow it.

        A half line that stays makes the sealed name untrue, and the recorder treats the segment as a damaged one.
        """
        try:
            os.ftruncate(segment.descriptor, segment.size_bytes)
        except OSError:
            self._seal()

    def _say_losses(self) -> None:
        """Write the counts that no line has told yet; they stay for the next time when that fails."""
        while self._seal_failures:
            self._seal_failures.popleft()
            self.lose("journal_seal_failed")
        if not self._unsaid:
            return
        counts, self._unsaid = self._unsaid, {}
        if not self._append(LossRecord(v=RECORD_VERSION, at_ns=time.time_ns(), counts=counts)):
            self._unsaid = counts

    def _seal(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._keeper.submit(self._seal_file, segment)
            # By then the keeper has looked: should there be no room any more, somebody has to go on looking for it.
            self._look_later()

    def _seal_file(self, segment: _Segment) -> None:
        """In the keeper's thread, which does one thing after the other: segments are sealed in order."""
        name = SegmentName(segment.number, segment.lines, segment.digest.hexdigest())
        try:
            if self._durability != "fast":
                os.fdatasync(segment.descriptor)
        except OSError as error:
            self._seal_failures.append(error)
        os.close(segment.descriptor)
        self._rename(segment.path, segment.path.with_name(name.file_name))
        self._look(segment.size_bytes)

    def _look(self, written_bytes: int = 0) -> None:
        """In the keeper's thread: see whether there is room."""
        if self._lock is None:
            try:
                self._lock = _make_folder(self.folder)
            except OSError:
                return
        self._room.look(calls=len(self._under_way), written_bytes=written_bytes)

    def _rename(self, path: Path, sealed: Path) -> None:
        for tries_left in reversed(range(_SEAL_TRIES)):
            try:
                path.rename(sealed)
                if self._durability != "fast":
                    sync_dir(self.folder)
            except OSError as error:
                if not tries_left:
                    self._seal_failures.append(error)
                    return
                time.sleep(_SEAL_PAUSE_S)
            else:
                return

    def _age_timer(self, number: int) -> None:
        if self._segment and self._segment.number == number:
            self._say_losses()
            self._seal()

    def _look_later(self) -> None:
        if not self._look_due and self._call_later:
            self._look_due = True
            self._call_later(_LOOK_S, self._look_timer)

    def _look_timer(self) -> None:
        """While there is no room, look whether there is."""
        self._look_due = False
        if self._room.full and not self._closed:
            self._keeper.submit(self._look)
            self._look_later()

    def _loss_timer(self) -> None:
        self._loss_due = False
        self._say_losses()

    def _sync_timer(self) -> None:
        self._sync_due = False
        if self._segment and self._durability == "group":
            self._keeper.submit(self._sync_file, self._segment)

    def _sync_file(self, segment: _Segment) -> None:
        """In the keeper's thread. What fails is tried again when the segment is sealed, and counted there."""
        with contextlib.suppress(OSError):
            os.fdatasync(segment.descriptor)
            if not segment.named:
                sync_dir(self.folder)
                segment.named = True


def _make_folder(folder: Path) -> FileLock:
    """Make the folder of an instance so that whoever sees it sees its lock held. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}{NEW_DIR_SUFFIX}")
    new.mkdir(exist_ok=True)
    lock = FileLock.take(new / LOCK_NAME)
    if lock is None:
        raise FileExistsError(f"another process uses the journal instance {folder.name}")
    try:
        if folder.exists():
            raise FileExistsError(f"the journal instance {folder.name} was used before")
        new.rename(folder)
    except OSError:
        lock.release()
        raise
    lock.path = folder / LOCK_NAME
    sync_dir(folder.parent)
    return lock
