"""The overshoot test of the whole product: no hard cap is ever passed, and the ledger equals the store to the last digit.

Whole Taximeters with their recorders, processes of apps with hundreds of calls at once in nested scopes, providers that
fail and charge at random, apps that leave, and kill -9 of everything in between. `OVERSHOOT_ROUNDS` and
`OVERSHOOT_SECONDS` make it longer, `OVERSHOOT_SEED` makes it another one; `make overshoot` does.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter

import pytest

from tests.fakes.redis_server import PROGRAM, WHY_NOT
from tests.overshoot.scene import APPS, played
from tests.overshoot.verdict import judge, probe, settled

ROUNDS = int(os.environ.get("OVERSHOOT_ROUNDS", "1"))
SECONDS = float(os.environ.get("OVERSHOOT_SECONDS", "2"))
SEED = int(os.environ.get("OVERSHOOT_SEED", "1"))
PROCESSES = 4

pytestmark = pytest.mark.real


async def play(scene, number):
    """One round: apps call and things are killed, then everything is held against everything; gives its counts."""
    async with scene.calling(PROCESSES, number) as counts:
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            await asyncio.sleep(scene.dice.uniform(0.3, 1.2))  # between two kills
            await scene.hurt()
        await scene.recovered()
        await asyncio.sleep(1)  # calls at all of them
    await settled(scene)
    first = await judge(scene)
    probes, mistaken = await probe(scene, number)
    await settled(scene)
    second = await judge(scene)
    wrong = [*first.wrong, *mistaken, *second.wrong]
    assert not wrong, f"round {number} of seed {SEED}:\n" + "\n".join(wrong[:20])
    assert counts["status 200"] > 0
    return counts | Counter(probes=probes), second


async def rounds(folder, seed, report, *, on_redis):
    counts, began_s = Counter(), time.monotonic()
    async with played(folder, random.Random(seed), on_redis=on_redis) as scene:
        for number in range(ROUNDS):
            told, last = await play(scene, number)
            counts.update(told)
        kills = ", ".join(f"{count} x {what}" for what, count in sorted(scene.kills.items()))
        where = f"{len(scene.taximeters)} Taximeters on {'a Redis' if on_redis else 'a file'}"
        till = scene.till
    report(
        f"\n{where}, {PROCESSES * APPS} apps, {ROUNDS} rounds, {time.monotonic() - began_s:.0f} s, seed {SEED}: "
        f"{counts['sent']:,} calls sent, {last.rows:,} on the books, {counts['refused']:,} refused, {counts['left']:,} left; "
        f"killed: {kills}; the caps looked at {till.looks:,} times: at most {float(till.fullest):.4%} charged and "
        f"{float(last.fullest):.4%} booked; {last.counters:,} counters, ledger less store 0; "
        f"{last.exact:,} calls booked exactly, {float(last.charged_nano) / 1e9:.4f} USD charged and "
        f"{float(last.beyond_nano) / 1e9:.4f} USD held for what nobody knows; {counts['probes']} calls that just fit admitted\n"
    )


async def test_no_cap_is_passed_by_a_taximeter_on_a_file(tmp_path, capsys):
    with capsys.disabled():
        await rounds(tmp_path, SEED, sys.stdout.write, on_redis=False)


@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
async def test_no_cap_is_passed_by_two_taximeters_on_one_redis(tmp_path, capsys):
    with capsys.disabled():
        await rounds(tmp_path, SEED + 1000, sys.stdout.write, on_redis=True)
