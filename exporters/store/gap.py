"""What a restored backup is short of: calls that were delivered after it was taken, and where they still are."""

import shutil
import time
from pathlib import Path

import msgspec

from exporters.journal.names import shipped_dir
from exporters.journal.reader import Segment, instances, list_segments, read_segment
from exporters.store.remote import Ask, literal, name_of
from proxy.core.record import CallRecord

_HOUR = "%Y%m%dT%H"
_HOUR_S = 3600
_AT_ONCE = 2000


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that the archive of delivered segments has and the restored store has not."""

    archived_calls: int = 0
    """How many of them there are."""
    archived_segments: int = 0
    """In how many segments they are."""
    unreadable_segments: int = 0
    folder: str = ""
    """A data folder with nothing but a journal of these segments, to be shipped; empty when there are none."""
    waiting_segments: int = 0
    """Segments that no store has had yet: they are delivered as usual."""
    oldest_archived: str = ""
    """The hour (UTC) from which on the archive has what was delivered; empty when there is none."""
    reaches_back: bool = False
    """Whether the archive goes back to the moment of the backup, so that nothing is missing for good."""


def find_gap(ask: Ask, database: str, journal_dir: Path, at_ns: int, *, collect_in: Path) -> Gap:
    """Compare the archive with a store that was restored. Raises what `ask` raises, and OSError.

    Segments with missing calls are linked into a journal of their own: the archive is kept for a day only.

    Args:
        ask: Of the restored store.
        database: Ours.
        journal_dir: The journal, with the archive in it.
        at_ns: The moment of the backup, Unix time in nanoseconds.
        collect_in: The data folder for the segments; made if there are any.
    """
    archive = shipped_dir(journal_dir)
    hours = sorted(path.name for path in archive.iterdir()) if archive.is_dir() else []
    moment = _hour(at_ns / 1e9)
    calls = segments = unreadable = 0
    for hour in (hour for hour in hours if hour >= _hour(at_ns / 1e9 - _HOUR_S)):
        for instance in instances(archive / hour):
            for segment in list_segments(archive / hour, instance).sealed.values():
                try:
                    records = read_segment(segment).records
                except OSError:
                    unreadable += 1
                    continue
                ids = [record.call_id for record in records if isinstance(record, CallRecord)]
                missing = len(ids) - _known(ask, database, ids)
                if missing:
                    _link(segment, collect_in / "journal")
                    calls += missing
                    segments += 1
    return Gap(
        archived_calls=calls,
        archived_segments=segments,
        unreadable_segments=unreadable,
        folder=str(collect_in) if segments else "",
        waiting_segments=sum(len(list_segments(journal_dir, name).sealed) for name in instances(journal_dir)),
        oldest_archived=hours[0] if hours else "",
        reaches_back=bool(hours) and hours[0] <= moment,
    )


def _link(segment: Segment, journal_dir: Path) -> None:
    place = journal_dir / segment.instance
    place.mkdir(parents=True, mode=0o700, exist_ok=True)
    target = place / segment.path.name
    try:
        target.hardlink_to(segment.path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        shutil.copyfile(segment.path, target)


def _known(ask: Ask, database: str, ids: list[str]) -> int:
    known = 0
    for start in range(0, len(ids), _AT_ONCE):
        wanted = ", ".join(map(literal, ids[start : start + _AT_ONCE]))
        place = name_of(database, "calls")
        known += int(ask(f"SELECT toString(uniqExact(call_id)) FROM {place} WHERE call_id IN ({wanted})")[0][0])
    return known


def _hour(at_s: float) -> str:
    return time.strftime(_HOUR, time.gmtime(max(0.0, at_s)))
