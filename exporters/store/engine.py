"""The engine in this process: opening it, talking to it, stopping a statement that runs.

Every call blocks and belongs in a thread; the engine gives the interpreter away while it works. A connection carries
settings and temporary tables and serves one call at a time; there may be any number of them, each costs 0.2 ms.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from exporters.store.errors import StartError, from_engine
from exporters.store.folder import Folder
from exporters.store.statement import identifier, quoted

TAG_SETTING = "cluster_for_parallel_replicas"
"""A text setting that nothing reads on a single node: it carries our name for a statement, so that KILL finds it.
The engine does not let us choose its query ids, and `log_comment` is the client's."""


LIKE_A_SERVER = {"implicit_select": b"0", "allow_introspection_functions": b"0"}
"""What the embedded engine has switched on for itself and a server has not."""


class Connection(Protocol):
    """What we use of a chDB connection. Every method raises RuntimeError with the engine's message."""

    def query(self, query_str: bytes, format: str = "CSV", *, params: Mapping[str, str] = ...) -> Any:  # noqa: A002
        """Run a statement; `params` are escaped as in TSV."""

    def classify_query(self, sql: bytes) -> dict[str, Any]:
        """What the statement would do, without running it."""

    def close(self) -> None:
        """Give the connection up."""


class Figures(NamedTuple):
    """What a statement did."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0


class Result(NamedTuple):
    """The end of a statement: what it returned outside of a pipe, and its figures."""

    body: bytes
    figures: Figures


class Verdict(NamedTuple):
    """What the engine takes a text for."""

    kind: str
    """READ_ONLY, MUTATING, MUTATING_GLOBAL, CONTROL or UNKNOWN."""
    statements: int
    """0: the text does not parse."""


class Engine:
    """The one engine of this process. Use `open_engine`."""

    def __init__(self, chdb: Any, path: str) -> None:
        """`chdb` is the binding's module; `path` names the data, its configuration included."""
        self._chdb = chdb
        self._path = path
        self._root: Connection = chdb.connect(path)
        self.version = read_text(self._root, b"SELECT version()")

    def connect(self) -> Connection:
        """A fresh connection with the engine's default settings."""
        with engine_errors():
            connection: Connection = self._chdb.connect(self._path)
            return connection

    def kill(self, tag: str) -> bool:
        """Stop the statement that runs under `tag`. Returns False when there is none (yet, or any more)."""
        connection = self.connect()
        try:
            return bool(run(connection, kill_statement(tag)).body)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the engine; every other connection must be closed before."""
        self._root.close()


def open_engine(folder: Folder) -> Engine:
    """Open the data of a folder whose lock we hold. Raises StartError. Changes the process's time zone to UTC."""
    # The engine reads the server's time zone from here and from nowhere else.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        # 0.4 s and 170 MB: only the process that is the store may pay for it.
        from chdb import _chdb  # noqa: PLC0415
    except ImportError as error:
        detail = "the embedded store needs the engine: install taximeter[embedded], or set store.url"
        raise StartError(f"{detail} ({error})") from error
    try:
        return Engine(_chdb, f"{folder.engine_dir}?config-file={folder.config_file}")
    except RuntimeError as error:
        detail = "the engine could not open it; its own words are on standard error"
        said = str(error).partition(", Stack trace")[0].strip()
        raise StartError(f"{folder.root}: {detail} ({said})") from error


def run(connection: Connection, sql: bytes, form: str = "TSV", bind: Mapping[str, str] | None = None) -> Result:
    """Run a statement to its end. Raises StoreError."""
    with engine_errors():
        result = connection.query(sql, form, params=bind or {})
    figures = Figures(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        result_bytes=result.bytes_read(),
        elapsed_ns=int(result.elapsed() * 1e9),
    )
    return Result(bytes(result.bytes() or b""), figures)


def read_text(connection: Connection, sql: bytes, form: str = "TSVRaw") -> str:
    """The small result of a query, as text. Raises StoreError."""
    return run(connection, sql, form).body.decode("utf-8", "surrogateescape").removesuffix("\n")


def judge(connection: Connection, sql: bytes) -> Verdict:
    """What the engine takes a text for, by its own parser."""
    with engine_errors():
        seen = connection.classify_query(sql)
    return Verdict(seen["query_class"].name, seen["statement_count"])


def kill_statement(tag: str, manner: bytes = b"ASYNC") -> bytes:
    """The statement that stops what runs under `tag`; it returns a row for what it found."""
    return f"KILL QUERY WHERE Settings['{TAG_SETTING}'] = ".encode() + quoted(tag) + b" " + manner


def use(connection: Connection, database: str) -> None:
    """Change the current database. Raises StoreError."""
    run(connection, b"USE " + identifier(database))


def apply(connection: Connection, settings: Mapping[str, bytes]) -> None:
    """SET all of them at once; the values are SQL literals. Raises StoreError and leaves all as it was."""
    if settings:
        run(connection, b"SET " + b", ".join(name.encode() + b" = " + value for name, value in settings.items()))


@contextmanager
def engine_errors() -> Iterator[None]:
    """Translate what the binding raises."""
    try:
        yield
    except RuntimeError as error:
        raise from_engine(str(error)) from None
