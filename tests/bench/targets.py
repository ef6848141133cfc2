"""What is measured: the mock itself, nginx in front of it, Taximeter in front of it."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import Cores, children, hold_still, let_run, make_least_urgent, resident_kib
from tests.bench.tools import BenchError

START_TIMEOUT_S = 60.0
MOST_STREAMS = 16384

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 4096; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
_TAXIMETER = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
data_dir: {folder}/data
workers: 1
builtin_providers: false
store: {{listen: "127.0.0.1:0"}}
providers:
  bench:
    kind: openai
    base_url: http://127.0.0.1:{mock}
    max_connections: {connections}
"""
"""Metering, journal, recorder and store on, everything else as it comes."""


@dataclass(frozen=True)
class Target:
    """One of those that are compared."""

    name: str
    address: str
    """`127.0.0.1:PORT`, with the prefix of the path where it has one."""
    measured: tuple[int, ...] = ()
    """The processes whose CPU time and memory count."""
    all: tuple[int, ...] = ()
    """Every process of it, to be held still while another is measured."""
    idle_kib: int = 0
    """Resident memory of the measured processes before the first call."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run for the length of the block; outside of it, it is held still."""
        let_run(self.all)
        try:
            yield
        finally:
            hold_still(self.all)


def direct(mock_port: int) -> Target:
    """The mock provider with nothing in front of it."""
    return Target("direct", f"127.0.0.1:{mock_port}")


@contextmanager
def nginx(mock_port: int, folder: Path, cores: Cores) -> Iterator[Target]:
    """nginx with one worker, as lean as a proxy for streams can be."""
    folder.mkdir()
    port = _free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, mock=mock_port, connections=2 * MOST_STREAMS))
    # The folder of the error log is asked for before the configuration is read, hence -e.
    command = ["nginx", "-e", str(folder / "error.log"), "-c", str(config)]
    with _process(command, folder / "out.log") as process:
        _until("nginx", lambda: _answers(port), process, folder / "error.log")
        workers = tuple(children(process.pid))
        for worker in workers:
            cores.pin_to_proxy(worker)
        with _frozen(Target("nginx", f"127.0.0.1:{port}", workers, (process.pid, *workers), _idle(workers))) as target:
            yield target


def nginx_is_installed() -> bool:
    """Whether there is an nginx to compare with."""
    return shutil.which("nginx") is not None


@contextmanager
def taximeter(mock_port: int, folder: Path, cores: Cores) -> Iterator[Target]:
    """Taximeter with one worker on the proxy's core; its other processes get what mock and load generator leave."""
    folder.mkdir()
    config = folder / "taximeter.yaml"
    config.write_text(_TAXIMETER.format(folder=folder, mock=mock_port, connections=MOST_STREAMS))
    command = [sys.executable, "-P", "-m", "proxy", "serve", "--config", str(config)]
    log, state_file = folder / "out.log", folder / "data" / "run" / "state.json"
    with _process(command, log) as process:
        _until("taximeter", lambda: _all_ready(state_file), process, log)
        state = json.loads(state_file.read_text())
        workers = tuple(child["pid"] for child in state["processes"] if child["role"] == "worker")
        others = tuple(child["pid"] for child in state["processes"] if child["role"] != "worker")
        for worker in workers:
            cores.pin_to_proxy(worker)
        for other in (process.pid, *others):
            cores.pin_to_tools(other)
            make_least_urgent(other)
        address = f"127.0.0.1:{state['listen']['port']}/bench"
        with _frozen(Target("taximeter", address, workers, (process.pid, *workers, *others), _idle(workers))) as target:
            yield target


@contextmanager
def _frozen(target: Target) -> Iterator[Target]:
    """A target is held still until it is let run, and runs again when it is to be ended."""
    hold_still(target.all)
    try:
        yield target
    finally:
        let_run(target.all)


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(name: str, is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for something to become so. Raises BenchError when the process ends first, or it takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise BenchError(f"{name} did not start:\n{said}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _all_ready(state_file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        processes = json.loads(state_file.read_text())["processes"]
        return bool(processes) and all(child["state"] == "ready" for child in processes)
    return False


def _idle(pids: tuple[int, ...]) -> int:
    return sum(resident_kib(pid) for pid in pids)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
