"""What has to hold when the dust has settled, asked of the ledger, of the store, and of the providers' own till."""

import asyncio
import json
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any

from tests.fakes.until import until
from tests.fakes.whole import taximeter
from tests.faults.stage import eventually
from tests.overshoot.apps import OWN_KEY, request_bytes
from tests.overshoot.apps import field as header
from tests.overshoot.charging import Till
from tests.overshoot.prices import BUDGETS, INPUT_BOUND, NANO, RATES, SCOPES, caps, counter_of
from tests.overshoot.scene import Scene

PATIENCE_S = 60.0
_SUMS = """
SELECT counter, toString(sum(toInt128(amount))) AS spent
FROM calls ARRAY JOIN mapKeys(draws) AS counter, mapValues(draws) AS amount GROUP BY counter
"""
_ROWS = """
SELECT session, outcome, mapKeys(draws) AS counters, mapValues(draws) AS amounts,
    call_id IN (SELECT call_id FROM attempts WHERE error_class = 'timeout' OR rule = 'way:hedge') AS late
FROM calls
"""


@dataclass
class Verdict:
    """What was wrong, in words, and the figures."""

    wrong: list[str] = field(default_factory=list)
    counters: int = 0
    rows: int = 0
    exact: int = 0
    """Calls that the ledger has exactly at what the providers charged."""
    charged_nano: Fraction = Fraction(0)
    beyond_nano: Fraction = Fraction(0)
    """Money on the books beyond what was charged: for calls of which nobody could know what they cost."""
    fullest: Fraction = Fraction(0)
    """The largest share of a cap that is on the books."""


async def settled(scene: Scene) -> None:
    """Wait until all journals are in the store and on the books, and nothing is on lease any more."""
    await scene.recovered()
    await until(scene.is_quiet, limit_s=PATIENCE_S)

    async def at_rest() -> None:
        found = await asyncio.to_thread(scene.recorded)
        leased = [f"{one.counter}: {one.leased}" for one in found if one.leased]
        if leased:
            raise ValueError(f"still on lease: {leased[:5]}")

    await eventually(at_rest, PATIENCE_S)


async def judge(scene: Scene) -> Verdict:
    """Everything that has to hold at rest."""
    verdict = Verdict()
    till = scene.till
    verdict.wrong += till.over
    for one in scene.taximeters:
        await _compared(one.folder, verdict)
    ledger = {one.counter: one.spent for one in await asyncio.to_thread(scene.recorded) if one.spent}
    ledger = {name: spent for name, spent in ledger.items() if name.startswith("budget:")}
    store = {row["counter"]: int(row["spent"]) for row in await eventually(lambda: scene.ask(_SUMS), PATIENCE_S)}
    store = {name: spent for name, spent in store.items() if spent}
    if ledger != store:
        apart = {name: (ledger.get(name), store.get(name)) for name in ledger.keys() | store.keys()}
        verdict.wrong.append(f"ledger, store: {[one for one in apart.items() if one[1][0] != one[1][1]][:5]}")
    verdict.counters = len(ledger)
    limits = caps()
    for name, spent in ledger.items():
        limit = limits[_budget(name)]
        verdict.fullest = max(verdict.fullest, spent / limit)
        if spent > limit:
            verdict.wrong.append(f"{name}: the ledger has {spent} of {limit}")
        if till.sums.get(name, Fraction(0)) > spent:
            verdict.wrong.append(f"{name}: charged {float(till.sums[name])}, booked {spent}")
    _rows(await eventually(lambda: scene.ask(_ROWS), PATIENCE_S), till, verdict)
    return verdict


async def _compared(folder: Any, verdict: Verdict) -> None:
    status, said, errors = await taximeter(folder, "ledger", "compare", "--format", "json")
    found = json.loads(said) if said else {}
    if status or not found.get("equal") or found.get("under_way"):
        verdict.wrong.append(f"ledger compare in {folder.name}: {status} {said[-500:]} {errors[-500:]}")


