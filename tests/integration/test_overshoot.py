"""The overshoot test of the ledger: processes that spend, kill -9 in between, and a recorder that books what is left.

The journals are the truth: what is spent by them and held by calls under way never exceeds a cap, at any instant that
a look falls on, and when all is booked the books say the same to the last digit. `OVERSHOOT_ROUNDS` and
`OVERSHOOT_SECONDS` make it longer; `make overshoot` does.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from policies.ledger.books import Page, Posting
from tests.fakes.redis_server import PROGRAM, WHY_NOT, running_redis
from tests.fakes.spending_worker import open_books

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("OVERSHOOT_ROUNDS", "1"))
SECONDS = float(os.environ.get("OVERSHOOT_SECONDS", "4"))
WORKERS = 4
WINDOW_S = 1.0
CAPS = {"org": 120_000_000, "team": 50_000_000, "short": 30_000_000}
"""Low enough to be reached: most of the calls of a round are refused."""

pytestmark = pytest.mark.real


class Process:
    """A worker and what the recorder knows of it."""

    def __init__(self, folder, where, name, seed):
        self.instance = f"worker-{uuid.uuid4().hex[:12]}"
        self.journal = folder / f"{self.instance}.lines"
        self.journal.touch()
        self.read_bytes = 0
        self.segment = 0
        self.open = {}
        order = {
            "instance": self.instance, "journal": str(self.journal), "books": where, "name": name, "seed": seed,
            "caps": CAPS, "window_s": WINDOW_S,
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.fakes.spending_worker", json.dumps(order)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def end(self):
        """Let it finish; what it counted."""
        said, _ = self.process.communicate(timeout=60)
        return json.loads(said)

    def new_lines(self):
        with self.journal.open("rb") as file:
            file.seek(self.read_bytes)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.read_bytes += len(whole)
        return [parsed(line) for line in whole.decode().splitlines()]


def parsed(line):
    kind, call, *draws = line.split(" ")
    return kind, call, {name: int(amount) for name, _, amount in (draw.rpartition("=") for draw in draws)}


class Recorder:
    """Books what the journals say, and closes the calls of the dead at what they held."""

    def __init__(self, books):
        self.books = books
        self.spent = {}

    def post(self, process, *, dead=False):
        sums = {}
        for kind, call, draws in process.new_lines():
            if kind == "open":
                process.open[call] = draws
                continue
            process.open.pop(call)
            add(sums, draws)
        if dead:
            for draws in process.open.values():
                add(sums, draws)
            process.open = {}
        if sums:
            process.segment += 1
            add(self.spent, sums)
            postings = tuple(Posting(name, "USD", amount, amount) for name, amount in sums.items())
            page = Page(process.instance, process.segment, postings)
            assert self.books.post([page], time.time_ns()) == 1
            assert self.books.post([page], time.time_ns()) == 0
        if dead:
            self.books.forget(process.instance)


def add(sums, draws):
    for name, amount in draws.items():
        sums[name] = sums.get(name, 0) + amount


def used(processes):
    """What is spent or held at one instant, by the journals: all processes stand still for it.

    Between the settling of a call and its line nothing else happens in a process, so nothing is counted twice.
    """
    alive = [process.process for process in processes if process.process.poll() is None]
    for one in alive:
        one.send_signal(signal.SIGSTOP)
    for one in alive:
        os.waitpid(one.pid, os.WUNTRACED)
    figures = {}
    for process in processes:
        calls = {call: draws for _, call, draws in map(parsed, process.journal.read_text().splitlines())}
        for draws in calls.values():
            add(figures, draws)
    for one in alive:
        one.send_signal(signal.SIGCONT)
    return figures


def over_its_cap(figures):
    caps = {name: CAPS[name.removeprefix("budget:").partition("|")[0].partition("@")[0]] for name in figures}
    return {name: amount for name, amount in figures.items() if amount > caps[name]}


def spend(folder, where, chance, report):
    """A round: workers spend, some are killed and others take their place, the recorder follows."""
    name = f"o{uuid.uuid4().hex}"
    recorder = Recorder(open_books(where, name))
    running = [Process(folder, where, name, chance.random()) for _ in range(WORKERS)]
    everybody, kills, looks, peak = list(running), 0, 0, 0.0
    until_s = time.monotonic() + SECONDS
    while time.monotonic() < until_s:
        time.sleep(0.1)
        for process in running:
            if chance.random() < 0.7:
                recorder.post(process)
        assert over_its_cap(recorder.spent) == {}
        figures = used(everybody)
        assert over_its_cap(figures) == {}
        peak = max(peak, figures.get("budget:org", 0) / CAPS["org"])
        looks += 1
        if chance.random() < 0.15:
            victim = running.pop(chance.randrange(len(running)))
            victim.kill()
            kills += 1
            recorder.post(victim, dead=True)
            running.append(Process(folder, where, name, chance.random()))
            everybody.append(running[-1])
    counts = [process.end() for process in running]
    for process in running:
        recorder.post(process, dead=True)

    books = {one.counter: (one.spent, one.leased) for one in recorder.books.recorded()}
    assert over_its_cap(used(everybody)) == {}
    assert {name: spent for name, (spent, _) in books.items() if spent} == {
        name: spent for name, spent in recorder.spent.items() if spent
    }
    assert {leased for _, leased in books.values()} == {0}
    recorder.books.close()
    calls = sum(path.read_text().count("open ") for path in folder.glob("*.lines"))
    refused = sum(one["refused"] for one in counts)
    report(f"{calls} calls admitted, {refused} refused by those that lived, {kills} kills, {len(books)} counters; ")
    report(f"spent and held at {looks} instants at most {peak:.4%} of the widest cap; books less journals 0\n")
    assert calls > 0
    assert {one["unavailable"] for one in counts} == {0}


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_no_cap_is_passed_on_a_file_and_the_books_are_the_journals(tmp_path, round_number, capsys):
    with capsys.disabled():
        spend(tmp_path, str(tmp_path / "ledger.sqlite"), random.Random(round_number), sys.stdout.write)


@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_no_cap_is_passed_on_redis_and_the_books_are_the_journals(tmp_path, round_number, capsys):
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server, capsys.disabled():
        spend(tmp_path, server.url, random.Random(1000 + round_number), sys.stdout.write)
