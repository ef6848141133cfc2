"""A backup of the running store: taken from a snapshot, so that calls, inserts and queries go on while it is made.

A backup is a folder: the tables in the engine's own BACKUP format, the deduplication logs as they were at the same
moment, and a manifest with counts, sums and digests. It is made under another name and renamed when it is complete and
on the disk; what fails leaves nothing behind.

    what           where
    data.tar       every table and view of the database (data.tar.zst when compressed)
    tokens/        for each table the tokens that it had seen
    manifest.json  counts, sums and digests: `exporters.store.manifest.Manifest`
"""

import contextlib
import errno
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from exporters.store.figures import database_figures
from exporters.store.files import copy_folder, reason, sync_folder, sync_path
from exporters.store.folder import Folder, FolderInUseError, FolderLock
from exporters.store.manifest import BackupError, Manifest, Progress, note_files, write_manifest
from exporters.store.remote import Ask, asker, literal, name_of, take_snapshot
from exporters.store.snapshots import Snapshot
from proxy.settings import Settings
from proxy.store_http import StoreError
from proxy.version import own_version

TOKENS_DIR = "tokens"
RESERVE_BYTES = 256 * 1024 * 1024
"""What must stay free on the store's disk: a backup must not be what stops the journal."""
_SNAPSHOT = "backup"
_LOOK_AGAIN_S = 0.1
_NO_SPACE_CODE = 243
_NO_SPACE = ("no space left", "not_enough_space", "errno: 28")


