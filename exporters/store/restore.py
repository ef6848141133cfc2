"""A backup back into a data folder: restored and checked beside the present data, then put in their place by a rename.

It is done by an engine of its own, so that the store may run meanwhile and calls go on in any case. The deduplication
logs of the backup's moment go with it. So a parcel that the journal sends once more is refused if the backup has it,
and taken if not; logs that are too new would refuse rows that are not there, and empty ones would double others.

The former data are never removed: they are kept beside, for whoever forced the restore to think again.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from exporters.schema.migrations import load_migrations
from exporters.store.backup import TOKENS_DIR
from exporters.store.engine import Connection, open_engine, read_text, run
from exporters.store.errors import StartError, StoreError
from exporters.store.figures import database_figures, differences
from exporters.store.files import copy_folder, reason
from exporters.store.folder import (
    Folder,
    FolderInUseError,
    FolderLock,
    adopt_restored,
    default_memory_bytes,
    write_config,
)
from exporters.store.gap import Gap, find_gap
from exporters.store.manifest import BackupError, Manifest, Progress, check_files, read_manifest
from exporters.store.remote import Ask, asker, literal, name_of
from exporters.store.snapshots import LOG_DIR, log_folder
from proxy.settings import Settings
from proxy.store_http import StoreError as AnswerError

_LOOK_AGAIN_S = 0.1
_RESTART_S = 90.0
"""How long a running store may take to close and to open again."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was done."""

    manifest: Manifest
    gap: Gap
    former: str = ""
    """Where the data lie that were there before; empty when there were none."""
    restarted: bool = False
    """Whether a running store was told to start again on what was restored."""


def restore_backup(settings: Settings, source: Path, *, force: bool, progress: Progress) -> Restored:
    """Put a backup into the data folder.

    Args:
        settings: Of the Taximeter whose store it becomes; it may run.
        source: The folder of the backup.
        force: Also where there are data already; they are put aside.
        progress: Told how far it is.

    Raises:
        BackupError: The backup is not good, or there are data and `force` is not set; everything is as it was.
    """
    folder, source = Folder(settings.store_dir), source.absolute()
    with _explained(folder.root):
        manifest = read_manifest(source)
        _check_versions(manifest, source)
        _check_place(folder, force=force)
        check_files(source, manifest, progress)
        folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        missing = settings.data_dir / time.strftime("missing-%Y%m%dT%H%M%SZ", time.gmtime())
        with _workshop(folder) as workshop:
            gap = _restore_into(workshop, settings, source, manifest, (missing, progress))
            _check_place(folder, force=force)
            shutil.rmtree(folder.restored_dir, ignore_errors=True)
            os.sync()
            workshop.root.rename(folder.restored_dir)
        former, restarted = _put_in_place(folder, progress)
    if restarted:
        # Calls were delivered to the former data until the last moment.
        gap = _gap_of_running(settings, manifest, missing)
    return Restored(manifest=manifest, gap=gap, former=str(former or ""), restarted=restarted)


def _check_versions(manifest: Manifest, source: Path) -> None:
    known = max(migration.version for migration in load_migrations())
    if manifest.schema_version > known:
        raise BackupError(
            f"{source} has schema {manifest.schema_version} and this Taximeter knows only up to {known}: "
            f"install version {manifest.taximeter} or a newer one"
        )


def _check_place(folder: Folder, *, force: bool) -> None:
    if not force and folder.engine_dir.is_dir() and any(folder.engine_dir.iterdir()):
        raise BackupError(
            f"{folder.root} holds a store already; with --force the backup takes its place, and what is there now is "
            "kept in a folder beside it"
        )


@contextlib.contextmanager
def _workshop(folder: Folder) -> Iterator[Folder]:
    """An empty folder for the restoring, ours alone; it is gone in the end, unless it was renamed."""
    workshop = Folder(folder.restoring_dir)
    try:
        lock = FolderLock(workshop)
    except FolderInUseError:
        raise BackupError("another restore into this data folder is under way") from None
    try:
        for left in workshop.root.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        yield workshop
    finally:
        shutil.rmtree(workshop.root, ignore_errors=True)
        lock.release()


