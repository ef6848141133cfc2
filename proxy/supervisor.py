"""Starts the processes of a Taximeter, restarts what dies, and ends them in order.

It does none of the work itself, so that it has no reason to die: it holds the pipes. A child sees the end of its stdin
when the supervisor is gone, whatever took it, and drains.
"""

import asyncio
import contextlib
import os
import signal
import site
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog

from proxy.child import CANNOT, HURRY, READY
from proxy.settings import Settings, to_json

State = Literal["starting", "ready", "waiting", "stopping", "ended"]

CHILD_COMMAND = (sys.executable, "-P", "-m", "proxy", "_child")
"""How a child is started; its role and slot follow. `-P`: a folder `proxy` where the operator stands is not us."""

_READER_LIMIT_BYTES = 64 * 1024
_NOT_STARTED = 127
_PASSED_ON = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"}
)
_PASSED_ON_PREFIXES = ("LC_", "PYTHON", "MALLOC_", "OPENBLAS_", "OMP_")
"""What a process needs of its environment to run at all; nothing of it is a secret."""
"""The exit status noted for a child that could not even be started, as a shell would give it."""


class StartError(Exception):
    """A process did not come up; the message says which."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process to keep running."""

    role: str
    slot: int = 0
    stop_stage: int = 0
    """Children of a lower stage are ended first; those of one stage together."""
    needed: bool = True
    """Whether the start fails without it. Else the others serve, and it is tried again for ever."""
    stop_s: float = 20.0
    """How long it may take to end once told to; then it is killed."""

    @property
    def name(self) -> str:
        """`worker-0`, `recorder-0`: the name in logs and in `taximeter doctor`."""
        return f"{self.role}-{self.slot}"