def _rows(rows: list[dict[str, Any]], till: Till, verdict: Verdict) -> None:
    """Each call against what the providers charged for it."""
    verdict.rows = len(rows)
    known = {row["session"] for row in rows}
    lost = [number for number in till.charges if number not in known]
    if lost or len(known) != len(rows):
        twice = [row for row in rows if sum(row["session"] == other["session"] for other in rows) > 1]
        verdict.wrong.append(f"{len(lost)} charged calls have no row: {lost[:5]}; {twice[:4]} doubled")
    for row in rows:
        charged = till.charges.get(row["session"], ())
        sums: dict[str, Fraction] = {}
        for one in charged:
            for unit, used in one.usage.amounts(one.model).items():
                sums[unit] = sums.get(unit, Fraction(0)) + used
        for counter, amount in zip(row["counters"], map(int, row["amounts"]), strict=True):
            unit = BUDGETS[_budget(counter)][1]
            if unit == "calls":
                continue
            charged_here = sums.get(unit, Fraction(0))
            true = ceil(charged_here)
            if amount < true:
                told = f"{row['session']} {row['outcome']} {till.asked.get(row['session'])}"
                verdict.wrong.append(f"{told}: {counter} was booked {amount}, charged {true}")
            if counter.startswith("budget:orgs"):
                verdict.exact += amount == true
                verdict.charged_nano += charged_here
                verdict.beyond_nano += amount - charged_here
                plays = till.asked.get(row["session"], [])
                others = [play for play in plays if play not in {"error", "busy", "said"}]
                sure = row["outcome"] == "ok" and others == ["whole"] and not row["late"]
                if sure and amount != true:
                    told = f"{row['session']} {row['outcome']} {plays}"
                    verdict.wrong.append(f"{told}: {counter} was booked {amount}, charged {true}")


def _budget(counter: str) -> str:
    return counter.removeprefix("budget:").partition("|")[0]


async def probe(scene: Scene, number: int) -> tuple[int, list[str]]:
    """Whether a call that fits to the last digit is admitted, and one that needs a token more is not.

    One caller of each company of the round is tried, at one Taximeter after the other. Gives how many could be tried,
    and what was wrong.
    """
    spent = {one.counter: one.spent for one in await asyncio.to_thread(scene.recorded)}
    orgs = sorted({name.partition("=")[2] for name in spent if name.startswith(f"budget:orgs|tag:org=r{number}g")})
    tried, wrong = 0, list[str]()
    for provider in scene.providers:
        provider.good = True
    for index, org in enumerate(orgs):
        scopes = (org, f"{org}t0", f"{org}t0p0", f"{org}t0p0u0")
        most = _most_output(spent, dict(zip(SCOPES, scopes, strict=True)))
        if most < 1:
            continue
        tried += 1
        whole = scene.taximeters[index % len(scene.taximeters)].whole
        for tokens, wanted in ((most + 1, 429), (most, 200)):
            call = request_bytes(f"probe-{org}-{tokens}", OWN_KEY, scopes, "n1", "over-a", tokens, streamed=False)
            status = await _status(whole.url, call)
            if status != wanted:
                wrong.append(f"{tokens} tokens by {scopes[-1]}, of which {most} fit, were answered with {status}")
    for provider in scene.providers:
        provider.good = False
    return tried, wrong


def _most_output(spent: dict[str, int], scopes: dict[str, str]) -> int:
    """The largest max_tokens that fits into all counters of a caller; 0 where nothing does."""
    left = {"USD": list[Fraction](), "tokens": list[Fraction](), "calls": list[Fraction]()}
    for name, limit in caps().items():
        scope, unit, _ = BUDGETS[name]
        if unit not in left:
            continue
        left[unit].append(limit - spent.get(counter_of(name, scopes[scope]), 0))
    rates = {kind: Fraction(rate) * NANO / 10**6 for kind, rate in RATES["over-a"].items()}
    by_money = (min(left["USD"]) - INPUT_BOUND * rates["input"]) / rates["reasoning"]
    by_tokens = min(left["tokens"]) - INPUT_BOUND
    return max(0, floor(min(by_money, by_tokens))) if min(left["calls"]) >= 2 else 0


async def _status(url: str, request: bytes) -> int:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(header(head.lower(), b"content-length")))
            return int(head.split(b" ", 2)[1])
    finally:
        writer.transport.abort()
