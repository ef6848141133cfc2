"""`make bench-store`: a million calls through journal, recorder and embedded store, and every report from them.

A process writes the records of a synthetic month (`tests.fakes.synthetic`) into a journal as fast as it can, as workers
do; a recorder of the product prices them and ships them to a store of the product. What is measured: calls per second
from the first line written to the last row stored, CPU time and largest memory of each process, size on the disk, rows
against calls, and how long each report takes, its answer built included. Absolute figures are those of one machine on
one day.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from exporters.clickhouse.client import connect
from exporters.journal.names import new_instance
from exporters.journal.writer import Journal
from exporters.reports.answers import Reports
from exporters.reports.dimensions import parse_by, parse_where
from exporters.reports.period import parse_period
from exporters.reports.question import Question
from exporters.reports.store import StoreReader
from exporters.schema.rollups import differing
from proxy.settings import Listen, Settings, StoreSettings, to_json
from tests.bench.machine import describe, resident_kib
from tests.fakes.synthetic import synthetic_calls

ROOT = Path(__file__).parents[2]
CALLS = 1_000_000
BAR_S = 1.0
"""No report of a million calls may take longer."""
_SEEN_EVERY_S = 0.25
_PATIENCE_S = 30.0
_TICK_EVERY = 500
_NOW = datetime(2026, 11, 23, 13, 37, 11, 123_456, tzinfo=UTC)
"""An instant on the last day, as odd as any at which somebody asks."""

MONTH, WEEK, DAY = "2026-10-25", "7d", "24h"
QUESTIONS: dict[str, dict[str, Any]] = {
    "costs by model, month": {"name": "costs", "since": MONTH, "by": "model"},
    "costs by team and model, month": {"name": "costs", "since": MONTH, "by": "team,model"},
    "costs by user, month": {"name": "costs", "since": MONTH, "by": "user"},
    "costs by day, month": {"name": "costs", "since": MONTH, "by": "day"},
    "costs by day in Berlin, month": {"name": "costs", "since": MONTH, "by": "day", "tz": "Europe/Berlin"},
    "costs by user and day in Berlin, month": {"name": "costs", "since": MONTH, "by": "user,day", "tz": "Europe/Berlin"},
    "costs by hour, month": {"name": "costs", "since": MONTH, "by": "hour"},
    "costs by tag, month": {"name": "costs", "since": MONTH, "by": "tag:env"},
    "costs by session, dearest 1000, month": {"name": "costs", "since": MONTH, "by": "session", "limit": 1000},
    "costs by price, month": {"name": "costs", "since": MONTH, "by": "price_id"},
    "costs of a team by model, week": {"name": "costs", "since": WEEK, "by": "model", "where": ["team=support"]},
    "costs by everything, month": {"name": "costs", "since": MONTH, "by": "team,project,user,key_id,provider,model"},
    "calls, last 20, week": {"name": "calls", "since": WEEK, "limit": 20},
    "calls, last 1000, month": {"name": "calls", "since": MONTH, "limit": 1000},
    "calls, failed ones of a team, month": {
        "name": "calls", "since": MONTH, "limit": 50, "where": ["team=games", "outcome!=ok"],
    },
    "call by id, month": {"name": "calls", "since": MONTH, "limit": 20, "where": ["call_id="]},
    "calls of a user, month": {"name": "calls", "since": MONTH, "limit": 50, "where": ["user=jo"]},
    "providers, day": {"name": "providers", "since": DAY},
    "providers, month": {"name": "providers", "since": MONTH},
    "providers of a team, month": {"name": "providers", "since": MONTH, "where": ["team=search"]},
}  # fmt: skip
"""What is asked, in words, and the question; an empty `call_id=` is filled with an id that is there."""


@dataclass
class Seen:
    """What a process used."""

    cpu_s: float = 0.0
    resident_mib: float = 0.0
    """The most that was seen."""


@dataclass
class Watch:
    """Looks at processes while they run."""

    pids: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look until the block ends."""
        ended = threading.Event()
        looking = threading.Thread(target=self._look_until, args=(ended,))
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()

    def _look_until(self, ended: threading.Event) -> None:
        while not ended.wait(_SEEN_EVERY_S):
            self.look()

    def look(self) -> None:
        """Look once."""
        for name, pid in self.pids.items():
            seen = self.seen.setdefault(name, Seen())
            try:
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seen.cpu_s = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
                seen.resident_mib = max(seen.resident_mib, resident_kib(pid) / 1024)
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue  # it has ended, and what was seen of it stays


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Status 1: a call is missing or doubled, or a report took longer than the bar."""
    options = _options(arguments)
    if options.write_journal:
        _write_journal(options.write_journal, options.calls)
        return 0
    console = Console(width=None if sys.stdout.isatty() else 120)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taximeter-million-")))
        settings = _settings(folder)
        watch = Watch()
        store = stack.enter_context(_child("store", settings))
        watch.pids["store"] = store.pid
        document: dict[str, Any] = {"machine": describe(ROOT), "calls": options.calls}
        if not options.only_reports:
            document["ingest"] = _ingest(settings, options.calls, watch)
            _show_ingest(console, document["ingest"])
        document["disk"] = _disk(settings, settings.store_dir)
        _show_disk(console, document["disk"])
        with watch.running():
            document["reports"] = _reports(settings, options.rounds)
        document["store_after_reports"] = vars(watch.seen["store"])
        _show_reports(console, document["reports"], watch.seen["store"])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    slow = [name for name, found in document["reports"].items() if found["median_s"] > BAR_S]
    wrong = document.get("ingest", {}).get("wrong", [])
    for line in [*wrong, *(f"{name} took longer than {BAR_S:g} s" for name in slow)]:
        console.print(line, style="red")
    return 1 if wrong or slow else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=CALLS, help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each report is asked for")
    parser.add_argument("--keep", type=Path, help="a folder for the data, which stays; else one that goes")
    parser.add_argument("--only-reports", action="store_true", help="of the data that an earlier --keep has left")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "million.json", help="where the figures go")
    parser.add_argument("--write-journal", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _settings(folder: Path) -> Settings:
    store, admin = _free_port(), _free_port()
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", admin),
        store=StoreSettings(url=f"http://127.0.0.1:{store}", user="taximeter", password="w", reader_password="r"),
        data_dir=folder,
        workers=1,
        providers=(),
        journal_keep_bytes=64 * 1024 * 1024,
    )
    for part in (settings.run_dir, settings.store_dir, settings.journal_dir):
        part.mkdir(parents=True, exist_ok=True)
    return settings


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _child(role: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the product, from when it is ready until the block ends."""
    log = settings.run_dir / f"{role}.log"
    command = [sys.executable, "-P", "-m", "proxy", "_child", role, "--slot", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out)
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(to_json(settings) + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(log.read_text()[-2000:])
            yield process
        finally:
            process.stdin.close()
            process.wait(_PATIENCE_S)
            process.stdout.close()


def _write_journal(journal_dir: Path, count: int) -> None:
    """The part of a worker: a line for each call, as fast as it goes."""
    journal = Journal(journal_dir, new_instance("worker-0"))
    for number, call in enumerate(synthetic_calls(count)):
        journal.close_call(call)
        if number % _TICK_EVERY == 0:
            journal.tick()
    journal.close()


def _ingest(settings: Settings, count: int, watch: Watch) -> dict[str, Any]:
    """Write and ship so many calls; what that took, and what is not as it should be."""
    client = connect(settings.store)
    database = settings.store.database
    with _child("recorder", settings) as recorder, watch.running():
        watch.pids["recorder"] = recorder.pid
        command = [sys.executable, __file__, "--write-journal", str(settings.journal_dir), "--calls", str(count)]
        started_s = time.monotonic()
        writer = subprocess.Popen(command, cwd=ROOT)
        watch.pids["writer"] = writer.pid
        if writer.wait() != 0:
            raise RuntimeError("the journal could not be written")
        written_s = time.monotonic() - started_s
        while client.command(f"SELECT count() FROM {database}.calls") < count:
            if recorder.poll() is not None:
                raise RuntimeError("the recorder has ended")
            time.sleep(_SEEN_EVERY_S)
        stored_s = time.monotonic() - started_s
    rows = _rows(settings)
    return {
        "written_s": written_s,
        "stored_s": stored_s,
        "calls_per_s": count / stored_s,
        "processes": {name: vars(seen) for name, seen in watch.seen.items()},
        "rows": rows,
        "wrong": _wrong(rows, count),
    }


def _rows(settings: Settings) -> dict[str, int]:
    client = connect(settings.store, database=settings.store.database)
    (found,) = client.query(
        "SELECT (SELECT count() FROM calls), (SELECT uniqExact(call_id) FROM calls), "
        "(SELECT count() FROM attempts), (SELECT uniqExact(call_id, attempt) FROM attempts)"
    ).result_rows
    days = [day for (day,) in client.query("SELECT DISTINCT toDate(started_at) FROM calls").result_rows]
    names = ("calls", "different_calls", "attempts", "different_attempts", "differing_days")
    rows = dict(zip(names, (*found, len(differing(client, days))), strict=True))
    client.close()
    return rows


def _wrong(rows: dict[str, int], count: int) -> list[str]:
    wrong = []
    if not rows["calls"] == rows["different_calls"] == count:
        wrong.append(f"{count} calls became {rows['calls']} rows, {rows['different_calls']} of them different")
    if rows["attempts"] != rows["different_attempts"]:
        wrong.append(f"of {rows['attempts']} rows of attempts {rows['different_attempts']} are different")
    if rows["differing_days"]:
        wrong.append(f"the roll-ups of {rows['differing_days']} days are not the sums of their rows")
    return wrong


def _disk(settings: Settings, folder: Path) -> dict[str, Any]:
    client = connect(settings.store, database=settings.store.database)
    found = client.query(
        "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts "
        "WHERE active AND database = currentDatabase() GROUP BY table ORDER BY sum(bytes_on_disk) DESC"
    ).result_rows
    client.close()
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tables = {table: {"rows": rows, "bytes": size, "parts": parts} for table, rows, size, parts in found}
    return {"folder_bytes": total, "tables": tables}


def _reports(settings: Settings, rounds: int) -> dict[str, dict[str, float]]:
    """How long each question takes, from the words to the report."""
    reader = StoreReader(settings.store)
    reports = Reports(reader, lambda *_: None)
    client = connect(settings.store, database=settings.store.database)
    some_id = str(client.command("SELECT call_id FROM calls LIMIT 1 OFFSET 1000"))
    client.close()
    found = {}
    for name, asked in QUESTIONS.items():
        where = [f"call_id={some_id}" if text == "call_id=" else text for text in asked.get("where", ())]
        times = [_timed(lambda where=where, asked=asked: _ask(reports, asked, where)) for _ in range(rounds)]
        found[name] = {"median_s": statistics.median(times), "most_s": max(times)}
    reader.close()
    return found


def _ask(reports: Reports, asked: dict[str, Any], where: Sequence[str]) -> None:
    question = Question(
        period=parse_period(asked["since"], None, asked.get("tz", "UTC"), _NOW),
        by=parse_by(asked.get("by", "")),
        where=parse_where(where),
        limit=asked.get("limit"),
    )
    if not reports.answer(asked["name"], question).rows:
        raise RuntimeError(f"nothing was found: {asked}")


def _timed(work: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def _show_ingest(console: Console, ingest: dict[str, Any]) -> None:
    console.print(
        f"{ingest['rows']['calls']:,} calls with {ingest['rows']['attempts']:,} attempts: written in "
        f"{ingest['written_s']:.0f} s, stored after {ingest['stored_s']:.0f} s, {ingest['calls_per_s']:,.0f} calls/s"
    )
    table = Table("process", "CPU s", "CPU us/call", "most memory, MiB")
    for name, seen in ingest["processes"].items():
        per_call = seen["cpu_s"] / ingest["rows"]["calls"] * 1e6
        table.add_row(name, f"{seen['cpu_s']:.1f}", f"{per_call:.0f}", f"{seen['resident_mib']:.0f}")
    console.print(table)


def _show_disk(console: Console, disk: dict[str, Any]) -> None:
    table = Table("table", "rows", "MiB", "bytes/row", "parts")
    for name, one in disk["tables"].items():
        per_row = one["bytes"] / one["rows"] if one["rows"] else 0
        table.add_row(name, f"{one['rows']:,}", f"{one['bytes'] / 2**20:.1f}", f"{per_row:.0f}", str(one["parts"]))
    console.print(table, f"{disk['folder_bytes'] / 2**20:.0f} MiB in the store's folder")


def _show_reports(console: Console, reports: dict[str, dict[str, float]], store: Seen) -> None:
    table = Table("report", "median, ms", "most, ms")
    for name, found in reports.items():
        table.add_row(name, f"{found['median_s'] * 1000:.0f}", f"{found['most_s'] * 1000:.0f}")
    console.print(table, f"memory of the store while they ran: {store.resident_mib:.0f} MiB at most")


if __name__ == "__main__":
    sys.exit(main())
