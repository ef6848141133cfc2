"""Makes faults, one after the other, and draws up the account of each."""

import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from pathlib import Path

import msgspec

from tests.fakes.until import until
from tests.faults.account import Account, Told, account
from tests.faults.apps import APPS, calling
from tests.faults.disk import BALLAST, QUOTA_BYTES, NoFileSystemError, small_disk
from tests.faults.faults import CLOCKED, FULL_PASS, FULL_REFUSE, OWN, QUOTA_PASS, QUOTA_REFUSE, SINK_GONE, Fault
from tests.faults.gone import BOUND_BYTES
from tests.faults.stage import PATIENCE_S, Stage, eventually, staged

_SETTLING_S = 20.0
_JOURNAL = {
    kind: f", keep: 0, {bound}, on_full: {kind.partition('-')[2]}"
    for kind, bound in {
        FULL_PASS: "min_free_bytes: 1MiB",
        FULL_REFUSE: "min_free_bytes: 1MiB",
        QUOTA_PASS: f"max_bytes: {QUOTA_BYTES}",
        QUOTA_REFUSE: f"max_bytes: {QUOTA_BYTES}",
    }.items()
} | {SINK_GONE: f", keep: 0, max_bytes: {BOUND_BYTES}, on_full: refuse"}
"""Kind of stage -> further keys of its journal."""


class NotYetError(ValueError):
    """Something is missing in the store that may still come."""


class Result(msgspec.Struct, kw_only=True):
    """What came of a fault."""

    title: str
    rounds: int
    account: Account
    skipped: str = ""
    """Why it could not be made here."""
    kept: str = ""
    """Where its data folder is kept; empty where all went well."""


async def run(faults: Iterable[Fault], rounds: int, seed: int, folder: Path) -> AsyncIterator[Result]:
    """Make the faults; those that stand next to each other on one kind of stage share a data folder.

    Args:
        faults: Which.
        rounds: How many of each, before its share.
        seed: Of the dice.
        folder: Where the data folders are made; one in which something went wrong is kept.
    """
    for kind, group in groupby(faults, lambda fault: fault.stage):
        waiting = list(group)
        while waiting:
            async for fault, result in _on_a_stage(kind, list(waiting), rounds, seed, folder):
                waiting.remove(fault)
                yield result


async def _on_a_stage(
    kind: str, faults: list[Fault], rounds: int, seed: int, folder: Path
) -> AsyncIterator[tuple[Fault, Result]]:
    """As many of the faults as one data folder sees through: the first that goes wrong ends it."""
    place = folder / f"{kind}-{faults[0].name}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    went_wrong = False
    try:
        async with _stage(kind, place, seed) as stage:
            for fault in faults:
                made = await _made(fault, stage, fault.rounds(rounds))
                went_wrong = not made.holds
                kept = str(place) if went_wrong else ""
                yield fault, Result(title=fault.title, rounds=fault.rounds(rounds), account=made, kept=kept)
                if went_wrong:
                    _keep_disk(stage, place)
                    break
    except NoFileSystemError as error:
        for fault in faults:
            skipped = Account(fault=fault.name)
            yield fault, Result(title=fault.title, rounds=0, account=skipped, skipped=str(error))
    if not went_wrong:
        shutil.rmtree(place)


def _keep_disk(stage: Stage, place: Path) -> None:
    """What lies in a file system of its own is gone with it."""
    if stage.data_dir.is_mount():
        shutil.copytree(stage.data_dir, place / "data-kept", ignore=shutil.ignore_patterns(BALLAST))


@asynccontextmanager
async def _stage(kind: str, place: Path, seed: int) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        if kind in {FULL_PASS, FULL_REFUSE}:
            stack.enter_context(small_disk(place / "data"))
        relayed = kind not in {OWN, CLOCKED, SINK_GONE}
        journal = _JOURNAL.get(kind, "")
        staging = staged(place, seed, relayed=relayed, clock=kind == CLOCKED, journal=journal, hooked=kind == SINK_GONE)
        yield await stack.enter_async_context(staging)


async def _made(fault: Fault, stage: Stage, rounds: int) -> Account:
    """Make a fault and account for it; a fault that cannot be brought to its end is an account that says so."""
    began_s = time.monotonic()
    load = stage.new_load()
    made = Account(fault=fault.name)
    try:
        async with calling(load):
            for _ in range(rounds):
                await fault.play(stage)
                made.struck += 1
            await stage.recovered()
            await stage.calls(2 * APPS)
        if fault.after:
            await fault.after(stage)
        struck, made = made.struck, await _settled(fault, stage)
        made.struck = struck
    except (TimeoutError, AssertionError, OSError, ValueError) as error:
        made.sent = len(load.calls)
        made.failure = f"{type(error).__name__}: {error}"
    made.seconds = round(time.monotonic() - began_s, 1)
    return made


async def _settled(fault: Fault, stage: Stage) -> Account:
    """The account, once the journal is empty and all that should be in the store is in it, or had its time to come."""
    load = stage.load
    asked = {call.number: stage.provider.asked[call.number] for call in load.calls}
    await until(stage.is_quiet, limit_s=PATIENCE_S)
    last: list[Account] = []

    async def drawn_up() -> Account:
        told = await fault.told(stage) if fault.told else Told()
        known = await stage.known()
        made = account(fault.name, load.calls, asked, known, deaths_s=stage.deaths_s, told=told)
        last[:] = [made]
        if made.lost or made.wrong or not stage.is_quiet():
            raise NotYetError
        return made

    try:
        found: Account = await eventually(drawn_up, _SETTLING_S)
    except TimeoutError:
        if not last:
            raise
        found = last[0]
    return found
