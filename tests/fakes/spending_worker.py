"""A process that admits calls from a leased ledger as a worker does, and dies when it is killed.

`python -m tests.fakes.spending_worker JSON` is that process. Its journal is a file of lines, written before anything
else happens, as the product's is: `open CALL COUNTER=HELD ...` and `call CALL COUNTER=USED ...`. It ends at the end of
its stdin, with every call settled and its free leases given back.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

from policies.demand import Admitted, Demand
from policies.ledger.books import Books
from policies.ledger.leases import LeasedLedger
from policies.ledger.redis_books import RedisBooks
from policies.ledger.redis_link import RedisOptions
from policies.ledger.sqlite_books import SqliteBooks

SECOND_NS = 10**9
CALLERS = 40


def open_books(where: str, name: str) -> Books:
    """The books at a URL of Redis, or in a file."""
    if where.startswith("redis"):
        return RedisBooks(RedisOptions(url=where, name=name, timeout_s=10.0))
    return SqliteBooks(Path(where))


def demands(chance: random.Random, caps: dict[str, int], window_s: float) -> list[Demand]:
    """What a call of a random size draws on: nested scopes, a total one, and one whose windows are short."""
    amount = chance.randint(1, 10 ** chance.randint(1, 7))
    now_ns = time.time_ns()
    window_ns = int(window_s * SECOND_NS)
    number = now_ns // window_ns
    team = chance.randrange(3)
    names = {"org": "budget:org", "team": f"budget:team|team={team}", "short": f"budget:short@2026-{number:020d}"}
    ends = {"org": None, "team": None, "short": (number + 1) * window_ns}
    return [
        Demand(
            counter=names[scope],
            family=names[scope].partition("@")[0],
            policy=f"budget:{scope}",
            unit="USD",
            amount=amount,
            limit=cap,
            stated=cap,
            starts_at_ns=0 if ends[scope] is None else number * window_ns,
            ends_at_ns=ends[scope],
        )
        for scope, cap in caps.items()
    ]


class Worker:
    """One process."""

    def __init__(self, order: dict) -> None:
        self.order = order
        self.chance = random.Random(order["seed"])
        self.journal = os.open(order["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.ledger = LeasedLedger(open_books(order["books"], order["name"]), order["instance"])
        self.stop = asyncio.Event()
        self.counts = {"admitted": 0, "refused": 0, "unavailable": 0}

    def write(self, kind: str, call: str, draws: list[tuple[str, int]]) -> None:
        """One line, in one write."""
        os.write(self.journal, f"{kind} {call} {' '.join(f'{name}={amount}' for name, amount in draws)}\n".encode())

    async def caller(self, number: int) -> None:
        """An app that calls on and on."""
        turn = 0
        while not self.stop.is_set():
            turn += 1
            await self.call(f"{self.order['instance']}-{number}-{turn}")

    async def call(self, call: str) -> None:
        """One call: admitted or refused, answered, failed or left."""
        chance, ledger = self.chance, self.ledger
        wanted = demands(chance, self.order["caps"], self.order["window_s"])
        now_ns = time.time_ns()
        answer = ledger.try_admit(call, wanted, now_ns) or await ledger.admit(call, wanted, now_ns)
        if not isinstance(answer, Admitted):
            self.counts["unavailable" if answer.unavailable else "refused"] += 1
            await asyncio.sleep(chance.random() * 0.02)
            return
        self.counts["admitted"] += 1
        self.write("open", call, [(one.counter, one.amount) for one in wanted])
        await asyncio.sleep(chance.expovariate(100))
        share = chance.choice([0.0, chance.random(), chance.random() ** 4, 1.0])
        used = [int(one.amount * share) for one in wanted]
        ledger.settle(call, used, time.time_ns())
        self.write("call", call, [(one.counter, amount) for one, amount in zip(wanted, used, strict=True)])

    async def run(self) -> None:
        """Until stdin ends."""
        asyncio.get_running_loop().add_reader(0, self.stop.set)
        await asyncio.gather(*(self.caller(number) for number in range(CALLERS)))
        await self.ledger.close()
        sys.stdout.write(json.dumps(self.counts))


async def _main() -> None:
    await Worker(json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    asyncio.run(_main())
