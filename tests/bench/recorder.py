"""`make bench-recorder`: what the recorder costs per call, and how fast it catches up while calls go on.

A backlog lies in the journal when a recorder of the product starts; a writer goes on adding calls at a fixed rate, as a
worker does (an `open` and a `call` line each, a segment a second). The recorder ships all of it into an embedded store.
Measured: CPU time of the recorder per call shipped, while it catches up and after that, at the bare rate; how many calls
a second it ships while it catches up, as a multiple of the rate; its largest memory; and rows against calls.

CPU time and the multiple are what counts; both move with the machine, and with whoever else uses it.
"""

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

from exporters.clickhouse.client import connect
from exporters.journal.names import new_instance
from exporters.journal.writer import Journal
from exporters.recorder.state import State
from proxy.core.record import RECORD_VERSION, CallRecord, OpenRecord
from proxy.settings import Settings
from tests.bench.machine import describe
from tests.bench.million import Watch, _child, _rows, _settings, _wrong
from tests.fakes.synthetic import synthetic_calls

ROOT = Path(__file__).parents[2]
BACKLOG = 60_000
RATE_PER_S = 500
STEADY_S = 20.0
MOST_CPU_US = 120.0
LEAST_MULTIPLE = 5.0
_LOOK_S = 0.1
_SEGMENT_CALLS = 500
_CAUGHT_UP_S = 3.0
"""A call is in the store within so many seconds where nothing waits."""
_ENOUGH = 10_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Status 1: a bar is missed, or a call is missing or doubled."""
    options = _options(arguments)
    if options.write_journal:
        _write_at_rate(options.write_journal, options.skip, options.rate)
        return 0
    with tempfile.TemporaryDirectory(prefix="taximeter-recorder-") as folder:
        settings = _settings(Path(folder))
        _begin_memory(settings)
        _write_backlog(settings.journal_dir, options.backlog)
        watch = Watch()
        with _child("store", settings) as store:
            watch.pids["store"] = store.pid
            figures = _measure(settings, watch, options)
    figures["machine"] = describe(ROOT)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    console = Console(width=None if sys.stdout.isatty() else 120)
    _show(console, figures)
    for line in figures["wrong"]:
        console.print(line, style="red")
    return 1 if figures["wrong"] else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="calls that wait at the start")
    parser.add_argument("--rate", type=int, default=RATE_PER_S, help="calls a second that go on coming")
    parser.add_argument(
        "--steady", type=float, default=STEADY_S, help="seconds at the bare rate, after the catching up"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "recorder.json", help="where the figures go")
    parser.add_argument("--write-journal", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _opened(call: CallRecord) -> OpenRecord:
    return OpenRecord(
        v=RECORD_VERSION,
        call_id=call.call_id,
        started_at_ns=call.started_at_ns,
        trace=call.trace,
        caller=call.caller,
        provider=call.provider,
        dialect=call.dialect,
        operation=call.operation,
        method=call.method,
        path=call.path,
        model_requested=call.model_requested,
        request_bytes=call.request_bytes,
    )


def _begin_memory(settings: Settings) -> None:
    """A recorder was there before the backlog: one that has no memory of it would ask the store for every call."""
    state = State(settings.run_dir / "recorder.sqlite")
    state.begin({})
    state.close()


def _write_backlog(journal_dir: Path, count: int) -> None:
    journal = Journal(journal_dir, new_instance("worker-0"), segment_s=0.0)
    for number, call in enumerate(synthetic_calls(count), 1):
        journal.open_call(_opened(call))
        journal.close_call(call)
        if number % _SEGMENT_CALLS == 0:
            journal.tick()
    journal.close()


def _write_at_rate(journal_dir: Path, skip: int, rate: int) -> None:
    """Go on where the backlog ended, until stdin ends; tells how many calls were written."""
    calls = synthetic_calls(skip + _ENOUGH)
    for _ in range(skip):
        next(calls)
    journal = Journal(journal_dir, new_instance("worker-1"))
    _say("ready")
    sys.stdin.readline()
    started_s, written = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
        due = int((time.monotonic() - started_s) * rate)
        for _ in range(due - written):
            call = next(calls)
            journal.open_call(_opened(call))
            journal.close_call(call)
        written = due
        journal.tick()
    journal.close()
    _say(str(written))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Writer:
    """The process that goes on writing calls."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--write-journal", str(settings.journal_dir)]
        command += ["--skip", str(options.backlog), "--rate", str(options.rate)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._hear()

    def go(self) -> None:
        """Begin."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def stop(self) -> int:
        """End; how many calls it has written."""
        assert self._process.stdin
        self._process.stdin.close()
        written = int(self._hear())
        self._process.wait()
        return written

    def _hear(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def _measure(settings: Settings, watch: Watch, options: argparse.Namespace) -> dict[str, Any]:
    client = connect(settings.store)
    writer = Writer(settings, options)
    with _child("recorder", settings) as recorder, watch.running():
        watch.pids["recorder"] = recorder.pid
        # What it takes to start is no cost of a call.
        start = _Point.now(client, settings, watch)
        writer.go()
        while (now := _Point.now(client, settings, watch)).calls < options.backlog + options.rate * (
            now.at_s - start.at_s - _CAUGHT_UP_S
        ):
            time.sleep(_LOOK_S)
        caught_up = now
        time.sleep(options.steady)
        steady = _Point.now(client, settings, watch)
        count = options.backlog + writer.stop()
        while _Point.now(client, settings, watch).calls < count:
            time.sleep(_LOOK_S)
    client.close()
    catching_up, later = start.until(caught_up), caught_up.until(steady)
    multiple = catching_up["calls_per_s"] / options.rate
    wrong = _wrong(_rows(settings), count)
    if catching_up["cpu_us"] > MOST_CPU_US:
        wrong.append(f"{catching_up['cpu_us']:.0f} us of CPU for a call shipped, at most {MOST_CPU_US:.0f} are the bar")
    if multiple < LEAST_MULTIPLE:
        wrong.append(f"it catches up at {multiple:.1f} times the rate, {LEAST_MULTIPLE:g} times are the bar")
    return {
        "backlog": options.backlog,
        "rate_per_s": options.rate,
        "catching_up": catching_up,
        "multiple": multiple,
        "steady": later,
        "most_memory_mib": {name: seen.resident_mib for name, seen in watch.seen.items()},
        "wrong": wrong,
    }


@dataclass(frozen=True)
class _Point:
    """How far it was at one moment."""

    at_s: float
    calls: int
    cpu_s: float
    store_cpu_s: float

    @classmethod
    def now(cls, client: Client, settings: Settings, watch: Watch) -> "_Point":
        calls = _stored(client, settings)
        watch.look()
        seen = watch.seen
        return cls(time.monotonic(), calls, seen["recorder"].cpu_s, seen["store"].cpu_s)

    def until(self, other: "_Point") -> dict[str, float]:
        calls, took_s = other.calls - self.calls, other.at_s - self.at_s
        return {
            "calls": calls,
            "s": took_s,
            "calls_per_s": calls / took_s,
            "cpu_us": (other.cpu_s - self.cpu_s) / max(1, calls) * 1e6,
            "store_cpu_us": (other.store_cpu_s - self.store_cpu_s) / max(1, calls) * 1e6,
        }


def _stored(client: Client, settings: Settings) -> int:
    try:
        return int(client.command(f"SELECT count() FROM {settings.store.database}.calls"))
    except ClickHouseError:
        return 0  # the recorder makes the table


def _show(console: Console, figures: dict[str, Any]) -> None:
    table = Table("", "calls", "s", "calls/s", "CPU us/call", "the store's, us/call")
    for name in ("catching_up", "steady"):
        one = figures[name]
        table.add_row(
            name.replace("_", " "),
            f"{one['calls']:,}",
            f"{one['s']:.1f}",
            f"{one['calls_per_s']:,.0f}",
            f"{one['cpu_us']:.0f}",
            f"{one['store_cpu_us']:.0f}",
        )
    memory = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in figures["most_memory_mib"].items())
    console.print(table)
    own_core = 1e6 / figures["catching_up"]["cpu_us"] / figures["rate_per_s"]
    console.print(
        f"{figures['multiple']:.1f} times the rate of {figures['rate_per_s']:,} calls/s"
        f" ({own_core:.0f} times with a core of its own); most memory: {memory}"
    )


if __name__ == "__main__":
    sys.exit(main())
