"""What waits in the journal, for whom, and since when: told from the disk, whether a recorder runs or not."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from exporters.journal.files import is_locked
from exporters.journal.names import LOCK_NAME, OPEN_SUFFIX, SEALED_SUFFIX, shipped_dir
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import instances, list_segments
from exporters.journal.room import OnFull, free_bytes
from exporters.recorder.deliver import GIVEN_UP
from exporters.recorder.state import Memory, memory_on_disk
from proxy.settings import Settings


class InstanceReport(msgspec.Struct, kw_only=True):
    """The journal of one process."""

    instance: str
    alive: bool
    """Whether the process lives."""
    sealed: int = 0
    open: int = 0
    """Segments that are being written: 1 at most, unless the process is dead."""
    bytes: int = 0
    oldest_s: float = 0.0
    """How long its first segment has been waiting."""
    read: int = 0
    """Number of the last segment that the recorder has read."""
    cursors: dict[str, int] = {}
    """Sink -> number of the last segment that it has."""


class SinkReport(msgspec.Struct, kw_only=True):
    """What one sink has yet to get."""

    waiting_segments: int = 0
    given_up: int = 0
    """Calls that it will never get, as the journal had no room for them any longer."""
    under_way: int = 0
    """Segments that are being given to it, or were when the recorder ended."""


class JournalReport(msgspec.Struct, kw_only=True):
    """The whole journal of a data folder."""

    journal_dir: str
    segments: int = 0
    """That wait for a sink, or are being written."""
    bytes: int = 0
    max_bytes: int = 0
    free_bytes: int | None = None
    """What the file system has left; None where that cannot be told."""
    min_free_bytes: int = 0
    on_full: OnFull = "pass"
    full: str = ""
    """Which bound is reached; empty when none is."""
    oldest_s: float = 0.0
    open_calls: int = 0
    """Calls under way, as far as the recorder has read."""
    kept_segments: int = 0
    kept_bytes: int = 0
    """Delivered segments that are kept."""
    instances: list[InstanceReport] = []
    sinks: dict[str, SinkReport] = {}
    quarantine: dict[str, int] = {}
    """Lines, by reason."""
    losses: dict[str, int] = {}
    """What was lost, by reason, since the data folder exists."""


def journal_report(settings: Settings) -> JournalReport:
    """Look at the journal of a data folder. Changes nothing."""
    folder = settings.journal_dir
    memory = memory_on_disk(settings.run_dir / "recorder.sqlite")
    found = [_instance(folder, name, memory) for name in instances(folder)]
    kept = list(_sizes(shipped_dir(folder).rglob(f"*{SEALED_SUFFIX}")))
    report = JournalReport(
        journal_dir=str(folder),
        segments=sum(one.sealed + one.open for one in found),
        bytes=sum(one.bytes for one in found),
        max_bytes=settings.journal_max_bytes,
        min_free_bytes=settings.journal_min_free_bytes,
        on_full=settings.journal_on_full,
        oldest_s=max((one.oldest_s for one in found), default=0.0),
        open_calls=memory.open_calls,
        kept_segments=len(kept),
        kept_bytes=sum(kept),
        instances=found,
        sinks={
            sink: SinkReport(
                waiting_segments=sum(_waiting(folder, one.instance, memory.cursors.get(sink, {})) for one in found),
                given_up=memory.counts.get(sink, {}).get(GIVEN_UP, 0),
                under_way=memory.under_way.get(sink, 0),
            )
            for sink in sorted(memory.cursors.keys() | memory.under_way.keys())
        },
        quarantine=Quarantine(folder).counts(),
        losses=memory.losses,
    )
    with contextlib.suppress(OSError):
        report.free_bytes = free_bytes(folder)
    if report.max_bytes and report.bytes >= report.max_bytes:
        report.full = "max_bytes"
    elif report.free_bytes is not None and report.free_bytes < report.min_free_bytes:
        report.full = "min_free_bytes"
    return report


def _instance(folder: Path, name: str, memory: Memory) -> InstanceReport:
    listing = list_segments(folder, name)
    report = InstanceReport(
        instance=name,
        alive=is_locked(folder / name / LOCK_NAME),
        sealed=len(listing.sealed),
        open=len(listing.open),
        read=memory.read.get(name, 0),
        cursors={sink: cursors[name] for sink, cursors in sorted(memory.cursors.items()) if name in cursors},
    )
    files = [path for path in (folder / name).glob("*.*") if path.suffix in {OPEN_SUFFIX, SEALED_SUFFIX}]
    report.bytes = sum(_sizes(files))
    if listing.sealed:
        with contextlib.suppress(FileNotFoundError):
            first = listing.sealed[min(listing.sealed)].path.stat()
            report.oldest_s = max(0.0, time.time() - first.st_mtime)
    return report


def _waiting(folder: Path, instance: str, cursors: dict[str, int]) -> int:
    return len(list_segments(folder, instance, after=cursors.get(instance, 0)).sealed)


def _sizes(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        # It may just be put away.
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_size
