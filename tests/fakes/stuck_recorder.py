"""A recorder whose sink takes nothing, as a process: `python -m tests.fakes.stuck_recorder`, settings on stdin.

It prints `read` once it has read the whole journal and tried to deliver a few times, and ends on SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping

from exporters.recorder import lane
from exporters.recorder.ports import Batch, SinkUnavailableError
from exporters.recorder.recorder import run_recorder
from exporters.recorder.status import RecorderStatus
from proxy.settings import from_json
from tests.fakes.sinks import FixedPrices
from tests.fakes.until import until

_TRIES = 5


class StuckSink:
    """Can be reached, and takes nothing."""

    name = "stuck"

    def check(self) -> None:
        """It answers."""

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Not this either."""
        raise SinkUnavailableError(f"no room for {len(batch.calls)} calls")

    def close(self) -> None:
        """Nothing to close."""


async def _main() -> None:
    lane._FIRST_RETRY_S = lane._LAST_RETRY_S = 0.05
    stop, status = asyncio.Event(), RecorderStatus()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = from_json(sys.stdin.buffer.readline())
    running = asyncio.create_task(run_recorder(settings, FixedPrices(), [StuckSink()], stop=stop, status=status))
    await until(lambda: status.sinks and status.sinks["stuck"].failures >= _TRIES, 120.0)
    sys.stdout.write("read\n")
    sys.stdout.flush()
    await running


if __name__ == "__main__":
    asyncio.run(_main())
