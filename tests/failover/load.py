"""`make failover-load`: calls under load to a provider that fails three in ten of them, two good ones behind.

Apps are raw sockets and the official SDKs (chat completions, responses, messages), whole and streamed in turn, without
retries of their own. Counts good answers, attempts and their rows, and what ledger and records say; ends with 1 below
99.9 % good ones.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import structlog
from msgspec.structs import replace

from policies.compiled import CompiledPolicies
from policies.ledger.sqlite_books import SqliteBooks
from policies.routes_compiled import BreakerRule, Routing
from tests.failover.apps import APPS, App
from tests.failover.faults import FAULTS
from tests.failover.speech import Speech
from tests.failover.suite import policies_of
from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

AT_ONCE = 16
FAILING = 0.3
LIMIT_MS = 2000
"""Of silence: SDKs, worker and providers share a process here, and are all that it measures."""
GOOD_ENOUGH = 0.999


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Failover under load.")
    parser.add_argument("apps", nargs="*", help=f"of {', '.join(APPS)}; all when none is given")
    parser.add_argument("--calls", type=int, default=2000, help="of each app")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    shares = [asyncio.run(run(name, asked.calls, random.Random(asked.seed))) for name in asked.apps or APPS]
    sys.exit(0 if min(shares) >= GOOD_ENOUGH else 1)


def _policies(kind: str) -> CompiledPolicies:
    policies = policies_of(kind, names="abc", limit=1000)
    (route,) = policies.routing.routes
    # Without a breaker, which would spare the apps nearly all of it.
    breaker = BreakerRule(failures_in_row=0, error_share=0, rate_limited_ms=0, rate_limited_most_ms=0)
    retry = replace(route.retry, first_byte_ms=LIMIT_MS, idle_ms=LIMIT_MS)
    return replace(policies, routing=Routing(routes=(replace(route, retry=retry, breaker=breaker),)))


async def run(name: str, calls: int, dice: random.Random) -> float:
    """Let an app of this name make so many calls; the share of good answers, or 0 where the books are wrong."""
    speech, app = APPS[name]
    plays = [
        (one.play, streamed)
        for one in FAULTS
        for streamed in (False, True)
        for expected in [one.streamed if streamed else one.whole]
        if expected is not None and expected.end == "next" and one.play is not None and one.hedge_ms is None
    ]
    failed: Counter[str] = Counter()

    async def good(conversation: Conversation) -> None:
        while True:
            await _answer(conversation, speech, (await conversation.request())[1])

    async def failing(conversation: Conversation) -> None:
        while True:
            _, body = await conversation.request()
            if dice.random() >= FAILING:
                await _answer(conversation, speech, body)
                continue
            streamed = _streams(body)
            play = dice.choice([one for one, is_streamed in plays if is_streamed is streamed])
            failed["calls"] += 1
            await play(conversation, speech, streamed)

    with tempfile.TemporaryDirectory() as folder:
        async with (
            raw_upstream(failing) as one,
            raw_upstream(good) as two,
            raw_upstream(good) as three,
            running_worker(
                provider("a", one.url, kind=speech.kind),
                provider("b", two.url, kind=speech.kind, api_key="operators-own-key"),
                provider("c", three.url, kind=speech.kind, api_key="operators-own-key"),
                policies=_policies(speech.kind),
                data_dir=Path(folder),
            ) as worker,
        ):
            began_s = time.monotonic()
            left = iter(range(calls))
            wrong: Counter[str] = Counter()
            async with app(worker) as call:
                await asyncio.gather(*(_calls(call, left, wrong) for _ in range(AT_ONCE)))
            records = await worker.journal.calls(calls)
            took_s = time.monotonic() - began_s
            requests = len(one.requests) + len(two.requests) + len(three.requests)
        leased = sum(level.leased for level in SqliteBooks(Path(folder) / "ledger.sqlite").recorded())
    attempts = sum(len(record.attempts) for record in records)
    resent = sum("resent_on_fresh_connection" in one.changes for record in records for one in record.attempts)
    spent = sum(record.draws[0].set_aside or 0 for record in records)
    share = 1 - wrong.total() / calls
    sys.stdout.write(
        f"{name}: {calls} calls in {took_s:.1f} s, {failed['calls']} made to fail, {share:.2%} good answers\n"
        f"{requests} requests at providers, {attempts} rows of attempts, of which {resent} say that they were sent twice\n"
        f"the ledger has {leased}, the records {spent}\n"
        f"{wrong.most_common(5)}\n"
    )
    return share if leased == spent and attempts + resent == requests else 0.0


async def _answer(conversation: Conversation, speech: Speech, body: bytes) -> None:
    streamed = _streams(body)
    said = speech.stream if streamed else speech.whole
    kind = b"text/event-stream" if streamed else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
    await conversation.say(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(said), said))


def _streams(body: bytes) -> bool:
    return b'"stream":true' in body.replace(b" ", b"")


async def _calls(call: App, left: Iterator[int], wrong: Counter[str]) -> None:
    for number in left:
        if why := await call(bool(number % 2)):
            wrong[f"{'stream' if number % 2 else 'whole'}: {why}"] += 1


if __name__ == "__main__":
    main()
