"""The faults: what is done to a Taximeter under load, one round at a time.

A round waits for a random instant, does its harm, and waits for a condition; nothing waits for a time. Whether the calls
survived it is not decided here but by the account that is drawn up after all rounds.
"""

import asyncio
import random
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.settings import to_json
from tests.fakes.killable import EVERYTHING, SUPERVISOR
from tests.fakes.until import until
from tests.fakes.whole import ROOT, taximeter
from tests.faults import damage, disk, gone
from tests.faults.account import Told
from tests.faults.relay import NO_HARM, Harm, HarmKind, unharmed
from tests.faults.stage import PATIENCE_S, Stage

OWN, RELAYED, CLOCKED = "own", "relayed", "clocked"
FULL_PASS, FULL_REFUSE, QUOTA_PASS, QUOTA_REFUSE = "full-pass", "full-refuse", "quota-pass", "quota-refuse"
SINK_GONE = "sink-gone"
"""Kinds of stages; see `tests.faults.suite`."""
Play = Callable[[Stage], Awaitable[None]]
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Fault:
    """One of them."""

    name: str
    title: str
    """For the table: what is done."""
    stage: str
    play: Play
    """One round."""
    share: float = 1.0
    """How many rounds it gets of those that are asked for."""
    short: bool = True
    """Whether a round of it is part of the short version."""
    after: Play | None = None
    """Done when nobody calls any more."""
    told: Callable[[Stage], Awaitable[Told]] | None = None
    """What the product says that it could not keep."""

    def rounds(self, asked: int) -> int:
        """How many rounds it gets."""
        return max(1, round(asked * self.share))


# --- processes ----------------------------------------------------------------------------------------------------


def _killed(*names: str) -> Play:
    async def play(stage: Stage) -> None:
        await stage.instant()
        await stage.taximeter.kill(stage.dice.choice(names))
        if stage.dice.random() < 0.7:
            # Else the next one is killed in the middle of the recovery.
            await stage.recovered()

    return play


async def _told_to_end(stage: Stage) -> None:
    await stage.instant()
    await stage.end()
    await stage.start_again()
    await stage.recovered()


async def _killed_while_it_ends(stage: Stage) -> None:
    await stage.instant()
    process = stage.taximeter.whole.process
    process.terminate()
    beats = stage.load.beats + stage.dice.randint(0, 60)
    await until(lambda: process.returncode is not None or stage.load.beats >= beats, limit_s=PATIENCE_S)
    await stage.taximeter.kill(EVERYTHING)
    await stage.recovered()


async def _two_recorders(stage: Stage) -> None:
    """A second one waits for the first, takes over when it is killed, and is killed itself; a second start is refused."""
    await stage.instant()
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.recorder_process", cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert second.stdin
    assert second.stdout
    try:
        second.stdin.write(to_json(stage.settings) + b"\n")
        said = b""
        while b"waiting" not in said:
            said = await asyncio.wait_for(second.stdout.readline(), PATIENCE_S)
            assert said, "the second recorder ended"
        await stage.taximeter.kill("recorder-0")
        await stage.calls(40)
        status, _, errors = await taximeter(stage.folder, "serve")
        assert status != 0, "a second Taximeter started on the same folder"
        assert "in use" in errors, errors
    finally:
        second.kill()
        await second.wait()
    await stage.recovered()


# --- the store ----------------------------------------------------------------------------------------------------


def _harmed(kind: HarmKind, *, times: int = 3, chance: float = 0.6, inserts: bool = True, **more: float) -> Play:
    """A harm that is done to some requests, INSERTs alone or all, until it was done so many times."""

    async def play(stage: Stage) -> None:
        relay = stage.relay
        assert relay
        await stage.instant()
        enough = relay.struck[kind] + times
        relay.choose = lambda is_insert: (
            _drawn(kind, stage.dice, more) if (is_insert or not inserts) and stage.dice.random() < chance else NO_HARM
        )
        await until(lambda: relay.struck[kind] >= enough, limit_s=PATIENCE_S)
        relay.choose = unharmed
        await stage.calls(10)

    return play


def _drawn(kind: HarmKind, dice: random.Random, more: dict[str, float]) -> Harm:
    """A harm with its place drawn: early, in the middle or late."""
    at_bytes = int(10 ** dice.uniform(0, 5))
    return Harm(kind, status=int(more.get("status", 500)), at_bytes=at_bytes, delay_s=more.get("delay_s", 0.0))


