"""The life of a process that the supervisor started: settings by pipe, `ready` when it serves, drain when told to stop.

Protocol: one line of JSON settings on stdin, which then stays open; its end means that the supervisor is gone, and
counts as a request to stop. `ready` on stdout once the process serves, `cannot: ...` before it ends because it never
will. SIGTERM: drain and end. HURRY: end now; it has a signal of its own, as a second SIGTERM is not told apart from one
that still waits. SIGINT and SIGHUP are the supervisor's business: a terminal sends them to every process of the group.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from proxy.settings import Settings, from_json

Role = Callable[[Settings, int, asyncio.Event, Callable[[], None]], Coroutine[Any, Any, None]]
"""`role(settings, slot, stop, on_ready)`: serves until `stop` is set, then drains and returns."""

READY = b"ready"
"""The line on stdout that says that the process serves."""

CANNOT = b"cannot: "
"""How the line on stdout begins that says why it cannot serve as things are."""

HURRY = signal.SIGUSR1
"""Ends what is under way; only sent after SIGTERM."""

RELOAD = signal.SIGUSR2
"""The policies have changed; a process that has no use for them does not hear it."""

_STDIN = 0


class CannotServeError(Exception):
    """A role cannot serve as things are on this machine; the message is one sentence for the operator."""


def read_settings() -> Settings:
    """The settings from the first line of stdin. Raises msgspec.DecodeError when the line is none."""
    # Nothing follows the line, so the buffer of `sys.stdin` takes nothing that the loop waits for.
    return from_json(sys.stdin.buffer.readline())


def live(
    role: Role, settings: Settings, slot: int, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> int:
    """Run a role to its end; the exit status of the process. A crash is logged and gives 1, CannotServeError too."""
    for ignored in (signal.SIGINT, signal.SIGHUP, RELOAD):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(role, settings, slot))
    except asyncio.CancelledError:
        return 0
    except CannotServeError as error:
        structlog.get_logger().error("process cannot serve", slot=slot, why=str(error))
        _say(CANNOT + " ".join(str(error).split()).encode("utf-8", "replace"))
        return 1
    except Exception:  # noqa: BLE001 - the outermost frame of the process: nobody above could log it
        structlog.get_logger().exception("process crashed", slot=slot)
        return 1
    return 0


async def _serve(role: Role, settings: Settings, slot: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    serving = loop.create_task(role(settings, slot, stop, _say_ready))

    def read_stdin() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(HURRY, serving.cancel)
    loop.add_reader(_STDIN, read_stdin)
    await serving


def _say_ready() -> None:
    _say(READY)


def _say(line: bytes) -> None:
    # A supervisor that is gone by now shows as the end of stdin.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), line + b"\n")