def _restore_into(
    workshop: Folder, settings: Settings, source: Path, manifest: Manifest, manner: tuple[Path, Progress]
) -> Gap:
    """Restore with an engine of our own and compare with the manifest; what is missing then."""
    missing, progress = manner
    write_config(workshop, settings.store.max_memory_bytes or default_memory_bytes(), backup_dir=source)
    engine = open_engine(workshop)
    try:
        connection = engine.connect()
        try:
            ask = _asker(connection)
            database = settings.store.database
            _read_tables(ask, manifest, source, database, progress)
            _put_logs(connection, database, source / TOKENS_DIR)
            progress("count", 0, 0)
            if wrong := differences(manifest.tables, database_figures(ask, database)):
                raise BackupError(f"what was restored from {source} is not what was backed up: {'; '.join(wrong)}")
            return find_gap(ask, database, settings.journal_dir, manifest.at_ns, collect_in=missing)
        finally:
            connection.close()
    finally:
        engine.close()


def _read_tables(ask: Ask, manifest: Manifest, source: Path, database: str, progress: Progress) -> None:
    ask(f"CREATE DATABASE {name_of(database)}")
    renamed = f" AS {name_of(database)}" if database != manifest.database else ""
    file = literal(str(source / manifest.data))
    started = ask(f"RESTORE DATABASE {name_of(manifest.database)}{renamed} FROM File({file}) ASYNC")[0][0]
    status = f"SELECT status, error, bytes_read, total_size FROM system.backups WHERE id = {literal(str(started))}"
    while (state := ask(status)[0])[0] == "RESTORING":
        progress("restore", int(state[2]), int(state[3]))
        time.sleep(_LOOK_AGAIN_S)
    if state[0] != "RESTORED":
        raise BackupError(f"the engine could not restore {source}: {state[1]}")
    progress("restore", int(state[3]), int(state[3]))


def _put_logs(connection: Connection, database: str, logs_dir: Path) -> None:
    """Give every table the log that it had; it reads it when it is attached."""
    sql = b"SELECT name, data_paths[1] FROM system.tables WHERE endsWith(engine, 'MergeTree') AND database = "
    lines = read_text(connection, sql + literal(database).encode(), "JSONCompactEachRow").split("\n")
    for name, path in (msgspec.json.decode(line, type=tuple[str, str]) for line in lines if line):
        kept = log_folder(logs_dir, name)
        if kept.is_dir():
            place = name_of(database, name).encode()
            run(connection, b"DETACH TABLE " + place + b" SYNC")
            shutil.rmtree(Path(path) / LOG_DIR, ignore_errors=True)
            copy_folder(kept, Path(path) / LOG_DIR)
            run(connection, b"ATTACH TABLE " + place)


def _put_in_place(folder: Folder, progress: Progress) -> tuple[Path | None, bool]:
    """The former data, and whether a running store was told to start again."""
    progress("switch", 0, 0)
    try:
        lock = FolderLock(folder)
    except FolderInUseError:
        before = set(folder.root.glob("replaced-*"))
        _restart(folder)
        return next(iter(set(folder.root.glob("replaced-*")) - before), None), True
    try:
        return adopt_restored(folder), False
    finally:
        lock.release()


def _restart(folder: Folder) -> None:
    """End the store that holds the folder; whoever keeps it running starts it again, and it takes up what is new."""
    holder = folder.lock_file.read_text("ascii").strip()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(holder), signal.SIGTERM)
    deadline = time.monotonic() + _RESTART_S
    while folder.restored_dir.exists():
        if time.monotonic() > deadline:
            raise BackupError(
                f"the backup lies in {folder.restored_dir} and is taken up at the next start of the store, but the "
                f"running one (process {holder}) has not started again"
            )
        time.sleep(_LOOK_AGAIN_S)


def _gap_of_running(settings: Settings, manifest: Manifest, missing: Path) -> Gap:
    """The same, asked of the store that has started again. Raises BackupError."""
    deadline, ask = time.monotonic() + _RESTART_S, asker(settings.store)
    while True:
        try:
            ask("SELECT 1")
            return find_gap(ask, settings.store.database, settings.journal_dir, manifest.at_ns, collect_in=missing)
        except (AnswerError, OSError) as error:
            if time.monotonic() > deadline:
                raise BackupError(f"the backup is in place, but what it is short of cannot be told: {error}") from error
        time.sleep(_LOOK_AGAIN_S)


def _asker(connection: Connection) -> Ask:
    def ask(sql: str) -> list[list[object]]:
        body = run(connection, sql.encode(), "JSONCompactEachRow").body
        return [msgspec.json.decode(line) for line in body.splitlines()]

    return ask


@contextlib.contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except (StoreError, StartError) as error:
        raise BackupError(f"the restore failed, and everything is as it was: {error}") from error
    except OSError as error:
        raise BackupError(f"{error.filename or root}: {reason(error)}; everything is as it was") from error
