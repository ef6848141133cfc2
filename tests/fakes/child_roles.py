"""A child of the supervisor with simple roles, started as a program: `child_roles.py ROLE --slot N`.

It obeys the real protocol (`proxy.child`) and writes what happens to it into a file of its own in the data folder.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from proxy.child import CannotServeError, live, read_settings
from proxy.logs import configure
from proxy.settings import Settings


def _note(settings: Settings, what: str) -> None:
    role, slot = sys.argv[1], sys.argv[3]
    with (settings.data_dir / f"{role}-{slot}.txt").open("a") as file:
        file.write(f"{what}\n")
    # One order of events for all children together.
    with (settings.data_dir / "all.txt").open("a") as file:
        file.write(f"{role} {what}\n")


async def _steady(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    _note(settings, f"ready {os.getpid()}")
    on_ready()
    await stop.wait()
    _note(settings, "drained")


async def _stubborn(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    on_ready()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        _note(settings, "cancelled")
        raise


async def _deaf(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    on_ready()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            _note(settings, "heard nothing")


async def _doomed(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    _note(settings, "tried")
    raise RuntimeError("doomed")


async def _unable(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    _note(settings, "tried")
    raise CannotServeError("the port\nis taken")


async def _healing(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    if not (settings.data_dir / "healed").exists():
        raise CannotServeError("not healed yet")
    await _steady(settings, slot, stop, on_ready)


async def _noisy(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    sys.stdout.write("x" * 300_000 + "\nnot the word\n")
    sys.stdout.flush()
    on_ready()
    await stop.wait()


ROLES = {"steady": _steady, "late": _steady, "stubborn": _stubborn, "deaf": _deaf, "doomed": _doomed, "noisy": _noisy}
ROLES |= {"unable": _unable, "healing": _healing}


def main() -> int:
    configure(sys.argv[1])
    settings = read_settings()
    Path(settings.data_dir).mkdir(exist_ok=True)
    return live(ROLES[sys.argv[1]], settings, int(sys.argv[3]))


if __name__ == "__main__":
    sys.exit(main())