def take_backup(settings: Settings, target: Path, *, compress: bool, progress: Progress) -> Manifest:
    """Back the running store up to a folder that is not there yet.

    Args:
        settings: As the running Taximeter uses them, with the credentials of the embedded store.
        target: The folder to be made; its parents are made too.
        compress: Pack the tables once more; they are packed by column already, so it saves little.
        progress: Told how far it is.

    Raises:
        BackupError: It cannot be made; nothing of it is left.
    """
    target = target.absolute()
    if target.exists():
        raise BackupError(f"{target} is there already, and a backup overwrites nothing: name another place")
    drafts = Folder(settings.store_dir.absolute()).backup_dir
    with _explained(target), _alone(drafts):
        _remove_drafts(drafts)
        draft = drafts / f".{secrets.token_hex(6)}.new"
        draft.mkdir(mode=0o700)
        ask = asker(settings.store)
        try:
            snapshot = take_snapshot(settings.store, _SNAPSHOT)
            try:
                manifest = _fill(draft, snapshot, settings.store.database, ask, target, (compress, progress))
            finally:
                # A store that is gone drops it at its next start.
                with contextlib.suppress(StoreError):
                    ask(f"DROP DATABASE IF EXISTS {name_of(snapshot.database)} SYNC")
                shutil.rmtree(snapshot.logs_dir, ignore_errors=True)
            _publish(draft, target, manifest, progress)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _fill(
    draft: Path, snapshot: Snapshot, database: str, ask: Ask, target: Path, manner: tuple[bool, Progress]
) -> Manifest:
    compress, progress = manner
    size = _size_bytes(ask, snapshot.database)
    _check_room(draft, target, size)
    data = "data.tar.zst" if compress else "data.tar"
    _write_tables(ask, snapshot, database, draft / data, size, progress)
    progress("count", 0, 0)
    figures = database_figures(ask, snapshot.database)
    if Path(snapshot.logs_dir).is_dir():
        copy_folder(Path(snapshot.logs_dir), draft / TOKENS_DIR)
    place = name_of(snapshot.database, "schema_migrations")
    schema = ask(f"SELECT max(version) FROM {place}") if "schema_migrations" in figures else [[0]]
    manifest = Manifest(
        taximeter=own_version(),
        engine=str(ask("SELECT version()")[0][0]),
        database=database,
        schema_version=int(schema[0][0]),
        at=datetime.fromtimestamp(snapshot.at_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        at_ns=snapshot.at_ns,
        data=data,
        tables=figures,
        files=note_files(draft, progress),
    )
    write_manifest(draft, manifest)
    return manifest


def _size_bytes(ask: Ask, database: str) -> int:
    parts = f"SELECT toString(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = {literal(database)}"
    return int(ask(parts)[0][0])


def _check_room(draft: Path, target: Path, size_bytes: int) -> None:
    """Raises BackupError when it can be seen beforehand that a disk is too small."""
    there = next(place for place in target.parents if place.exists())
    places = {there.stat().st_dev: (there, 0), draft.stat().st_dev: (draft, RESERVE_BYTES)}
    for place, reserve_bytes in places.values():
        free = shutil.disk_usage(place).free
        if free < size_bytes + reserve_bytes:
            raise BackupError(
                f"there is no room for a backup of about {size_bytes / 1e6:,.0f} MB on the disk of {place}: "
                f"{free / 1e6:,.0f} MB are free, and {reserve_bytes / 1e6:,.0f} MB of them are left to the journal"
            )


def _write_tables(ask: Ask, snapshot: Snapshot, database: str, file: Path, size_bytes: int, progress: Progress) -> None:
    """Have the engine write the tables of the snapshot, under their own names, and everything that holds no rows."""
    held = [f"TABLE {name_of(snapshot.database, t)} AS {name_of(database, t)}" for t in snapshot.tables]
    others = ask(
        f"SELECT name FROM system.tables WHERE database = {literal(database)} AND NOT endsWith(engine, 'MergeTree') "
        "AND NOT is_temporary ORDER BY name"
    )
    elements = ", ".join([*held, *(f"TABLE {name_of(database, str(name))}" for (name,) in others)])
    started = ask(f"BACKUP {elements} TO File({literal(str(file))}) ASYNC")[0][0]
    progress("write", 0, size_bytes)
    status = f"SELECT status, error FROM system.backups WHERE id = {literal(str(started))}"
    while (state := ask(status)[0])[0] == "CREATING_BACKUP":
        with contextlib.suppress(FileNotFoundError):
            progress("write", min(file.stat().st_size, size_bytes), size_bytes)
        time.sleep(_LOOK_AGAIN_S)
    if state[0] != "BACKUP_CREATED":
        raise StoreError(str(state[1]) or f"the engine says {state[0]}")
    progress("write", size_bytes, size_bytes)


def _publish(draft: Path, target: Path, manifest: Manifest, progress: Progress) -> None:
    """Give the backup its name once all of it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        sync_folder(draft)
        draft.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(draft, target, manifest, progress)
    sync_path(target.parent)


def _copy(draft: Path, target: Path, manifest: Manifest, progress: Progress) -> None:
    """The same on another disk: copied under another name, then renamed."""
    other, done = target.with_name(f".{target.name}.{draft.name.strip('.')}"), 0

    def tell(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        progress("move", done, manifest.bytes)

    try:
        copy_folder(draft, other, tell)
        sync_folder(other)
        other.rename(target)
    finally:
        shutil.rmtree(other, ignore_errors=True)


def _remove_drafts(drafts: Path) -> None:
    """What a backup that was killed has left."""
    for draft in drafts.glob(".*.new"):
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _alone(drafts: Path) -> Iterator[None]:
    """One backup at a time."""
    try:
        lock = FolderLock(Folder(drafts))
    except FolderInUseError:
        raise BackupError("another backup of this store is being made") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """One sentence for whatever goes wrong."""
    try:
        yield
    except StoreError as error:
        said = str(error)
        if error.code == _NO_SPACE_CODE or any(sign in said.lower() for sign in _NO_SPACE):
            raise BackupError("the store's disk is full: nothing of the backup was kept") from error
        raise BackupError(f"the backup failed, nothing of it was kept: {said}") from error
    except OSError as error:
        raise BackupError(f"{error.filename or target}: {reason(error)}; nothing of the backup was kept") from error
