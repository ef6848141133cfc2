"""A real sandbox on a free port, in a thread of its own, so that blocking clients can talk to it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from proxy.sandbox.server import serve_sandbox


@contextmanager
def running_sandbox(seed: int = 1) -> Iterator[str]:
    """The base URL of a sandbox that runs until the block ends."""
    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        await serve_sandbox("127.0.0.1", 0, seed, stop, lambda port: ready.set_result((port, loop, stop)))

    def live() -> None:
        try:
            asyncio.run(serve())
        except OSError as error:
            ready.set_exception(error)

    thread = threading.Thread(target=live, name="sandbox")
    thread.start()
    port, loop, stop = ready.result(timeout=10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)
        assert not thread.is_alive(), "the sandbox did not stop"