@dataclass(frozen=True, slots=True)
class Pace:
    """The supervisor's patience, in seconds."""

    first_delay_s: float = 0.1
    most_delay_s: float = 10.0
    stable_s: float = 30.0
    """A child that was ready for so long starts over with the first delay when it dies."""
    ready_s: float = 60.0
    """A child that is not ready by then is killed and started again."""
    early_deaths: int = 3
    """So many deaths before the first readiness make the start fail."""
    hurry_s: float = 2.0
    """What is left of every `stop_s` after a second signal."""


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    state: State = "starting"
    process: Process | None = None
    started_at: float = 0.0
    deaths: int = 0
    last_exit: int | None = None
    why: str = ""
    """What it said itself of why it cannot serve."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """The start need not wait for it: it was ready, or the others serve without it."""
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps the children of one data folder running. Use: `start`, wait for what you wait for, `stop`."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        settings_for: Callable[[str], Settings],
        *,
        on_change: Callable[[list[dict[str, Any]]], None] = lambda _: None,
        command: Sequence[str] = CHILD_COMMAND,
        pace: Pace | None = None,
    ) -> None:
        """`settings_for(role)` gives what a child is told; `on_change(processes)` hears of every change of state."""
        self._children = [_Child(spec) for spec in specs]
        self._settings_for = settings_for
        self._on_change = on_change
        self._command = tuple(command)
        self._pace = pace or Pace()
        self._stopping = False
        self._hurry = asyncio.Event()
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Start all at once and return when all are ready, but for those that are not needed and do not come up.

        Raises StartError when one that is needed cannot; `stop` is still due.
        """
        for child in self._children:
            child.keeper = asyncio.create_task(self._keep(child))
        await self._until(asyncio.gather(*(child.settled.wait() for child in self._children)))

    async def watch(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set. Raises what a keeper raised, should one ever fail."""
        await self._until(asyncio.ensure_future(stop.wait()))

    async def stop(self) -> None:
        """End the children stage by stage, each in its own time, and wait for them."""
        self._stopping = True
        for stage in sorted({child.spec.stop_stage for child in self._children}):
            await asyncio.gather(*(self._end(child) for child in self._children if child.spec.stop_stage == stage))

    def tell(self, role: str, number: signal.Signals) -> None:
        """Send a signal to every process of a role."""
        for child in self._children:
            if child.spec.role == role and child.process is not None and child.process.returncode is None:
                _signal(child.process, number)

    def hurry(self) -> None:
        """Shorten what is left of a stop: everybody is told again, and killed soon after."""
        self._hurry.set()

    def processes(self) -> list[dict[str, Any]]:
        """What runs, for people and for `doctor`: role, slot, pid, state, start (Unix seconds), deaths."""
        return [
            {
                "name": child.spec.name,
                "role": child.spec.role,
                "slot": child.spec.slot,
                "pid": child.process.pid if child.process and child.state not in {"waiting", "ended"} else None,
                "state": child.state,
                "started_at": child.started_at,
                "deaths": child.deaths,
                "last_exit": child.last_exit,
                "why": child.why,
            }
            for child in self._children
        ]

    async def _until(self, event: asyncio.Future[Any]) -> None:
        """Wait for the event, or for a keeper to give up: then raise its reason."""
        keepers = [child.keeper for child in self._children if child.keeper]
        try:
            await asyncio.wait([event, *keepers], return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            event.cancel()

    async def _keep(self, child: _Child) -> None:
        """Run a child over and over until the supervisor stops."""
        delay_s = self._pace.first_delay_s
        while not self._stopping:
            began = time.monotonic()
            try:
                status = await self._run_once(child)
            except OSError as error:  # the machine has no process, memory or file to give just now
                self._log.warning("process not started", child=child.spec.name, why=error.strerror)
                status = _NOT_STARTED
            if self._stopping:
                break
            child.deaths += 1
            child.last_exit = status
            self._log.warning("process ended", child=child.spec.name, status=status, deaths=child.deaths)
            if not child.settled.is_set() and (child.why or child.deaths >= self._pace.early_deaths):
                self._give_up_waiting(child, status)
            if time.monotonic() - began >= self._pace.stable_s:
                delay_s = self._pace.first_delay_s
            self._set(child, "waiting")
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self._pace.most_delay_s)
        self._set(child, "ended")

    def _give_up_waiting(self, child: _Child, status: int) -> None:
        """It does not come up. Raises StartError when it is needed."""
        if not child.spec.needed:
            child.settled.set()
            return
        self._set(child, "ended")
        if child.why:
            raise StartError(f"{child.spec.name}: {child.why}")
        raise StartError(f"{child.spec.name} ended {child.deaths} times before it was ready (status {status})")

    async def _run_once(self, child: _Child) -> int:
        """One life of a child: start it, note when it is ready, return its exit status (negative: the signal)."""
        child.process = process = await asyncio.create_subprocess_exec(
            *self._command,
            child.spec.role,
            "--slot",
            str(child.spec.slot),
            stdin=PIPE,
            stdout=PIPE,
            env=child_environment(os.environ),
            limit=_READER_LIMIT_BYTES,
        )
        child.started_at = time.time()
        self._set(child, "starting")
        if process.stdin:
            process.stdin.write(to_json(self._settings_for(child.spec.role)) + b"\n")
        impatient = asyncio.get_running_loop().call_later(self._pace.ready_s, _kill, process)
        try:
            await self._read_output(child, process, impatient)
            return await process.wait()
        finally:
            impatient.cancel()
            if process.stdin:
                process.stdin.close()

    async def _read_output(self, child: _Child, process: Process, impatient: asyncio.TimerHandle) -> None:
        """Read what a child prints until it closes its stdout, which it does when it ends."""
        while process.stdout:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line beyond the limit: not ours, and it was thrown away
                continue
            if not line:
                return
            if line.strip() == READY:
                impatient.cancel()
                child.settled.set()
                child.why = ""
                if not self._stopping:
                    self._set(child, "ready")
            elif line.startswith(CANNOT):
                child.why = line.removeprefix(CANNOT).decode("utf-8", "replace").strip()

    async def _end(self, child: _Child) -> None:
        if child.keeper is None:
            return
        process = child.process
        if process is None or process.returncode is not None:
            child.keeper.cancel()  # it sleeps between two lives, or gave up
        else:
            self._set(child, "stopping")
            await self._terminate(child, process)
        with contextlib.suppress(asyncio.CancelledError, StartError):
            await child.keeper
        self._set(child, "ended")

    async def _terminate(self, child: _Child, process: Process) -> None:
        waiting = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            _signal(process, signal.SIGTERM)
            await asyncio.wait([waiting, hurried], timeout=child.spec.stop_s, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and hurried.done():
                _signal(process, HURRY)
                await asyncio.wait([waiting], timeout=self._pace.hurry_s)
            if not waiting.done():
                self._log.warning("process killed, it did not end in time", child=child.spec.name)
                _kill(process)
            await waiting
        finally:
            hurried.cancel()

    def _set(self, child: _Child, state: State) -> None:
        child.state = state
        self._on_change(self.processes())


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _kill(process: Process) -> None:
    _signal(process, signal.SIGKILL)


def child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a child needs of our environment, and the way to this very code where nobody installed it.

    Keys stand in environments; a child gets those that are its business by pipe, and no others.
    """
    kept = {name: value for name, value in ours.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)}
    root = str(Path(__file__).resolve().parent.parent)
    if root in {*site.getsitepackages(), site.getusersitepackages()}:
        return kept
    paths = [root, *filter(None, ours.get("PYTHONPATH", "").split(os.pathsep))]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}
