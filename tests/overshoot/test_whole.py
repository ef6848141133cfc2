"""The overshoot test of the whole product: no hard cap is ever passed, and the ledger equals the store to the last digit.

Whole Taximeters with their recorders, processes of apps with hundreds of calls at once in nested scopes, providers that
fail and charge at random, apps that leave, and kill -9 of everything in between. `OVERSHOOT_ROUNDS` and
`OVERSHOOT_SECONDS` make it longer; `make overshoot` does.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.redis_server import PROGRAM, WHY_NOT
from tests.overshoot.scene import APPS, Scene, played
from tests.overshoot.verdict import judge, probe, settled

ROUNDS = int(os.environ.get("OVERSHOOT_ROUNDS", "1"))
SECONDS = float(os.environ.get("OVERSHOOT_SECONDS", "2"))
SEED = int(os.environ.get("OVERSHOOT_SEED", "1"))
PROCESSES = 4

pytestmark = pytest.mark.real


async def play(scene: Scene, number: int, report: Callable[[str], object]) -> None:
    """One round: apps call, things are killed; then everything is held against everything."""
    kills_before = dict(scene.kills)
    began_s = time.monotonic()
    async with scene.calling(PROCESSES, number) as counts:
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            await asyncio.sleep(scene.dice.uniform(0.3, 1.2))  # between two kills
            await scene.hurt()
        await scene.recovered()
        await asyncio.sleep(1)  # calls by all of them
    await settled(scene)
    verdict = await judge(scene)
    probes, mistaken = await probe(scene, number)
    verdict.wrong += mistaken
    await settled(scene)
    verdict.wrong += (await judge(scene)).wrong
    kills = {what: n - kills_before.get(what, 0) for what, n in scene.kills.items() if n > kills_before.get(what, 0)}
    report(
        f"\nround {number}: {counts.get('sent', 0)} calls by {PROCESSES * APPS} apps, {counts.get('refused', 0)} refused, "
        f"{counts.get('left', 0)} left, kills {kills}, {verdict.counters} counters, {verdict.rows} rows, "
        f"{verdict.exact} exact, {float(verdict.charged_nano) / 1e9:.4f} USD and {float(verdict.beyond_nano) / 1e9:.4f} USD "
        f"beyond, fullest {float(scene.till.fullest):.4%} {float(verdict.fullest):.4%}, {probes} probes, {time.monotonic() - began_s:.0f} s, {dict(counts)}\n"
    )
    assert not verdict.wrong, "\n".join(verdict.wrong[:20])
    assert counts.get("status 200", 0) > 0


async def rounds(folder: Path, seed: int, report: Callable[[str], object], *, on_redis: bool) -> None:
    async with played(folder, random.Random(seed), on_redis=on_redis) as scene:
        for number in range(ROUNDS):
            await play(scene, number, report)


async def test_no_cap_is_passed_by_a_taximeter_on_a_file(tmp_path, capsys):
    with capsys.disabled():
        await rounds(tmp_path, SEED, sys.stdout.write, on_redis=False)


@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
async def test_no_cap_is_passed_by_two_taximeters_on_one_redis(tmp_path, capsys):
    with capsys.disabled():
        await rounds(tmp_path, SEED + 1000, sys.stdout.write, on_redis=True)
