"""The reading end of the journal: which segments there are, what is in them, and what a dead process left behind."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from exporters.journal.files import FileLock, sync_dir, write_whole
from exporters.journal.names import (
    LOCK_NAME,
    NEW_DIR_SUFFIX,
    ORIGIN_NAME,
    RESERVE_NAME,
    SegmentName,
    is_instance,
    open_name,
    parse_open,
    parse_sealed,
)
from exporters.journal.quarantine import Quarantine
from proxy.core.record import CallRecord, JournalLine, LossRecord, OpenRecord

LINE_DECODER: msgspec.json.Decoder[JournalLine] = msgspec.json.Decoder(CallRecord | OpenRecord | LossRecord)
"""Reads one line, or with `decode_lines` many. Raises msgspec.DecodeError, UnicodeError."""
_ABANDONED_AFTER_S = 60.0


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed segment."""

    instance: str
    name: SegmentName
    folder: Path
    """Of its instance."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name.file_name

    @property
    def number(self) -> int:
        """Counts from 1 within the instance."""
        return self.name.number

    @property
    def token(self) -> str:
        """The same for the same segment, for ever, and for no other: what makes a replay harmless."""
        return f"{self.instance}/{self.name.number}-{self.name.sha256[:32]}"


class Listing(msgspec.Struct, frozen=True):
    """The segments of one instance."""

    sealed: dict[int, Segment]
    open: frozenset[int]
    """Numbers of the segments that are not sealed yet."""


class Content(msgspec.Struct, kw_only=True):
    """What is in a segment: everything that can be read, in order, and everything that cannot."""

    records: list[JournalLine]
    bad: list[bytes]
    intact: bool
    """Whether the bytes are those that were written, by the sha256 in the name."""
    missing: int = 0
    """Lines that the name promises and that are not there."""
    size_bytes: int = 0
    """Of the file."""


def instances(journal_dir: Path) -> list[str]:
    """Names of all instances, sorted; none when there is no folder."""
    try:
        return sorted(path.name for path in journal_dir.iterdir() if is_instance(path.name))
    except FileNotFoundError:
        return []


def list_segments(journal_dir: Path, instance: str, *, after: int = 0) -> Listing:
    """The segments of an instance behind number `after`. Empty when its folder is gone.

    A look at a folder in which a file is just being renamed may miss that file. A second look finds it, as a segment is
    renamed only once: so what is missing below a sealed segment, and not open either, is missing indeed.
    """
    first = _look(journal_dir, instance, after)
    numbers = first.sealed.keys() | first.open
    if not numbers or len(numbers) == max(numbers) - after:
        return first
    second = _look(journal_dir, instance, after)
    sealed = first.sealed | second.sealed
    return Listing(sealed, (first.open | second.open) - sealed.keys())


def last_number(journal_dir: Path, instance: str) -> int:
    """Number of the last segment of an instance, open or sealed; 0 where there is none."""
    found = _look(journal_dir, instance, 0)
    return max(found.sealed.keys() | found.open, default=0)


def _look(journal_dir: Path, instance: str, after: int) -> Listing:
    sealed: dict[int, Segment] = {}
    opened: set[int] = set()
    folder = journal_dir / instance
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a path for each name would cost more than the look
    except FileNotFoundError:
        names = []
    for file_name in names:
        if (name := parse_sealed(file_name)) is not None and name.number > after:
            sealed[name.number] = Segment(instance=instance, name=name, folder=folder)
        elif (number := parse_open(file_name)) is not None and number > after:
            opened.add(number)
    return Listing(sealed, frozenset(opened - sealed.keys()))


def read_segment(segment: Segment) -> Content:
    """Everything in a segment. Raises OSError when it cannot be read at all."""
    data = segment.path.read_bytes()
    intact = hashlib.sha256(data).hexdigest() == segment.name.sha256
    try:
        records = LINE_DECODER.decode_lines(data)
    except (msgspec.DecodeError, UnicodeError):
        records, bad = _decode_singly(data)
    else:
        bad = []
    missing = 0 if intact else max(0, segment.name.lines - len(records) - len(bad))
    return Content(records=records, bad=bad, intact=intact, missing=missing, size_bytes=len(data))


def _decode_singly(data: bytes) -> tuple[list[JournalLine], list[bytes]]:
    records: list[JournalLine] = []
    bad: list[bytes] = []
    for line in data.split(b"\n"):
        if line:
            try:
                records.append(LINE_DECODER.decode(line))
            except (msgspec.DecodeError, UnicodeError):
                bad.append(line)
    return records, bad


def claim_dead(journal_dir: Path, instance: str) -> FileLock | None:
    """The lock of an instance whose process has ended, held; None while it lives. Raises OSError."""
    try:
        return FileLock.take(journal_dir / instance / LOCK_NAME)
    except FileNotFoundError:
        return None


def recover(journal_dir: Path, instance: str, quarantine: Quarantine) -> int:
    """Seal what a dead instance left open, the caller holding its lock; how many segments that were.

    A torn last line goes to quarantine as `torn`. May be cut short anywhere and run again. Raises OSError.
    """
    folder = journal_dir / instance
    # First: on a full disk it is the room for what follows.
    (folder / RESERVE_NAME).unlink(missing_ok=True)
    recovered = 0
    for number in sorted(_look(journal_dir, instance, 0).open):
        path = folder / open_name(number)
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if tail := data[whole:]:
            quarantine.put(instance, number, "torn", [tail])
            data = data[:whole]
        _seal_recovered(path, number, data, torn=bool(tail))
        recovered += 1
    if recovered:
        sync_dir(folder)
    return recovered


def _seal_recovered(path: Path, number: int, data: bytes, *, torn: bool) -> None:
    if torn:
        last_written = path.stat()
        with path.open("r+b") as file:
            file.truncate(len(data))
            os.fdatasync(file.fileno())
        # Its time is the last sign of life of the process.
        os.utime(path, ns=(last_written.st_atime_ns, last_written.st_mtime_ns))
    # An empty one is sealed too: a number that is missing would look like a loss.
    path.rename(path.with_name(_name(number, data.count(b"\n"), data).file_name))


def add_segment(journal_dir: Path, instance: str, number: int, records: Iterable[JournalLine]) -> None:
    """Put a sealed segment of our own behind those of a dead instance. The same records make the same name.

    Raises OSError.
    """
    lines = [msgspec.json.encode(record) + b"\n" for record in records]
    data = b"".join(lines)
    write_whole(journal_dir / instance / _name(number, len(lines), data).file_name, data)


def _name(number: int, lines: int, data: bytes) -> SegmentName:
    return SegmentName(number, lines, hashlib.sha256(data).hexdigest())


def remove_abandoned(journal_dir: Path) -> None:
    """Remove folders of instances that ended while they were being made."""
    for folder in journal_dir.glob(f".*{NEW_DIR_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _ABANDONED_AFTER_S:
                continue
            lock = FileLock.take(folder / LOCK_NAME)
            if lock is not None:
                with lock:
                    lock.path.unlink()
                    folder.rmdir()


def remove_instance(journal_dir: Path, instance: str) -> None:
    """Remove the folder of a dead instance that has no segment left. Raises OSError when it is not empty."""
    folder = journal_dir / instance
    for name in (LOCK_NAME, RESERVE_NAME, ORIGIN_NAME):
        (folder / name).unlink(missing_ok=True)
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
    folder.rmdir()
