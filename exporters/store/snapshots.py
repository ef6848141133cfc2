"""A database as of one moment, in a database of its own: what a backup and a copy read from while the store goes on.

No insert runs while a snapshot is taken, so that it has every insert whole, with what views have made of it, or not at
all. It takes milliseconds: the tables of the snapshot are hard links of the parts (`CLONE AS`). With them go the
deduplication logs as they are at that moment, which the engine's own BACKUP leaves out: without them a restored store
would take rows again that it has.
"""

import re
import shutil
import time
from pathlib import Path
from urllib.parse import quote

import msgspec

from exporters.store.engine import Connection, read_text, run
from exporters.store.errors import BAD_ARGUMENTS, StoreError
from exporters.store.files import copy_folder
from exporters.store.statement import identifier, quoted

SNAPSHOT_PATH = "/snapshot"
"""Where the interface takes the wish for one."""
PREFIX = "_snapshot_"
"""Of the names of all databases that are snapshots."""
LOG_DIR = "deduplication_logs"
"""In the folder of a table: which tokens it has seen. The engine's own name."""
_NAME = re.compile(r"[a-z0-9_]{1,40}")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that was taken."""

    database: str
    """Where its tables are; whoever asked for it drops it (`DROP DATABASE ... SYNC`)."""
    tables: tuple[str, ...]
    at_ns: int
    """The moment, Unix time in nanoseconds: no insert was under way."""
    logs_dir: str
    """A folder for every table with a deduplication log, named as `log_folder` says."""


def snapshot_database(name: str) -> str:
    """The database of a snapshot. Raises StoreError (BAD_ARGUMENTS) when it cannot be called that."""
    if not _NAME.fullmatch(name):
        raise StoreError(BAD_ARGUMENTS, f"A snapshot cannot be called {name[:60]!r}")
    return PREFIX + name


def log_folder(logs_dir: Path, table: str) -> Path:
    """Where the log of a table lies in a folder for many of them."""
    return logs_dir / quote(table, safe="")


def prepare(connection: Connection, database: str, logs_dir: Path) -> None:
    """Make room for a snapshot: drop a former one of that name. Raises StoreError, OSError."""
    shutil.rmtree(logs_dir, ignore_errors=True)
    run(connection, b"DROP DATABASE IF EXISTS " + identifier(database) + b" SYNC")
    run(connection, b"CREATE DATABASE " + identifier(database))
    logs_dir.mkdir(parents=True, mode=0o700)


def take(connection: Connection, source: str, database: str, logs_dir: Path) -> Snapshot:
    """Link the tables of `source` and copy their logs. No insert may run meanwhile. Raises StoreError, OSError."""
    at_ns = time.time_ns()
    tables = []
    for name, path in _tables(connection, source):
        cloned = identifier(database) + b"." + identifier(name)
        run(connection, b"CREATE TABLE " + cloned + b" CLONE AS " + identifier(source) + b"." + identifier(name))
        # It is read once and thrown away: nothing in it needs to be merged or to expire.
        run(connection, b"SYSTEM STOP MERGES " + cloned)
        if (path / LOG_DIR).is_dir():
            copy_folder(path / LOG_DIR, log_folder(logs_dir, name))
        tables.append(name)
    return Snapshot(database=database, tables=tuple(tables), at_ns=at_ns, logs_dir=str(logs_dir))


def drop_all(connection: Connection, snapshots_dir: Path) -> None:
    """Remove what snapshots of a former life have left. Raises StoreError."""
    found = read_text(connection, b"SELECT name FROM system.databases WHERE startsWith(name, " + quoted(PREFIX) + b")")
    for name in filter(None, found.split("\n")):
        run(connection, b"DROP DATABASE " + identifier(name) + b" SYNC")
    shutil.rmtree(snapshots_dir, ignore_errors=True)


def _tables(connection: Connection, database: str) -> list[tuple[str, Path]]:
    """Name and folder of every table that holds rows."""
    sql = b"SELECT name, data_paths[1] FROM system.tables WHERE endsWith(engine, 'MergeTree') AND database = "
    lines = read_text(connection, sql + quoted(database) + b" ORDER BY name", "JSONCompactEachRow").split("\n")
    rows = [msgspec.json.decode(line, type=tuple[str, str]) for line in lines if line]
    if not rows:
        raise StoreError(BAD_ARGUMENTS, f"The database {database!r} has no tables")
    return [(name, Path(path)) for name, path in rows]
