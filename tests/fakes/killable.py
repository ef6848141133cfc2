"""A whole Taximeter whose processes are killed at will, one of them or all, and that is started again where need be."""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.fakes.until import until
from tests.fakes.whole import Whole, serving

_PATIENCE_S = 60.0
SUPERVISOR = "supervisor"
CHILDREN = "children"
"""All processes but the supervisor."""
EVERYTHING = "everything"


class Killable:
    """One that serves, again and again, from the same folder."""

    def __init__(
        self, folder: Path, config: str, stack: AsyncExitStack, *, stderr: int | None = None, path: str = ""
    ) -> None:
        self.folder = folder
        self.kills: list[tuple[float, str]] = []
        """Unix time and name of everything that was killed."""
        self._config = config
        self._stack = stack
        self._stderr = stderr
        self._path = path
        self._whole: Whole | None = None

    @property
    def whole(self) -> Whole:
        """The one that runs, or ran last."""
        assert self._whole is not None
        return self._whole

    async def start(self) -> None:
        """Start it; a former one must be gone."""
        running = serving(self.folder, config=self._config, stderr=self._stderr, path=self._path)
        self._whole = await self._stack.enter_async_context(running)

    async def kill(self, name: str, between: Callable[[], None] | None = None) -> None:
        """Kill -9 a child by its name, CHILDREN, SUPERVISOR or EVERYTHING; what nobody would start again is started.

        A child that is not there just now, since it was killed before, is passed over. `between` is done while
        everything is dead.
        """
        children = {child["name"]: child["pid"] for child in self.whole.state["processes"]}
        if name in children:
            pids = [children[name]]
        else:
            pids = [] if name == CHILDREN else [self.whole.process.pid]
            pids += [] if name == SUPERVISOR else children.values()
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills.append((time.time(), name))
        if name in {SUPERVISOR, EVERYTHING}:
            await self.whole.ends()
            if between:
                between()
            await self.start()

    async def recovered(self) -> None:
        """Wait until everything that was killed runs again."""
        await until(self._runs, limit_s=_PATIENCE_S)

    def _runs(self) -> bool:
        processes = self.whole.state["processes"]
        return all(child["state"] == "ready" and _lives(child["pid"]) for child in processes)


def _lives(pid: int) -> bool:
    """Whether it runs; a zombie is one that its supervisor has not yet looked at."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


@asynccontextmanager
async def killable(folder: Path, config: str, *, stderr: int | None = None, path: str = "") -> AsyncIterator[Killable]:
    """One that serves until the block ends, whatever is done to it in between; the rest is as of `serving`."""
    async with AsyncExitStack() as stack:
        taximeter = Killable(folder, config, stack, stderr=stderr, path=path)
        await taximeter.start()
        yield taximeter
