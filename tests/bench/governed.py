"""`make bench-policies`: what policies add to a call, in CPU time of a worker's whole walk, in one process.

The same calls go through two handlers, one without policies and one with fifty of them and a thousand keys, where five
nested budgets match each call; batches alternate, and the least of many is what is shown, since other work
on the machine only adds. Sockets are left out (a transport of ours takes the bytes), the journal is not. Calls differ
in caller and length, as an app's do.
"""

import argparse
import asyncio
import gc
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import uvloop

from exporters.journal.writer import Journal
from policies.compiled import CompiledPolicies, to_json
from policies.ledger.books import Books
from policies.ledger.leases import LeasedLedger
from policies.ledger.redis_books import RedisBooks
from policies.ledger.redis_link import RedisOptions
from policies.ledger.sqlite_books import SqliteBooks
from proxy.downstream.server import ClientServer
from proxy.governing import provider_rates
from proxy.handler import Handler
from proxy.outbox import Outbox
from proxy.policing import Policing, policies_file
from proxy.providers import find_provider
from proxy.settings import Listen, ProviderSettings, Settings, StoreSettings
from proxy.upstream.connection import Connection
from proxy.upstream.head_shapes import HeadReader
from proxy.upstream.provider import Upstream
from tests.bench.decisions import KEYS, RULES, nested_policies
from tests.fakes.redis_server import PROGRAM, running_redis

ROUNDS = 4
APPS = 500
"""Apps that call in turn, each with a key, a user, a project and a team."""
PLAIN = "5 of 50 budgets"
WITH_REDIS = "5 of 50 budgets, in Redis"
"""Where there is a server to start; its own processor time is not counted."""
LEAST_BYTES, MOST_BYTES = 700, 2600
"""Of a request's body."""
_END_BYTES = 5
"""By which an answer is known to be over: no call is followed by another before that."""
_ANSWER_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 20:00:00 GMT\r\nServer: mock\r\n"
    b"x-request-id: req_0123456789abcdef0123456789abcdef\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\ncf-cache-status: DYNAMIC\r\n"
)
_ANSWER = {
    "id": "chatcmpl-0000000000000000000000000",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-4.1-mini-2025-04-14",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 900}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 219,
        "completion_tokens": 183,
        "total_tokens": 402,
        "prompt_tokens_details": {"cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "service_tier": "default",
}


def requests() -> list[bytes]:
    """Some requests of each app, each of its own length, one round after another."""
    lengths = random.Random(1)
    return [_request(number, lengths.randint(LEAST_BYTES, MOST_BYTES)) for _ in range(ROUNDS) for number in range(APPS)]


def whole_answer() -> bytes:
    """What the provider says to each of them."""
    body = json.dumps(_ANSWER).encode()
    return _ANSWER_HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _request(number: int, size: int) -> bytes:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}]
    body = {"model": "gpt-4.1-mini", "messages": messages, "temperature": 0.2, "max_tokens": 512, "stream": False}
    messages[1]["content"] = ("All work and no play makes Jack a dull boy. " * 80)[: size - len(json.dumps(body))]
    data = json.dumps(body).encode()
    return (
        b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8484\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer sk-bench-%04d-dd5f0c1e8a7b49c2a6d3e4f5a6b7c8d9\r\nUser-Agent: OpenAI/Python 2.1\r\n"
        b"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nX-Stainless-Lang: python\r\n"
        b"x-taximeter-team: t%d\r\nx-taximeter-project: p%d\r\nx-taximeter-user: u%d\r\nContent-Length: %d\r\n\r\n%b"
        % (number, number % 20, number % 100, number, len(data), data)
    )


class Cost(NamedTuple):
    """CPU time of one call, in microseconds."""

    loop: float
    """Of the event loop's thread, which makes the calls."""
    others: float
    """Of the other threads: the ledger's, which borrows and gives back, and the journal's."""


