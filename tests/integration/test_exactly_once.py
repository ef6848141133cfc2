"""Whatever is killed, whenever: every call that was told to be written is in the store, and none is there twice."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import pytest

from exporters.journal.names import new_instance, parse_open
from exporters.schema.lock import LEASE_S
from exporters.schema.rollups import differing
from proxy.settings import to_json
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import call_id
from tests.fakes.until import comes_true

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
SEGMENT_BYTES = 20_000
PATIENCE_S = LEASE_S + 30.0
"""A recorder that is killed while it looks after the schema keeps the next one waiting for a lease."""
ROUNDS = int(os.environ.get("TAXIMETER_FAULT_ROUNDS", "8"))
"""How often something is killed; more of them by the environment, for a long run."""


class Process:
    """One of our processes, by module."""

    def __init__(self, module, *arguments, stdin=b""):
        command = [sys.executable, "-m", f"tests.fakes.{module}", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._process.stdin.write(stdin)
        self._process.stdin.close()

    def line(self):
        return self._process.stdout.readline()

    def end(self, sign=signal.SIGKILL):
        """End it and give what it had said."""
        self._process.send_signal(sign)
        said = self._process.stdout.read()
        self._process.wait(timeout=PATIENCE_S)
        self._process.stdout.close()
        return said


class Whole:
    """A store, a recorder and writers, each of which can be killed and started again."""

    def __init__(self, store, settings=None):
        self.store = store
        self.settings = settings or store.settings
        self.told = set()
        self._next = 1
        self._writer = self._recorder = None

    def start_recorder(self):
        self._recorder = Process("recorder_process", stdin=to_json(self.settings) + b"\n")

    def kill_recorder(self, sign=signal.SIGKILL):
        self._recorder.end(sign)

    def start_writer(self, segment_bytes=SEGMENT_BYTES, pause_s=0.003):
        # Numbers far from those of the writer before, so that its calls can be told apart.
        self._first, self._next = self._next, self._next + 10**7
        self._instance = new_instance("w")
        self._writer = Process(
            "journal_process", self.settings.journal_dir, self._instance, segment_bytes, self._first, pause_s
        )

    def kill_writer(self, sign=signal.SIGKILL):
        numbers = self._writer.end(sign).split()
        if numbers:
            # A last line may be cut short by the kill: the one before is safe.
            last = int(numbers[-1] if sign == signal.SIGTERM else numbers[-2] if len(numbers) > 1 else self._first - 1)
            self.told.update(range(self._first, last + 1))

    def recorded(self, client):
        """(rows, different) of both tables, and the finished calls that are not there."""
        counts = client.query(
            "SELECT (SELECT (count(), uniqExact(call_id)) FROM calls), "
            "(SELECT (count(), uniqExact(call_id, attempt)) FROM attempts)"
        ).result_rows[0]
        there = {row[0] for row in client.query("SELECT call_id FROM calls WHERE outcome = 'ok'").result_rows}
        return counts, {number for number in self.told if call_id(number) not in there}

    def _left(self):
        return set(self.settings.journal_dir.glob("[!.]*/*"))

    def write_on(self, segments, more_bytes=0):
        """Wait until the writer is so many segments further, and so far into that one."""
        number, _ = self._written()
        assert comes_true(lambda: self._written() >= (number + segments, more_bytes), PATIENCE_S)

    def _written(self):
        """Number and size of the segment that is being written; of none at the moment between two."""
        found = [(0, 0)]
        for path in (self.settings.journal_dir / self._instance).glob("*"):
            number = parse_open(path.name)
            with suppress(FileNotFoundError):  # sealed since
                if number is not None:
                    found.append((number, path.stat().st_size))
        return max(found)

    def settle(self):
        """Wait until everything is in the store; what is in it then, and the days whose roll-ups are not their rows."""
        left = self._left()
        while left:
            before = left
            assert comes_true(lambda before=before: self._left() != before, PATIENCE_S), "the journal does not shrink"
            left = self._left()
        client = self.store.client()
        try:
            days = [row[0] for row in client.query("SELECT DISTINCT toDate(started_at) FROM calls").result_rows]
            return *self.recorded(client), differing(client, days)
        finally:
            client.close()


def assert_exact(whole):
    ((calls, different_calls), (attempts, different_attempts)), missing, differing_days = whole.settle()
    assert missing == set()
    assert differing_days == {}
    assert calls == different_calls >= len(whole.told) > 0
    assert attempts == different_attempts
    assert different_attempts == different_calls


def test_a_recorder_killed_at_random_instants_loses_and_doubles_nothing(tmp_path):
    dice = random.Random(4)
    with embedded_store(tmp_path) as store:
        whole = Whole(store)
        whole.start_writer()
        for _ in range(ROUNDS):
            whole.start_recorder()
            whole._recorder.line()
            whole.write_on(dice.randint(0, 5), dice.randint(0, SEGMENT_BYTES))
            whole.kill_recorder()
        whole.kill_writer(signal.SIGTERM)
        whole.start_recorder()
        assert_exact(whole)
        whole.kill_recorder(signal.SIGTERM)


def test_everything_killed_at_random_instants_loses_and_doubles_nothing(tmp_path):
    dice = random.Random(5)
    with embedded_store(tmp_path) as store:
        whole = Whole(store)
        whole.start_recorder()
        whole.start_writer()
        for _ in range(ROUNDS):
            whole.write_on(dice.randint(0, 5), dice.randint(1, SEGMENT_BYTES))
            victims = dice.sample(["writer", "recorder", "store"], dice.choice([1, 1, 2, 3]))
            for victim in victims:
                {"writer": whole.kill_writer, "recorder": whole.kill_recorder, "store": store.kill}[victim]()
            for victim in victims:
                {"writer": whole.start_writer, "recorder": whole.start_recorder, "store": store.start}[victim]()
        whole.kill_writer()
        assert_exact(whole)
        whole.kill_recorder(signal.SIGTERM)


def test_a_store_that_is_down_for_a_while_gets_everything_when_it_is_up_again(tmp_path):
    with embedded_store(tmp_path) as store:
        whole = Whole(store)
        whole.start_recorder()
        whole.start_writer()
        whole.write_on(5)
        store.kill()
        whole.write_on(20)
        whole.kill_writer(signal.SIGTERM)
        store.start()
        assert_exact(whole)
        whole.kill_recorder(signal.SIGTERM)


class LossyRelay:
    """Stands between recorder and store, and cuts connections: before, during and after a request was carried out."""

    def __init__(self, port, seed):
        self._port = port
        self._dice = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.cuts = {"request": 0, "answer": 0}
        self.lossy = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with ExitStack() as stack:
            stack.enter_context(client)
            try:
                store = stack.enter_context(socket.create_connection(("127.0.0.1", self._port)))
            except OSError:
                return
            back = threading.Thread(target=self._carry, args=(store, client, "answer"), daemon=True)
            back.start()
            self._carry(client, store, "request")
            back.join(timeout=PATIENCE_S)

    def _carry(self, source, target, kind):
        with suppress(OSError):
            while data := source.recv(65536):
                if self.lossy and self._dice.random() < 0.1:
                    self.cuts[kind] += 1
                    if kind == "request":
                        target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.close()


def test_answers_and_requests_that_are_cut_off_lose_and_double_nothing(tmp_path):
    with embedded_store(tmp_path) as store:
        relay = LossyRelay(int(store.settings.store.url.rpartition(":")[2]), seed=6)
        url = f"http://127.0.0.1:{relay.port}"
        through = msgspec.structs.replace(store.settings, store=msgspec.structs.replace(store.settings.store, url=url))
        whole = Whole(store, through)
        whole.start_recorder()
        whole.start_writer()
        assert comes_true(lambda: min(relay.cuts.values()) >= 5, PATIENCE_S)
        whole.kill_writer(signal.SIGTERM)
        relay.lossy = False
        assert_exact(whole)
        whole.kill_recorder(signal.SIGTERM)
        relay.close()
        assert min(relay.cuts.values()) >= 5
