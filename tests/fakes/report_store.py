"""A real store with synthetic calls whose sums are known, for tests of the reports."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from exporters.schema.migrate import ensure_database, migrate
from proxy.settings import Listen, Settings, StoreSettings, to_json

CALL: dict[str, Any] = {
    "attempt": 1,
    "duration_ms": 1000.0,
    "provider": "minimax",
    "kind": "minimax",
    "host": "api.minimax.io",
    "operation": "chat",
    "model": "MiniMax-M3",
    "model_requested": "MiniMax-M3",
    "billable": True,
    "status": 200,
    "outcome": "ok",
    "usage_source": "provider",
    "usage_complete": True,
    "currency": "USD",
    "cost_source": "book",
    "billing": "metered",
}
"""A call that went well, as far as both tables have the columns."""


class ReportStore:
    """A store that runs, with the schema in it."""

    def __init__(self, settings: StoreSettings, writer: Client) -> None:
        self.settings = settings
        self._writer = writer

    def add(self, calls: Iterable[dict[str, Any]], attempts: Iterable[dict[str, Any]] | None = None) -> None:
        """Write rows; without attempts of their own every call has one that is the same."""
        rows = [CALL | call for call in calls]
        self.insert("calls", rows)
        self.insert("attempts", rows if attempts is None else [CALL | attempt for attempt in attempts])

    def run(self, sql: str) -> None:
        """Run a statement that gives nothing back."""
        self._writer.command(sql)

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Write rows as they are; what the table has no column for is left out."""
        known = {
            name
            for (name,) in self._writer.query(f"SELECT name FROM system.columns WHERE table = '{table}'").result_rows
        }
        lines = "\n".join(json.dumps({name: value for name, value in row.items() if name in known}) for row in rows)
        # Equal rows of two tests are two insertions.
        settings = {"async_insert": 0, "insert_deduplicate": 0, "max_partitions_per_insert_block": 0}
        if rows:
            self._writer.raw_insert(table, insert_block=lines.encode(), fmt="JSONEachRow", settings=settings)


@contextmanager
def running_store(folder: Path) -> Iterator[StoreSettings]:
    """The embedded store as a process of its own on a free port, empty."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = StoreSettings(url=f"http://127.0.0.1:{port}", user="writer", password="w", reader_password="r")
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=store,
        data_dir=folder,
        workers=1,
        providers=(),
    )
    for part in (settings.run_dir, settings.store_dir):
        part.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "proxy", "_child", "store", "--slot", "0"]
    log = (folder / "store.log").open("wb")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    try:
        process.stdin.write(to_json(settings) + b"\n")
        process.stdin.flush()
        said = process.stdout.readline()
        if said != b"ready\n":
            raise RuntimeError((folder / "store.log").read_text())
        yield store
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
        log.close()


@contextmanager
def report_store(folder: Path) -> Iterator[ReportStore]:
    """A store with the schema and no rows."""
    with running_store(folder) as settings:
        ensure_database(_writer(settings), settings.database)
        writer = _writer(settings, database=settings.database)
        migrate(writer)
        yield ReportStore(settings, writer)
        writer.close()


def _writer(settings: StoreSettings, database: str = "default") -> Client:
    host, _, port = settings.url.removeprefix("http://").partition(":")
    return clickhouse_connect.get_client(
        host=host, port=int(port), username=settings.user, password=settings.password, database=database,
        autogenerate_session_id=False,
    )  # fmt: skip