class _Wire(asyncio.Transport):
    """A transport whose other end is a function."""

    def __init__(self, on_bytes: Callable[[bytes], object]) -> None:
        super().__init__()
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> None:
        self._on_bytes(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        del name
        return default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        raise RuntimeError("the worker closed a connection in mid-measurement")

    abort = close

    def pause_reading(self) -> None:
        """Nothing comes that was not asked for."""

    def resume_reading(self) -> None:
        """Likewise."""


class Walk:
    """One worker's walk, from the bytes of an app to the bytes for it."""

    def __init__(
        self,
        folder: Path,
        policies: CompiledPolicies | None,
        redis_url: str | None = None,
        answer: bytes | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        settings = bench_settings(folder)
        settings.run_dir.mkdir(parents=True)
        outbox = Outbox(loop)
        upstream = Upstream(settings.providers[0], find_provider("openai"), loop, outbox)
        self._journal = Journal(folder / "journal", "bench", call_later=loop.call_later)
        handler = Handler({"openai": upstream}, self._journal, settings)

        def books() -> Books:
            if redis_url is None:
                return SqliteBooks(folder / "ledger.sqlite")
            return RedisBooks(RedisOptions(url=redis_url))

        self._policing = Policing(settings, handler, lambda: LeasedLedger(books(), "bench"))
        if policies is not None:
            policies_file(settings).write_bytes(to_json(policies))
            self._policing.load()
        answer = whole_answer() if answer is None else answer
        connection = Connection(outbox, HeadReader((b"x-request-id",)))
        connection.connection_made(_Wire(lambda _: loop.call_soon(connection.data_received, answer)))
        upstream.pool._idle.append(connection)
        upstream.pool._open = 1
        self._loop = loop
        self._app = ClientServer(handler.handle, handler.malformed, outbox)()
        self._app.connection_made(_Wire(self._on_answer))
        self._end = answer[-_END_BYTES:]
        self._waiting: list[bytes] = []
        self._done: asyncio.Future[None] = loop.create_future()

    async def run(self, calls: Sequence[bytes]) -> "Cost":
        """Make these calls one after another; gives what each took."""
        self._done = self._loop.create_future()
        self._waiting = list(reversed(calls))
        loop_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
        self._app.data_received(self._waiting.pop())
        await self._done
        loop_ns, process_ns = time.thread_time_ns() - loop_ns, time.process_time_ns() - process_ns
        return Cost(loop_ns / len(calls) / 1000, (process_ns - loop_ns) / len(calls) / 1000)

    async def close(self) -> None:
        """End what runs beside the calls."""
        await self._policing.close()
        self._journal.close()

    def _on_answer(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200 "):
            self._done.set_exception(RuntimeError(f"no answer of the provider's: {data[:2000]!r}"))
        elif not data.endswith(self._end):
            return  # a stream's end may come in a write of its own
        elif self._waiting:
            self._loop.call_soon(self._app.data_received, self._waiting.pop())
        else:
            self._done.set_result(None)


def bench_settings(folder: Path) -> Settings:
    """A worker with one provider, which is never connected to."""
    return Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="", user="", password=""),
        data_dir=folder,
        workers=1,
        providers=(ProviderSettings(name="openai", kind="openai", base_url="http://127.0.0.1:1"),),
    )


def kinds(folder: Path) -> dict[str, CompiledPolicies | None]:
    """What is compared, by name."""
    rates = provider_rates(bench_settings(folder), time.time_ns())
    with_rates = partial(msgspec.structs.replace, rates=rates)
    return {
        "no policies": None,
        PLAIN: with_rates(nested_policies(RULES, thresholds=False)),
        "the same, with thresholds": with_rates(nested_policies(RULES)),
    }


async def measure(batches: int) -> dict[str, list[Cost]]:
    """Microseconds of CPU for a call, batch by batch, by what was measured."""
    with tempfile.TemporaryDirectory(prefix="taximeter-bench-") as name, ExitStack() as servers:
        folder = Path(name)
        compared = kinds(folder)
        walks = {kind: Walk(folder / str(number), one) for number, (kind, one) in enumerate(compared.items())}
        if PROGRAM is not None:
            redis = servers.enter_context(running_redis(folder))
            walks[WITH_REDIS] = Walk(folder / "redis", compared[PLAIN], redis.url)
        calls = requests()
        found: dict[str, list[Cost]] = {kind: [] for kind in walks}
        for walk in walks.values():
            for _ in range(3):  # heads and callers are known then, and leases have their size
                await walk.run(calls)
        for _ in range(batches):
            for kind, walk in walks.items():
                found[kind].append(await walk.run(calls))
        for walk in walks.values():
            await walk.close()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="make bench-policies", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, default=60, help=f"of {ROUNDS * APPS} calls each, of each kind (60)")
    options = parser.parse_args(arguments)
    gc.set_threshold(50_000, 20, 100)  # as a worker does
    found = uvloop.run(measure(options.batches))
    least = {kind: min(cost.loop for cost in batches) for kind, batches in found.items()}
    base = least["no policies"]
    print(f"CPU of a call in us, least of the batches; {KEYS} keys, {APPS} apps that call")  # noqa: T201
    print(f"{'':28}{'loop':>8}{'added':>8}{'median':>8}{'other threads':>15}")  # noqa: T201
    for kind, batches in found.items():
        loop, others = (median(cost[part] for cost in batches) for part in (0, 1))
        print(f"{kind:28}{least[kind]:8.1f}{least[kind] - base:8.1f}{loop:8.1f}{others:15.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
