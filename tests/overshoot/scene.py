"""Where the overshoot test of the whole product plays: Taximeters, what they share, and what happens to them."""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from policies.ledger.books import Recorded
from proxy.runstate import FILE_NAME
from proxy.settings import StoreSettings
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.killable import EVERYTHING, SUPERVISOR, Killable, killable
from tests.fakes.redis_server import running_redis
from tests.fakes.spending_worker import open_books
from tests.fakes.whole import taximeter
from tests.overshoot.charging import ChargingProvider, Till, charging
from tests.overshoot.prices import policy_file, price_file

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
APPS = 60
"""Apps of each process of them; each has one call under way."""
RESTART = "restart"
"""An orderly end, and a start."""
STORE = "store-0"
KILLS = {"worker-0": 4, "worker-1": 4, "recorder-0": 3, STORE: 1, SUPERVISOR: 1, EVERYTHING: 2, RESTART: 2}
"""What is killed, so often of so many together."""
_CONFIG = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
workers: {workers}
shutdown_grace: 1s
journal: {{segment: 100ms}}
builtin_providers: false
prices: [prices.yaml]
store: {store}
{ledger}
providers:
  n1: {{kind: openai, base_url: '{n1}', api_key: 'file:operator'}}
  n2: {{kind: openai, base_url: '{n2}', api_key: 'file:operator'}}
"""


class Scene:
    """One or more Taximeters over one ledger and one store, and two providers that charge."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        self.till = Till()
        self.providers: list[ChargingProvider] = []
        self.taximeters: list[Killable] = []
        self.store: EmbeddedStore | None = None
        """Where it is a process of its own that all of them use."""
        self.books = ""
        """Where the ledger is: a URL of Redis, or a file."""
        self.kills: Counter[str] = Counter()

    # what happens

    @asynccontextmanager
    async def calling(self, processes: int, number: int) -> AsyncIterator[Counter[str]]:
        """Processes of apps that call until the block ends; what they counted is known afterwards."""
        states = [str(one.folder / "data/run" / FILE_NAME) for one in self.taximeters]
        running = []
        for index in range(processes):
            order = {
                "name": f"{number}-{index}", "seed": self.dice.random(), "apps": APPS, "began_s": time.time(),
                "round": number, "states": states,
            }  # fmt: skip
            command = (sys.executable, str(Path(__file__).with_name("apps.py")), json.dumps(order))
            pipe = asyncio.subprocess.PIPE
            running.append(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        counts: Counter[str] = Counter()
        try:
            yield counts
            for said, _ in await asyncio.wait_for(asyncio.gather(*(one.communicate(b"") for one in running)), 60):
                counts.update(json.loads(said))
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    process.kill()

    async def hurt(self) -> None:
        """Kill something, or end a Taximeter in order."""
        (what,) = self.dice.choices(list(KILLS), list(KILLS.values()))
        victim = self.dice.choice(self.taximeters)
        self.kills[what] += 1
        if what == STORE and self.store is not None:
            await asyncio.to_thread(self.store.kill)
            await asyncio.to_thread(self.store.start)
        elif what == RESTART:
            with suppress(ProcessLookupError):
                victim.whole.process.terminate()
            await victim.whole.ends()
            await victim.start()
        else:
            await victim.kill(what)

    async def recovered(self) -> None:
        """Wait until everything runs again."""
        for one in self.taximeters:
            await one.recovered()

    # what is known

    def is_quiet(self) -> bool:
        """Whether no journal has anything more to give, of living processes or dead ones."""
        try:
            return all(_is_empty(one.folder / "data/journal") for one in self.taximeters)
        except FileNotFoundError:
            return False  # a folder was put away as it was looked into

    def recorded(self) -> tuple[Recorded, ...]:
        """Every counter as the ledger has it."""
        books = open_books(self.books, "taximeter")
        try:
            return books.recorded()
        finally:
            books.close()

    async def ask(self, sql: str) -> list[dict[str, Any]]:
        """What the store answers. Raises OSError, aiohttp.ClientError or ValueError."""
        store = self._store_settings()
        access = {"user": store.user, "password": store.password, "database": store.database}
        async with (
            aiohttp.ClientSession() as session,
            session.post(store.url, params=access, data=f"{sql} FORMAT JSONEachRow") as answer,
        ):
            text = await answer.text()
            if answer.status != 200:
                raise ValueError(text)
            return [json.loads(line) for line in text.splitlines()]

    def _store_settings(self) -> StoreSettings:
        if self.store is not None:
            return self.store.settings.store
        first = self.taximeters[0]
        access = json.loads((first.folder / "data/run/store-credentials.json").read_text())
        return StoreSettings(url=first.whole.state["store_url"], user=access["user"], password=access["password"])


@asynccontextmanager
async def played(folder: Path, dice: random.Random, *, on_redis: bool) -> AsyncIterator[Scene]:
    """A scene: two Taximeters on one Redis and one store, or one on a file with its own store."""
    scene = Scene(folder, dice)
    async with AsyncExitStack() as stack:
        scene.providers = await stack.enter_async_context(charging(scene.till, dice))
        store, ledger = '{listen: "127.0.0.1:0"}', ""
        if on_redis:
            (folder / "redis").mkdir()
            scene.books = stack.enter_context(running_redis(folder / "redis")).url
            (folder / "store").mkdir()
            scene.store = EmbeddedStore(folder / "store")
            await asyncio.to_thread(scene.store.start)
            stack.push_async_callback(asyncio.to_thread, scene.store.stop)
            (folder / "password").write_text("secret")
            url = scene.store.settings.store.url
            store = f"{{url: '{url}', user: taximeter, password: 'file:{folder}/password'}}"
            ledger = f"ledger: {{url: '{scene.books}'}}"
        else:
            scene.books = str(folder / "t0/data/ledger.sqlite")
        n1, n2 = (one.url for one in scene.providers)
        config = _CONFIG.format(workers=WORKERS, store=store, ledger=ledger, n1=n1, n2=n2)
        said = stack.enter_context((folder / "stderr").open("wb"))
        for index in range(2 if on_redis else 1):
            place = _prepared(folder / f"t{index}")
            (place / "taximeter.yaml").write_text(config)
            _, made, _ = await taximeter(place, "keys", "create", "apps", "--format", "json")
            (place / "virtual-key").write_text(json.loads(made)["key"])
            running = killable(place, config, stderr=said.fileno())
            scene.taximeters.append(await stack.enter_async_context(running))
        yield scene


def _is_empty(journal: Path) -> bool:
    if list(journal.glob("[!.]*/*.open")) or list(journal.glob("[!.]*/*.jsonl")):
        return False
    return len([path for path in journal.glob("[!.]*") if path.is_dir()]) == WORKERS


def _prepared(place: Path) -> Path:
    (place / "policies").mkdir(parents=True)
    (place / "policies/caps.yaml").write_text(policy_file())
    (place / "prices.yaml").write_text(price_file())
    (place / "operator").write_text("sk-operator-0123456789")
    return place
