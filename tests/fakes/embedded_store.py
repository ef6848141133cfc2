"""The embedded store as a process of its own, that tests start, kill and start again.

`python -m tests.fakes.embedded_store` is that process: settings on stdin, `ready` on stdout.
"""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickhouse_connect.driver.client import Client

from exporters.clickhouse.client import connect
from exporters.store.server import serve_store
from proxy.settings import Listen, Settings, StoreSettings, from_json, to_json

ROOT = Path(__file__).parents[2]


class EmbeddedStore:
    """A store on a fixed port over one data folder."""

    def __init__(self, data_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.settings = Settings(
            listen=Listen("127.0.0.1", 0),
            admin=Listen("127.0.0.1", 0),
            store=StoreSettings(
                url=f"http://127.0.0.1:{port}", user="taximeter", password="secret", reader_password="look"
            ),
            data_dir=data_dir,
            workers=1,
            providers=(),
            shutdown_grace_s=20.0,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "tests.fakes.embedded_store"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(to_json(self.settings) + b"\n")
        self._process.stdin.close()
        while self._process.stdout.readline() not in {b"ready\n", b""}:
            pass

    def kill(self) -> None:
        """As the kernel would."""
        assert self._process
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """As a supervisor would."""
        if self._process:
            self._process.terminate()
            self._end()

    def wait(self) -> None:
        """Until somebody else has ended it."""
        assert self._process
        self._end()

    def _end(self) -> None:
        assert self._process
        assert self._process.stdout
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self._process = None

    def client(self, database: str | None = None) -> Client:
        """A connection, to our own database unless another is named."""
        return connect(self.settings.store, database=database or self.settings.store.database)


@contextmanager
def embedded_store(data_dir: Path) -> Iterator[EmbeddedStore]:
    """A store that runs until the block ends."""
    store = EmbeddedStore(data_dir)
    store.start()
    try:
        yield store
    finally:
        store.stop()


async def _main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = from_json(sys.stdin.buffer.readline())

    def say_ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    await serve_store(settings, stop, say_ready)


if __name__ == "__main__":
    asyncio.run(_main())
