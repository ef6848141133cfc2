"""Calls whose hold is no bound, to a provider that goes on for as long as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from policies.ledger.sqlite_books import SqliteBooks
from proxy.core.price import Card, Price, Rates
from proxy.core.record import CallRecord
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.routes import ASK_STREAM, delta
from tests.fakes.running_worker import RunningWorker, running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

USD = 10**9
TOKEN_NANO = 2000
ASSUMED = 100
STEP = ASSUMED * TOKEN_NANO
INPUT = 2000 * 1000
"""A bound of 2,000 tokens of input."""
HOLD = INPUT + STEP
PRICE = Price(
    id="r",
    origin="book",
    currency="USD",
    kinds=("openai",),
    match=("m",),
    card=Card(Rates(input=Decimal(1), output=Decimal(2))),
)
RATE = ModelRate(
    id="r",
    provider="p",
    models=("m", "other"),
    currency="USD",
    input_nano=USD,
    output_nano=TOKEN_NANO * 10**6,
    price=PRICE,
)
ASK = post(b"/p/v1/chat/completions", ASK_STREAM)
MOST_USED = delta("ab" * 85)
"""85 of the 100 tokens that are assumed."""


def budget(**fields: object) -> Budget:
    """One that assumes the output of calls that state no limit."""
    values: dict[str, object] = {
        "name": "b",
        "policy": f"budget:{fields.get('name', 'b')}",
        "unit": "USD",
        "limit": USD,
        "window": Window(shape="total"),
        "assume_output_tokens": ASSUMED,
    }
    return Budget(**values | fields)  # type: ignore[arg-type]


def policies(*budgets: Budget, providers: tuple[str, ...] = ("p",)) -> CompiledPolicies:
    """Policies under which `m` has a price at these providers."""
    return CompiledPolicies(budgets=budgets, rates=tuple(replace(RATE, provider=one) for one in providers), hash="h1")


class Stage:
    """A provider that says what it is told to, piece by piece."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.left = asyncio.Event()
        """The proxy has let go of it."""

    async def play(self, conversation: Conversation) -> None:
        await conversation.request()
        while (data := await self.lines.get()) is not None:
            await conversation.say(data)
            if self.lines.empty():
                gone = asyncio.ensure_future(conversation.gone())
                told = asyncio.ensure_future(self.lines.get())
                await asyncio.wait({gone, told}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    self.left.set()
                    told.cancel()
                    return
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone
                self.lines.put_nowait(told.result())
        conversation.writer.close()

    def say(self, *data: bytes) -> None:
        for one in data:
            self.lines.put_nowait(one)


class Call:
    """One call that is under way."""

    def __init__(
        self, worker: RunningWorker, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.worker = worker
        self.journal = worker.journal
        self.stage = stage
        self.reader = reader
        self.writer = writer

    @property
    def held(self) -> list[int]:
        """What each of its lines in the journal says that it holds."""
        return [line.draws[0].held for line in self.journal.opened]

    async def held_is(self, *amounts: int) -> None:
        """Wait until it has held these amounts, one after the other."""
        await until(lambda: self.held == list(amounts))

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def record(self) -> CallRecord:
        """Its record, once it is over."""
        (call,) = await self.journal.calls(1)
        return call


@asynccontextmanager
async def calling(data_dir: Path, *budgets: Budget, data: bytes = ASK) -> AsyncIterator[Call]:
    """A call that is sent to a provider on stage."""
    stage = Stage()
    async with (
        raw_upstream(stage.play) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(*budgets), data_dir=data_dir) as worker,
    ):
        reader, writer = await worker.connect()
        writer.write(data)
        yield Call(worker, stage, reader, writer)
        writer.close()


def leased(data_dir: Path) -> int:
    """What the books have lent, all in all."""
    return sum(one.leased for one in SqliteBooks(data_dir / "ledger.sqlite").recorded())
