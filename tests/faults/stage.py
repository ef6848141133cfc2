"""Where a fault is made: a whole Taximeter with two workers, a provider behind it, and a store that can be asked.

Either it keeps its embedded store itself, or the store is a process of its own with a relay before it.
"""

import asyncio
import json
import random
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.killable import Killable, killable
from tests.fakes.until import until
from tests.faults.account import CallRow, Known
from tests.faults.apps import Load
from tests.faults.destroyed import Destroyed
from tests.faults.provider import Provider, provider
from tests.faults.receiver import Receiver, receiver
from tests.faults.relay import Relay, relaying

WORKERS = 2
PATIENCE_S = 90.0
BEATS = 300
"""Most of what may happen to the calls before a fault: about half a second's worth."""
_COLUMNS = "call_id, session, outcome, status, attempt, streaming, input_tokens, output_tokens"
_SUMS = {"calls_by_minute": "sum(calls)", "calls_by_day": "sum(calls)"}
"""Table of sums -> what adds up its calls."""
_LOOK_AGAIN_S = 0.05


class Stage:
    """One data folder and everything around it. Faults are made in it one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.dice = random.Random(seed)
        self.numbers = count(1)
        self.provider = Provider()
        self.taximeter: Killable
        self.store: EmbeddedStore | None = None
        self.relay: Relay | None = None
        self.clock: Clock | None = None
        self.receiver: Receiver | None = None
        self.load = Load(lambda: "", self.numbers, self.dice)
        """The apps of the fault that is being made."""
        self.destroyed = Destroyed()
        self.ends_s: list[float] = []
        """When it was told to end, and when it had ended."""

    # the apps

    def new_load(self) -> Load:
        """Apps for the next fault."""
        self.load = Load(lambda: self.taximeter.whole.url, self.numbers, random.Random(self.dice.random()))
        return self.load

    async def calls(self, more: int) -> None:
        """Wait until so many more calls are over, refusals not counted."""
        enough = self.load.answered + more
        await until(lambda: self.load.answered >= enough, limit_s=PATIENCE_S)

    async def instant(self) -> None:
        """Wait for a random instant, counted in what happens to the calls."""
        instant = self.load.beats + self.dice.randint(1, BEATS)
        await until(lambda: self.load.beats >= instant, limit_s=PATIENCE_S)

    # the processes

    @property
    def deaths_s(self) -> list[float]:
        """When workers died or may have, Unix time."""
        return [at for at, name in self.taximeter.kills if not name.startswith(("recorder", "store"))] + self.ends_s

    async def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self.ends_s.append(time.time())
        with suppress(ProcessLookupError):
            self.taximeter.whole.process.terminate()
        await self.taximeter.whole.ends()
        self.ends_s.append(time.time())

    async def start_again(self) -> None:
        """Start it on the same folder; the former one has ended."""
        await self.taximeter.start()

    async def recovered(self) -> None:
        """Wait until all of its processes run, and the calls go on."""
        await self.taximeter.recovered()
        if not self.load.stopped:
            await self.calls(2)

    # the journal

    @property
    def journal(self) -> Path:
        """The folder of all instances."""
        return self.data_dir / "journal"

    def sealed(self) -> list[Path]:
        """Segments that not every sink has."""
        return list(self.journal.glob("[!.]*/*.jsonl"))

    async def waiting(self, more: int) -> None:
        """Wait until so many more segments wait for the store."""
        enough = len(self.sealed()) + more
        await until(lambda: len(self.sealed()) >= enough, limit_s=PATIENCE_S)

    def is_quiet(self) -> bool:
        """Whether the journal has nothing more to give, of living processes or dead ones."""
        if list(self.journal.glob("[!.]*/*.open")) or self.sealed():
            return False
        return len([path for path in self.journal.glob("[!.]*") if path.is_dir()]) == WORKERS

    # what it says and what it has

    @property
    def store_settings(self) -> StoreSettings:
        """The way to the store itself, past the relay."""
        if self.store:
            return self.store.settings.store
        access = json.loads((self.data_dir / "run/store-credentials.json").read_text())
        url = self.taximeter.whole.state["store_url"]
        return StoreSettings(url=url, user=access["user"], password=access["password"])

    @property
    def settings(self) -> Settings:
        """For one more process on the same folder."""
        nowhere = Listen("127.0.0.1", 0)
        store = self.store_settings
        return Settings(
            listen=nowhere, admin=nowhere, store=store, data_dir=self.data_dir, workers=WORKERS, providers=()
        )

    async def ask(self, sql: str) -> list[dict[str, Any]]:
        """What the store answers. Raises OSError, aiohttp.ClientError or ValueError."""
        store = self.store_settings
        access = {"user": store.user, "password": store.password, "database": store.database}
        async with (
            aiohttp.ClientSession() as session,
            session.post(store.url, params=access, data=f"{sql} FORMAT JSONEachRow") as answer,
        ):
            text = await answer.text()
            if answer.status != 200:
                raise ValueError(text)
            return [json.loads(line) for line in text.splitlines()]

    async def known(self) -> Known:
        """Everything that the store knows. Raises as `ask` does."""
        calls = [msgspec.convert(row, CallRow, strict=False) for row in await self.ask(f"SELECT {_COLUMNS} FROM calls")]
        attempts = [(row["call_id"], row["attempt"]) for row in await self.ask("SELECT call_id, attempt FROM attempts")]
        tables = {row["name"] for row in await self.ask("SELECT name FROM system.tables WHERE database = 'taximeter'")}
        sums = {
            table: int((await self.ask(f"SELECT {summed} AS calls FROM {table}"))[0]["calls"])
            for table, summed in _SUMS.items()
            if table in tables
        }
        return Known(calls=calls, attempts=attempts, rollups=sums)

    async def status(self) -> dict[str, Any]:
        """What it says of itself at its admin port."""

        async def asked() -> dict[str, Any]:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.taximeter.whole.admin}/status") as answer,
            ):
                found: dict[str, Any] = await answer.json()
                return found

        return await eventually(asked)

    async def losses(self) -> dict[str, int]:
        """What it says was lost, by reason."""
        losses: dict[str, int] = (await self.status())["journal"]["losses"]
        return losses


class Clock:
    """The wall clock of all processes of a stage; see `clock/sitecustomize.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clock"
        self.folder.mkdir()
        ours = Path(__file__).with_name("clock") / "sitecustomize.py"
        (self.folder / ours.name).write_bytes(ours.read_bytes())
        (self.folder / "offset_s").write_bytes(struct.pack("d", 0.0))

    def turn(self, offset_s: float) -> None:
        """Turn it: so many seconds ahead of the true time, or behind it."""
        # In place: the processes share its memory.
        with (self.folder / "offset_s").open("r+b") as file:
            file.write(struct.pack("d", offset_s))


async def eventually(ask: Callable[[], Awaitable[Any]], limit_s: float = PATIENCE_S) -> Any:
    """The answer, as soon as there is one; what asks may be refused until then."""
    async with asyncio.timeout(limit_s):
        while True:
            try:
                return await ask()
            except (OSError, aiohttp.ClientError, ValueError):
                await asyncio.sleep(_LOOK_AGAIN_S)  # between two looks, as `until` does


CONFIG = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
workers: {workers}
shutdown_grace: 2s
journal: {{segment: 100ms{journal}}}
store: {store}
builtin_providers: false
providers:
  n: {{kind: openai, base_url: '{provider}'}}
"""


@asynccontextmanager
async def staged(  # what a stage is made of
    folder: Path,
    seed: int,
    *,
    relayed: bool = False,
    clock: bool = False,
    journal: str = "",
    hooked: bool = False,
) -> AsyncIterator[Stage]:
    """A Taximeter that serves until the block ends.

    Args:
        folder: Its own, and empty but for a data folder that may be there.
        seed: Of its dice.
        relayed: Whether its store is a process of its own behind a relay.
        clock: Whether its wall clock can be turned.
        journal: Further keys of the section `journal`, with a comma before them.
        hooked: Whether it has a webhook, with a receiver that can be away.
    """
    stage = Stage(folder, seed)
    async with AsyncExitStack() as stack:
        stage.provider = await stack.enter_async_context(provider())
        store = '{listen: "127.0.0.1:0"}'
        if relayed:
            stage.store = await asyncio.to_thread(_started_store, folder / "store")
            stack.push_async_callback(asyncio.to_thread, stage.store.stop)
            port = int(stage.store.settings.store.url.rpartition(":")[2])
            stage.relay = await stack.enter_async_context(relaying(lambda: port))
            (folder / "password").write_text("secret")
            store = (
                f"{{url: 'http://127.0.0.1:{stage.relay.port}', user: taximeter, password: 'file:{folder}/password'}}"
            )
        if clock:
            stage.clock = Clock(folder)
        config = CONFIG.format(workers=WORKERS, journal=journal, store=store, provider=stage.provider.url)
        if hooked:
            stage.receiver = await stack.enter_async_context(receiver())
            (folder / "hook-secret").write_text("a secret of the webhook, long enough")
            hook = f"{{url: '{stage.receiver.url}/hook', secret: 'file:{folder}/hook-secret'}}"
            config += f"sinks:\n  webhooks: {{gone: {hook}}}\n"
        said = stack.enter_context((folder / "stderr").open("wb"))
        path = str(stage.clock.folder) if stage.clock else ""
        running = killable(folder, config, stderr=said.fileno(), path=path)
        stage.taximeter = await stack.enter_async_context(running)
        yield stage


def _started_store(folder: Path) -> EmbeddedStore:
    folder.mkdir()
    store = EmbeddedStore(folder)
    store.start()
    return store
