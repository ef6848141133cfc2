"""Ships the journal of a machine that is gone: does what its recorder would have done, from the outside.

Invariants (each with a test of the same name):
1. Nothing in the folder of the dead machine is changed; it may be read-only.
2. What the dead machine had delivered is not delivered again, whether or not its recorder's memory is still there.
3. What is cut short is gone on with when it is run again, and what is done may be done again.

The segments are reached by links from a folder of ours, the staging, where the open ones are copied and sealed and the
calls under way are closed as interrupted. Against doubles there are three things, in this order: the cursors of the
dead recorder and the parcel that it had under way, where its `run/recorder.sqlite` is there; the store, which is asked
which rows it has, call by call; and the token of each parcel.
"""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from exporters.journal.files import FileLock, is_locked
from exporters.journal.names import LOCK_NAME, is_instance, parse_open, parse_sealed, shipped_dir
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import instances
from exporters.recorder.deliver import Delivery
from exporters.recorder.follow import Follower
from exporters.recorder.ports import Pricer, Sink
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State

_STATE = "recorder.sqlite"


class ShipError(Exception):
    """The folder cannot be shipped; the message is one sentence for the person."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of a dead machine."""

    journal_dir: Path
    state: Path | None
    """Its recorder's memory; None when it is not there."""


class Shipped(msgspec.Struct, kw_only=True):
    """What one run has done, or would do."""

    instances: int = 0
    segments: int = 0
    """That were handed over now."""
    bytes: int = 0
    calls: int = 0
    """That the store has got now."""
    known: int = 0
    """Calls among them that the store had."""
    interrupted: int = 0
    """Calls that were under way, and were closed."""
    with_state: bool = False
    """Whether the dead recorder's memory was there."""
    counts: dict[str, int] = {}
    """Everything that was counted on the way, by name."""
    losses: dict[str, int] = {}
    """What the journal says was lost and no recorder had read yet."""
    errors: list[str] = []


Progress = Callable[[int, int], None]
"""`progress(done, total)`, in segments."""


def find_source(folder: Path, own_journal_dir: Path) -> Source:
    """The journal in a folder: a data folder, or the journal folder itself. Raises ShipError.

    Args:
        folder: Copied or mounted.
        own_journal_dir: The journal that our own recorder ships.
    """
    journal_dir = folder / "journal" if (folder / "journal").is_dir() else folder
    if not journal_dir.is_dir():
        raise ShipError(f"{folder} is no folder")
    found = [name for name in instances(journal_dir) if (journal_dir / name).is_dir()]
    if not found and not shipped_dir(journal_dir).is_dir():
        raise ShipError(f"{folder} holds no journal: it should be a data folder, or the folder `journal` of one")
    if own_journal_dir.is_dir() and journal_dir.samefile(own_journal_dir):
        raise ShipError("this is the journal of the Taximeter here: its own recorder ships it")
    state = journal_dir.parent / "run" / _STATE
    if is_locked(state.with_name("recorder.lock")):
        raise ShipError(f"a recorder works on {journal_dir}: that machine is not gone")
    if alive := [name for name in found if is_locked(journal_dir / name / LOCK_NAME)]:
        raise ShipError(f"processes still write to {journal_dir} ({', '.join(alive)}): that machine is not gone")
    return Source(journal_dir=journal_dir, state=state if state.is_file() else None)


