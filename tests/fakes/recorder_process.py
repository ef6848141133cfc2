"""The recorder as a process of its own, to be killed: `python -m tests.fakes.recorder_process`, settings on stdin.

It delivers to the store that the settings name, prints `ready` once it is the recorder, and ends on SIGTERM.
"""

import asyncio
import signal
import sys

from exporters.clickhouse.sink import ClickHouseSink
from exporters.recorder.recorder import run_recorder
from exporters.recorder.status import RecorderStatus
from proxy.settings import from_json
from tests.fakes.sinks import FixedPrices


async def _main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = from_json(sys.stdin.buffer.readline())

    def say_ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    sinks = [ClickHouseSink(settings)]
    await run_recorder(settings, FixedPrices(), sinks, stop=stop, status=RecorderStatus(), on_ready=say_ready)


if __name__ == "__main__":
    asyncio.run(_main())
