"""The real process of a worker, with its real journal, on a port of its own: to be attacked, measured and read."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from proxy.core.record import CallRecord, JournalLine, LossRecord, OpenRecord
from proxy.settings import Listen, ProviderSettings, Settings, StoreSettings, to_json
from tests.fakes.until import until

ROOT = Path(__file__).resolve().parents[2]
_READ_LINE = msgspec.json.Decoder(CallRecord | OpenRecord | LossRecord).decode
_PATIENCE_S = 30.0


class WorkerProcess:
    """A worker that runs, as it looks from outside."""

    def __init__(self, process: subprocess.Popen[bytes], settings: Settings) -> None:
        self.port = settings.listen.port
        self.url = settings.listen.url
        self.idle_sockets = 0
        """What it has open when nothing is asked of it."""
        self._process = process
        self._settings = settings

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of an app."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send bytes and give back all that comes until the worker closes; a reset ends the answer, too."""
        reader, writer = await self.connect()
        answer = b""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                for piece in pieces:
                    writer.write(piece)
                while data := await reader.read(1 << 20):
                    answer += data
        except ConnectionError:
            pass
        finally:
            writer.close()
        return answer

    # what the kernel says of it

    @property
    def alive(self) -> bool:
        """Whether it is the process that was started."""
        return self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        """Memory it holds now."""
        return self._status("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most it held since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """From here on the peak is counted anew."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    @property
    def sockets(self) -> int:
        """How many it has open, the listening one included."""
        count = 0
        for link in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                count += str(link.readlink()).startswith("socket:")
        return count

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024

    # what it wrote

    def lines(self) -> list[JournalLine]:
        """Everything that stands in its journal by now."""
        found: list[JournalLine] = []
        for path in sorted(self._settings.journal_dir.glob("worker-*/*[0-9a-f].*")):
            # A segment may be sealed, and so renamed, between the look and the read.
            sealed = path if path.exists() else next(path.parent.glob(f"{path.stem}-*.jsonl"))
            data = sealed.read_bytes()
            found += [_READ_LINE(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        return found

    def calls(self) -> list[CallRecord]:
        """The finished ones."""
        return [line for line in self.lines() if isinstance(line, CallRecord)]

    async def ended(self, call_id: str) -> CallRecord:
        """The record of a call, once it stands in the journal."""
        return await self._found(lambda call: call.call_id == call_id)

    async def ended_of(self, session: str) -> CallRecord:
        """The record of the first call of a session, likewise."""
        return await self._found(lambda call: call.caller.session == session)

    async def _found(self, wanted: Callable[[CallRecord], bool]) -> CallRecord:
        found: list[CallRecord] = []

        def look() -> bool:
            found.extend(filter(wanted, self.calls()))
            return bool(found)

        await until(look)
        return found[0]

    async def lost(self, reason: str) -> None:
        """Wait until a loss of this reason stands in the journal."""
        await until(lambda: self.losses()[reason])

    def losses(self) -> Counter[str]:
        """What was lost or not understood, by reason."""
        counts: Counter[str] = Counter()
        for line in self.lines():
            if isinstance(line, LossRecord):
                counts.update(line.counts)
        return counts

    def log(self) -> list[dict[str, Any]]:
        """What it said of itself on stderr; a line that is no JSON is an event of its own."""
        lines = (self._settings.data_dir / "stderr").read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"event": line} for line in lines]

    # its end

    def stop(self) -> None:
        """Drain it as a supervisor would, and see that it goes well."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def worker_process(folder: Path, *providers: ProviderSettings, **more: object) -> Iterator[WorkerProcess]:
    """A worker for these providers that runs until the block ends; `more` are fields of `Settings`.

    At the end it must be alive, must have no call under way, and must have had nothing to complain of.
    """
    with socket.socket() as held:
        # Holds the number of the port, not the port: only who listens gets connections.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        settings = Settings(
            listen=Listen("127.0.0.1", held.getsockname()[1]),
            admin=Listen("127.0.0.1", 0),
            store=StoreSettings(url="http://127.0.0.1:1", user="", password=""),
            data_dir=folder,
            workers=1,
            providers=providers,
            shutdown_grace_s=1.0,
            **more,  # type: ignore[arg-type]
        )
        settings.run_dir.mkdir(parents=True)
        command = [sys.executable, "-P", "-m", "proxy", "_child", "worker", "--slot", "0"]
        with (
            (folder / "stderr").open("wb") as stderr,
            subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            ) as process,
        ):
            assert process.stdin
            assert process.stdout
            process.stdin.write(to_json(settings) + b"\n")
            process.stdin.flush()
            worker = WorkerProcess(process, settings)
            try:
                assert process.stdout.readline() == b"ready\n", (folder / "stderr").read_text()
                worker.idle_sockets = worker.sockets
                yield worker
                assert worker.alive
            finally:
                worker.stop()
        assert process.returncode == 0
        (draining,) = worker.log()
        assert (draining["event"], draining["calls"]) == ("draining", 0)
