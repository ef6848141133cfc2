"""The process behind `proxy_process`: settings on stdin, its port on stdout, ended by the end of stdin."""

import asyncio
import json
import sys

import uvloop

from proxy.settings import Settings, from_json
from proxy.worker import run_worker
from tests.fakes.running_worker import MemoryJournal, ledger_of


async def _live(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        stop.set()

    def say(port: int) -> None:
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()

    loop.add_reader(sys.stdin, end)
    await run_worker(settings, MemoryJournal(), stop, say, ledger_of(settings))


if __name__ == "__main__":
    uvloop.run(_live(from_json(sys.stdin.buffer.readline())))