def ship(
    source: Source,
    staging: Path,
    *,
    sink: Sink,
    pricer: Pricer,
    quarantine: Quarantine,
    kept_too: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Shipped:
    """Deliver what the sink lacks. Raises ShipError, OSError, sqlite3.Error, SinkUnavailableError: run it again then.

    Args:
        source: What to ship; see `find_source`.
        staging: A folder of ours for this source alone, kept until all is done.
        sink: One that leaves out what it has.
        pricer: What attempts cost.
        quarantine: Where unreadable lines go: ours.
        kept_too: Begin at the beginning, with the segments that the dead machine had delivered and kept: for when its
            store is gone too.
        progress: Told after each parcel.
    """
    staging.mkdir(parents=True, exist_ok=True)
    # One for all sources: of two copies of one journal neither would know what is on its way from the other.
    lock = FileLock.take(staging.parent / "ship.lock")
    if lock is None:
        raise ShipError("another journal is being shipped from here: run it again when that is done")
    with lock:
        journal_dir = staging / "journal"
        _stage(source.journal_dir, journal_dir, kept_too=kept_too)
        if source.state is not None and not kept_too:
            _copy_state(source.state, staging / _STATE)
        state = State(staging / _STATE)
        try:
            delivery = Delivery(sink, PricedSegments(pricer), state, journal_dir)
            shipped = _ship(journal_dir, state, delivery, quarantine, progress)
        finally:
            state.close()
        shipped.with_state = source.state is not None and not kept_too
        if not shipped.errors:
            shutil.rmtree(staging)
    return shipped


def _ship(journal_dir: Path, state: State, delivery: Delivery, quarantine: Quarantine, progress: Progress) -> Shipped:
    before = state.losses()
    found = Follower(journal_dir, state, quarantine).look()
    shipped = Shipped(
        instances=len(found.read),
        interrupted=found.interrupted,
        losses=dict(Counter(state.losses()) - Counter(before)),
        errors=found.errors,
    )
    waiting = sum(max(0, last - delivery.cursors.get(name, 0)) for name, last in found.read.items())
    counts = Counter(delivery.counts())
    delivery.sink.check()
    while (parcel := delivery.next_parcel(found.read)) is not None:
        shipped.bytes += sum(segment.path.stat().st_size for segment in parcel.segments)
        delivery.deliver(parcel)
        shipped.segments += len(parcel.segments)
        progress(shipped.segments, waiting)
    shipped.counts = dict(Counter(delivery.counts()) - counts)
    shipped.calls, shipped.known = shipped.counts.get("calls", 0), shipped.counts.get("known", 0)
    return shipped


def _stage(source: Path, staged: Path, *, kept_too: bool) -> None:
    """Links to the segments, copies of the open ones; what a former run has staged stays. Raises OSError."""
    folders = [source / name for name in instances(source) if (source / name).is_dir()]
    if kept_too and shipped_dir(source).is_dir():
        folders += sorted(path for path in shipped_dir(source).glob("*/*") if is_instance(path.name))
    for folder in folders:
        target = staged / folder.name
        target.mkdir(parents=True, exist_ok=True)
        there = {name.number for path in target.iterdir() if (name := parse_sealed(path.name))}
        for path in sorted(folder.iterdir()):
            if (sealed := parse_sealed(path.name)) is not None:
                if sealed.number not in there:
                    (target / path.name).symlink_to(path.absolute())
            elif (number := parse_open(path.name)) is not None and number not in there:
                # Where it was sealed just before the machine died, both names may have been copied.
                shutil.copy2(path, target / path.name)
        if not (target / LOCK_NAME).exists():
            (target / LOCK_NAME).touch()
            # The time of its files says when an instance gave its last sign of life.
            times = (folder / LOCK_NAME if (folder / LOCK_NAME).exists() else folder).stat()
            os.utime(target / LOCK_NAME, ns=(times.st_atime_ns, times.st_mtime_ns))


def _copy_state(state: Path, target: Path) -> None:
    """The dead recorder's memory, unless a former run has it; its log belongs to it. Raises OSError."""
    if target.exists():
        return
    draft = target.with_name("copied.sqlite")
    for suffix in ("-wal", ""):
        file = state.with_name(state.name + suffix)
        if file.exists():
            shutil.copyfile(file, draft.with_name(draft.name + suffix))
    db = sqlite3.connect(draft)
    try:
        # Brings the log into the file, so that one rename takes both.
        db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError:
        # It is damaged: the store is asked for every call anyway.
        draft.unlink()
        return
    finally:
        db.close()
    draft.rename(target)
