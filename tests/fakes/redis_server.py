"""A real Redis for tests, on a free port, gone with the test."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.fakes.certificates import Pair

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
WHY_NOT = "redis-server is not installed (Debian package redis-server)"
_PATIENCE_S = 10.0


class RedisServer:
    """A running server; it can be stopped and started again on the same port.

    Args:
        folder: Where it keeps what it keeps: nothing, unless the options say so.
        options: Of its command line.
        tls: Its certificate; None: it speaks plain.
    """

    def __init__(self, folder: Path, *options: str, tls: Pair | None = None) -> None:
        self.folder = folder
        self.port = _free_port()
        self._tls = tls
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As `ledger.url` names it."""
        return f"{'redis' if self._tls is None else 'rediss'}://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if PROGRAM is None:
            raise FileNotFoundError(WHY_NOT)
        ports = ["--port", str(self.port)]
        if self._tls is not None:
            ports = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            ports += ["--tls-cert-file", self._tls.cert, "--tls-key-file", self._tls.key]
            ports += ["--tls-ca-cert-file", self._tls.cert]
        self._process = subprocess.Popen(
            [PROGRAM, *ports, "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + _PATIENCE_S
        client = redis.Redis(port=self.port, ssl=self._tls is not None, ssl_cert_reqs="none")
        while True:
            try:
                client.ping()
            except redis.AuthenticationError:
                return  # it answers, and wants a password
            except redis.ConnectionError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)
            else:
                client.close()
                return

    def stop(self) -> None:
        """Kill it: what it has not written is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path, *options: str, tls: Pair | None = None) -> Iterator[RedisServer]:
    """A server for the length of a test or a session."""
    server = RedisServer(folder, *options, tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    """One that has a port 10,000 above it, which a node of a cluster listens on too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port
