"""The store as a process for tests: settings as JSON on stdin, "ready" on stdout, ends on SIGTERM."""

import asyncio
import signal
import sys

from exporters.store.errors import StartError
from exporters.store.server import serve_store
from proxy.settings import from_json


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = from_json(sys.stdin.buffer.readline())
    wait_s = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    try:
        await serve_store(settings, stop, ready, wait_s=wait_s)
    except StartError as error:
        sys.exit(f"StartError: {error}")


asyncio.run(main())
