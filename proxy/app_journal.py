"""The wiring of `taximeter journal`: the part of `proxy.app` that its command needs, and no process of a Taximeter."""

import contextlib
import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.journal.put_back import finish
from exporters.journal.quarantine import Entry, Quarantine
from exporters.journal.shown import ShownLine, shown
from exporters.recorder.report import JournalReport, journal_report
from proxy.app import pricer_of
from proxy.borrowed_store import borrowed_store
from proxy.config.credentials import CredentialsError
from proxy.ports import PortsError
from proxy.runlock import LockedError
from proxy.settings import Settings
from proxy.supervisor import StartError

if TYPE_CHECKING:
    from exporters.recorder.resubmit import Resubmitted
    from exporters.recorder.ship import Shipped


class JournalError(Exception):
    """What was asked for cannot be done; the message is one sentence for the person."""


def journal_state(settings: Settings) -> JournalReport:
    """What waits in the journal, from the disk."""
    return journal_report(settings)


def quarantine_entries(settings: Settings) -> list[Entry]:
    """Everything in quarantine, after what a crash has cut short was completed."""
    if settings.journal_dir.is_dir():
        finish(settings.journal_dir)
    return Quarantine(settings.journal_dir).entries()


def quarantine_entry(settings: Settings, id_or_beginning: str) -> Entry:
    """One entry. Raises JournalError when there is none, or more than one that begins so."""
    found = Quarantine(settings.journal_dir).entry(id_or_beginning)
    if found is None:
        raise JournalError(f"there is no entry {id_or_beginning}, or more than one that begins so: see `list`")
    return found


def quarantine_lines(entry: Entry, limit: int) -> list[ShownLine]:
    """Its first lines, for a person. Raises JournalError."""
    try:
        return shown(entry, limit=limit)
    except OSError as error:
        raise JournalError(f"{entry.path}: {error.strerror}") from error


def resubmit_entries(settings: Settings, entries: Sequence[Entry]) -> "Iterator[Resubmitted]":
    """Put entries back, one after the other. Raises JournalError."""
    from exporters.clickhouse.missing import MissingOnlySink
    from exporters.recorder.resubmit import resubmit

    quarantine = Quarantine(settings.journal_dir)
    with _explained(), borrowed_store(settings) as reachable:
        store = MissingOnlySink(reachable)
        try:
            for entry in entries:
                yield resubmit(quarantine, entry, journal_dir=settings.journal_dir, store=store)
        finally:
            store.close()


def drop_entry(settings: Settings, entry: Entry) -> None:
    """Give up an entry for good. Raises JournalError."""
    from exporters.recorder.resubmit import drop

    with _explained():
        drop(Quarantine(settings.journal_dir), entry, journal_dir=settings.journal_dir)


def ship_folder(settings: Settings, folder: Path, *, kept_too: bool, progress: Callable[[int, int], None]) -> "Shipped":
    """Deliver the journal of a machine that is gone to the store. Raises JournalError.

    Args:
        settings: Of the Taximeter here, as it runs if it runs.
        folder: A data folder or journal folder, copied or mounted.
        kept_too: Also what that machine had delivered and kept.
        progress: `progress(done, total)`, in segments.
    """
    from exporters.clickhouse.missing import MissingOnlySink
    from exporters.recorder.ship import find_source, ship

    with _explained():
        source = find_source(folder, settings.journal_dir)
        name = hashlib.sha256(str(source.journal_dir.resolve()).encode()).hexdigest()[:16]
        staging = settings.run_dir / "ship" / f"{name}{'-kept' if kept_too else ''}"
        with borrowed_store(settings) as reachable:
            sink = MissingOnlySink(reachable)
            try:
                return ship(
                    source,
                    staging,
                    sink=sink,
                    pricer=pricer_of(settings),
                    quarantine=Quarantine(settings.journal_dir),
                    kept_too=kept_too,
                    progress=progress,
                )
            finally:
                sink.close()


def try_shipping(settings: Settings, folder: Path, *, kept_too: bool) -> "Shipped":
    """What `ship_folder` would do; nothing is delivered, and nothing of it remains. Raises JournalError."""
    from exporters.clickhouse.missing import Trial
    from exporters.recorder.ship import find_source, ship

    with _explained(), tempfile.TemporaryDirectory(prefix="taximeter-ship-") as scratch:
        source = find_source(folder, settings.journal_dir)
        with borrowed_store(settings) as reachable:
            trial = Trial(reachable)
            try:
                return ship(
                    source,
                    Path(scratch) / "ship",
                    sink=trial,
                    pricer=pricer_of(settings),
                    quarantine=Quarantine(Path(scratch) / "journal"),
                    kept_too=kept_too,
                )
            finally:
                trial.close()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Whatever may go wrong as one sentence for the person."""
    from exporters.recorder.ports import SinkUnavailableError
    from exporters.recorder.ship import ShipError

    try:
        yield
    except SinkUnavailableError as error:
        raise JournalError(f"the store takes nothing now ({error}); run it again later, nothing is lost") from error
    except (ShipError, LockedError, StartError, CredentialsError, PortsError) as error:
        raise JournalError(str(error)) from error
    except OSError as error:
        raise JournalError(f"{error.filename or 'the journal'}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise JournalError(f"the memory of what was shipped cannot be used: {error}") from error
