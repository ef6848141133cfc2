"""Rounds that damage segments on the disk: before they are read, after they were read, and while they were written."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from exporters.journal.names import parse_sealed
from tests.fakes.killable import EVERYTHING
from tests.fakes.until import until
from tests.faults.account import Told
from tests.faults.destroyed import CHANGES, tear
from tests.faults.relay import Harm, unharmed
from tests.faults.stage import PATIENCE_S, Stage

_FOREIGN = ("notes.txt", "lost+found", "00000001.open.bak", "core.4711")


async def before_reading(stage: Stage) -> None:
    """The recorder stands still, segments are sealed and damaged, and it goes on."""
    await stage.instant()
    recorder = stage.taximeter.whole.pid("recorder-0")
    os.kill(recorder, signal.SIGSTOP)
    try:
        unread = set(stage.sealed())
        await until(lambda: len(set(stage.sealed()) - unread) >= 6, limit_s=PATIENCE_S)
        fresh = sorted(set(stage.sealed()) - unread)
        _damage(stage, stage.dice.sample(fresh, len(CHANGES)))
        _put_foreign_files(stage)
    finally:
        os.kill(recorder, signal.SIGCONT)
    await stage.calls(10)


async def after_reading(stage: Stage) -> None:
    """The store is away, the recorder has read what waits for it, and that is damaged.

    The recorder is killed then: what it has kept in its memory it would ship undamaged.
    """
    assert stage.relay
    await stage.instant()
    stage.relay.choose = lambda _: Harm("refuse")
    await stage.waiting(12)
    waiting = sorted(stage.sealed())
    await until(lambda: all(_was_read(stage, path) for path in waiting), limit_s=PATIENCE_S)
    _damage(stage, stage.dice.sample(waiting, len(CHANGES)))
    os.kill(stage.taximeter.whole.pid("recorder-0"), signal.SIGKILL)
    stage.relay.choose = unharmed
    await until(lambda: not any(path.exists() for path in waiting), limit_s=PATIENCE_S)


async def torn_tails(stage: Stage) -> None:
    """Everything is killed, and the segments that were being written lose their ends before it is started again."""
    await stage.instant()

    def tear_off() -> None:
        for path in stage.journal.glob("[!.]*/*.open"):
            if path.stat().st_size:
                stage.destroyed.change(path, tear, stage.dice)

    await stage.taximeter.kill(EVERYTHING, between=tear_off)
    await stage.recovered()


async def closed(stage: Stage) -> None:
    """Workers end, so that calls whose ends were destroyed are closed; what others put there is taken away."""
    for path in stage.journal.rglob("*"):
        if path.name in _FOREIGN:
            path.unlink()
    await stage.end()
    await stage.start_again()


async def told(stage: Stage) -> Told:
    """The calls of which nothing is left, those that lost their ends, and whether the product saw the damage."""
    destroyed = stage.destroyed
    counted = (await stage.losses()).get("segment_damaged", 0)
    wrong = () if counted == destroyed.sealed else (f"{destroyed.sealed} segments were damaged, it counts {counted}",)
    gone = destroyed.nothing_left(stage.journal)
    return Told(destroyed=frozenset(gone), broken=frozenset(destroyed.ends), wrong=wrong)


async def told_of_what_was_read(stage: Stage) -> Told:
    """The calls whose ends are gone: their first lines were read before, so nobody misses them; their sink counts."""
    destroyed = stage.destroyed
    sinks = (await stage.status())["journal"]["sinks"]
    counted = sum(sink["counts"].get("unreadable_lines", 0) for sink in sinks.values())
    least = len(destroyed.ends)
    wrong = () if counted >= least else (f"{least} ends of calls were destroyed, and {counted} lines are counted",)
    return Told(destroyed=frozenset(destroyed.ends), wrong=wrong)


def _damage(stage: Stage, paths: list[Path]) -> None:
    for path, change in zip(paths, CHANGES, strict=True):
        stage.destroyed.change(path, change, stage.dice)


def _put_foreign_files(stage: Stage) -> None:
    folders = [stage.journal, *(path for path in stage.journal.glob("[!.]*") if path.is_dir())]
    for name in _FOREIGN:
        (stage.dice.choice(folders) / name).write_bytes(b"not ours\n")


def _was_read(stage: Stage, path: Path) -> bool:
    name = parse_sealed(path.name)
    assert name
    with closing(sqlite3.connect(f"file:{stage.data_dir}/run/recorder.sqlite?mode=ro", uri=True)) as db:
        row = db.execute("SELECT number FROM read WHERE instance = ?", (path.parent.name,)).fetchone()
    return bool(row) and row[0] >= name.number