def _dead(segments: int) -> Play:
    """Nothing answers until so many segments wait."""

    async def play(stage: Stage) -> None:
        relay = stage.relay
        assert relay
        await stage.instant()
        relay.choose = lambda _: Harm("refuse")
        await stage.waiting(segments)
        relay.choose = unharmed
        await until(lambda: len(stage.sealed()) < segments // 4, limit_s=PATIENCE_S)

    return play


def _killed_in_insert(*kinds: HarmKind) -> Play:
    """The recorder is killed while its INSERT is under way: the store has not seen it yet, or has carried it out."""

    async def play(stage: Stage) -> None:
        relay = stage.relay
        assert relay
        await stage.instant()
        kind = stage.dice.choice(kinds)
        enough = relay.struck[kind] + 1
        relay.choose = lambda is_insert: Harm(kind) if is_insert else NO_HARM
        await until(lambda: relay.struck[kind] >= enough, limit_s=PATIENCE_S)
        await stage.taximeter.kill("recorder-0")
        relay.choose = unharmed
        if stage.dice.random() < 0.7:
            await stage.recovered()

    return play


# --- clocks -------------------------------------------------------------------------------------------------------


async def _clock_jumps(stage: Stage) -> None:
    """Back and forth by hours, with something killed while it is wrong."""
    assert stage.clock
    for _ in range(3):
        await stage.instant()
        stage.clock.turn(stage.dice.choice([-1, 1]) * stage.dice.uniform(1, 30) * _HOUR_S)
        await stage.calls(10)
    await stage.taximeter.kill(stage.dice.choice(["worker-0", "recorder-0", "worker-1"]))
    await stage.instant()
    stage.clock.turn(0.0)
    await stage.recovered()


_KILLED = "kill -9"
FAULTS: tuple[Fault, ...] = (
    Fault("worker", f"{_KILLED} of a worker", OWN, _killed("worker-0", "worker-1"), share=1.5),
    Fault("recorder", f"{_KILLED} of the recorder", OWN, _killed("recorder-0")),
    Fault("store", f"{_KILLED} of the embedded store", OWN, _killed("store-0"), short=False),
    Fault("supervisor", f"{_KILLED} of the supervisor", OWN, _killed(SUPERVISOR), share=0.5, short=False),
    Fault("restart", f"{_KILLED} of everything at once, as when a machine restarts", OWN, _killed(EVERYTHING)),
    Fault("sigterm", "SIGTERM under load, with open streams", OWN, _told_to_end, share=0.5),
    Fault("sigkill-in-shutdown", f"{_KILLED} of everything during a shutdown", OWN, _killed_while_it_ends, share=0.5),
    Fault("two-recorders", "a second recorder, and a second start, on the same folder", OWN, _two_recorders, share=0.5),
    Fault(
        "damaged",
        "sealed segments damaged before they are read: a byte, a torn tail, a page of zeros, foreign files",
        OWN,
        damage.before_reading,
        share=0.5,
        after=damage.closed,
        told=damage.told,
    ),
    Fault(
        "torn",
        "kill -9 of everything, and the ends of open segments torn off",
        OWN,
        damage.torn_tails,
        share=0.5,
        after=damage.closed,
        told=damage.told,
    ),
    Fault(
        "recorder-in-insert",
        f"{_KILLED} of the recorder in mid-insert, before the store has seen it or after it has applied it",
        RELAYED,
        _killed_in_insert("stall", "hold"),
    ),
    Fault(
        "store-dead", "the store does not answer until 150 segments wait", RELAYED, _dead(150), share=0.25, short=False
    ),
    Fault(
        "store-slow",
        "the store is late by 0.3 s, and takes and answers in trickles",
        RELAYED,
        _harmed("slow", chance=1.0, inserts=False, delay_s=0.3),
        share=0.3,
        short=False,
    ),
    Fault(
        "http-500",
        "the store answers 500",
        RELAYED,
        _harmed("status", inserts=False, status=500),
        share=0.3,
        short=False,
    ),
    Fault("http-503", "the store answers 503", RELAYED, _harmed("status", inserts=False, status=503), share=0.3),
    Fault(
        "http-429",
        "the store answers 429",
        RELAYED,
        _harmed("status", inserts=False, status=429),
        share=0.3,
        short=False,
    ),
    Fault(
        "applied-502",
        "502, though the store has applied the insert",
        RELAYED,
        _harmed("status_after", status=502),
        short=False,
    ),
    Fault("applied-no-answer", "no answer, though the store has applied the insert", RELAYED, _harmed("swallow")),
    Fault(
        "cut-insert", "the connection is cut in mid-insert, after 1 to 100,000 bytes", RELAYED, _harmed("cut_request")
    ),
    Fault(
        "cut-answer", "the connection is cut in mid-answer, after 1 to 100,000 bytes", RELAYED, _harmed("cut_answer")
    ),
    Fault(
        "applied-timeout",
        "the insert is applied, and the answer kept back for longer than the recorder waits (60 s)",
        RELAYED,
        _harmed("hold", times=1, chance=1.0),
        share=0.0,
        short=False,
    ),
    Fault(
        "rotten",
        "sealed segments damaged after they were read, before they were shipped, and the recorder killed",
        RELAYED,
        damage.after_reading,
        share=0.5,
        after=damage.closed,
        told=damage.told_of_what_was_read,
    ),
    Fault(
        "disk-full",
        "the disk is full (a tmpfs), calls pass",
        FULL_PASS,
        disk.full,
        share=0.5,
        after=disk.restarted,
        told=disk.told,
    ),
    Fault(
        "disk-full-refuse",
        "the disk is full (a tmpfs), calls are refused",
        FULL_REFUSE,
        disk.full,
        share=0.5,
        after=disk.restarted,
        told=disk.told,
    ),
    Fault(
        "journal-full",
        "the store does not answer until the journal is at its bound, calls pass",
        QUOTA_PASS,
        disk.used_up,
        short=False,
        share=0.2,
        after=disk.restarted,
        told=disk.told,
    ),
    Fault(
        "journal-full-refuse",
        "the store does not answer until the journal is at its bound, calls are refused",
        QUOTA_REFUSE,
        disk.used_up,
        share=0.2,
        after=disk.restarted,
        told=disk.told,
    ),
    Fault(
        "sink-gone",
        "a dead sink until the journal's bound, and the recorder killed while it makes room; the sink comes back",
        SINK_GONE,
        gone.until_the_bound,
        share=0.3,
        told=gone.told,
    ),
    Fault("clock", "the wall clock jumps back and forth by 1 to 30 hours", CLOCKED, _clock_jumps, share=0.5),
)
