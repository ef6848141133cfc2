"""A real store as a process: one for the whole run for what only asks, a fresh one for what breaks things."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from proxy.settings import Listen, Settings, StoreSettings, to_json
from tests.fakes.until import comes_true

REPO = Path(__file__).parents[3]
USER, PASSWORD = "meter", "s3cret"
READER, READER_PASSWORD = "reader", "only-eyes"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    is_whole: bool

    @property
    def text(self):
        return self.body.decode().removesuffix("\n")

    @property
    def code(self):
        return int(self.headers.get("X-ClickHouse-Exception-Code", 0))

    @property
    def summary(self):
        return json.loads(self.headers["X-ClickHouse-Summary"])


class Client:
    """Plain HTTP with one user's name and password."""

    def __init__(self, port, user=USER, password=PASSWORD):
        self.port = port
        self.user, self.password = user, password
        self.login = {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}

    def ask(self, body=b"", method="POST", path="/", headers=None, login=True, **params):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        target = path + ("?" + urlencode(params) if params else "")
        body = body.encode() if isinstance(body, str) else body
        connection.request(method, target, body, {**(self.login if login else {}), **(headers or {})})
        response = connection.getresponse()
        try:
            content, is_whole = response.read(), True
        except http.client.IncompleteRead as error:
            content, is_whole = error.partial, False
        connection.close()
        return Answer(response.status, response.headers, content, is_whole)

    def sql(self, query, /, **params):
        """The result of a query that must work, as text."""
        answer = self.ask(query, **params)
        assert answer.status == 200, answer.body
        return answer.text

    def insert(self, table, lines, **params):
        return self.ask(lines, query=f"INSERT INTO {table} FORMAT JSONEachRow", **params)


class Process:
    """A store process."""

    def __init__(self, folder, port, wait_s=30.0, **changes):
        listen = Listen("127.0.0.1", 1)
        store = StoreSettings(
            url=f"http://127.0.0.1:{port}",
            user=USER,
            password=PASSWORD,
            reader_user=READER,
            reader_password=READER_PASSWORD,
            **{"max_memory_bytes": 1 << 30, **changes},
        )
        settings = Settings(
            listen=listen, admin=listen, store=store, data_dir=folder, workers=1, providers=(), shutdown_grace_s=3.0
        )
        self.port, self.folder = port, folder
        self.popen = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), str(wait_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        self.popen.stdin.write(to_json(settings) + b"\n")
        self.popen.stdin.flush()
        self.said = []

    def until_ready(self):
        self.until("ready")
        return self

    def until(self, word):
        """Read what the process says until a line has the word in it; fails when it ends before."""
        for line in self.popen.stdout:
            self.said.append(line.decode())
            if word in self.said[-1]:
                return self.said[-1]
        raise AssertionError(f"ended without {word!r}: {''.join(self.said)}")

    def stop(self, signal_number=signal.SIGTERM):
        self.popen.send_signal(signal_number)
        self.said += [line.decode() for line in self.popen.stdout]
        return self.popen.wait(timeout=30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("store"), free_port()).until_ready()
    yield process
    process.stop()


@pytest.fixture
def eventually():
    """Wait until something is so, and tell whether it ever was."""

    return comes_true


@pytest.fixture
def make_client():
    return Client


@pytest.fixture
def client(store):
    return Client(store.port)


@pytest.fixture
def reader(store):
    return Client(store.port, READER, READER_PASSWORD)


@pytest.fixture
def table(client, request):
    """A name for a table of this test alone, dropped at its end."""
    name = f"{request.node.originalname}"[:60]
    yield name
    client.sql(f"DROP TABLE IF EXISTS {name} SYNC")


@pytest.fixture
def start(tmp_path):
    """Start more stores, by default all over the same folder; what still runs is killed at the end."""
    started = []

    @contextmanager
    def stopped_at_end():
        try:
            yield
        finally:
            for process in started:
                if process.popen.poll() is None:
                    process.popen.kill()
                    process.popen.wait()
                process.popen.stdout.close()

    def begin(folder=tmp_path, port=None, **more):
        started.append(Process(folder, port or free_port(), **more))
        return started[-1]

    with stopped_at_end():
        yield begin
