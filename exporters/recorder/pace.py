"""Keeps sinks together that work, so that each segment is read and priced once for all of them.

A sink that is ahead waits for those that are busy further back, but for a moment only: who takes longer than that is
left behind, and nobody waits for it again until it is there by itself. Sinks that fail are not waited for at all. So a
sink that is slow or down costs the others one wait, and then nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping

import msgspec

PATIENCE_S = 2.0
"""An insert of a full parcel takes about a second; what is counted or booked from a backlog is late anyway."""


class Walker(msgspec.Struct, eq=False):
    """One sink, as far as it matters to the others."""

    cursors: Mapping[str, int]
    """Instance -> number of the last segment that it has."""
    busy: bool = False
    """Whether it is at work on a parcel, and has not failed on it."""
    left: set["Walker"] = msgspec.field(default_factory=set)
    """Those that it does not wait for."""

    def is_behind(self, other: "Walker") -> bool:
        """Whether it lacks something that the other has."""
        # Its thread may add an instance to it meanwhile: a copy is made in one step.
        return any(self.cursors.get(instance, 0) < number for instance, number in dict(other.cursors).items())


class Pace:
    """All sinks of a recorder. On its loop alone."""

    def __init__(self) -> None:
        self._walkers: list[Walker] = []
        self._moved = asyncio.Event()
        self._is_over = False

    def join(self, cursors: Mapping[str, int]) -> Walker:
        """A further sink; its cursors are looked at as they change."""
        walker = Walker(cursors)
        self._walkers.append(walker)
        return walker

    def begin(self, walker: Walker) -> None:
        """It looks what there is for it."""
        walker.busy = True

    async def keep(self, walker: Walker) -> None:
        """Wait until nobody who works is behind, or has taken too long; the walker is busy then."""
        walker.busy = False
        self.moved()
        until_s = time.monotonic() + PATIENCE_S
        while behind := self._awaited(walker):
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                walker.left |= behind
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left_s)
        walker.busy = True

    def rest(self, walker: Walker) -> None:
        """It has all there is, or has failed."""
        walker.busy = False
        self.moved()

    def moved(self) -> None:
        """Somebody is where it was not: whoever waits looks again."""
        self._moved.set()
        self._moved = asyncio.Event()

    def disband(self) -> None:
        """From now on nobody waits for anybody."""
        self._is_over = True
        self.moved()

    def _awaited(self, walker: Walker) -> set[Walker]:
        behind = {other for other in self._walkers if other is not walker and other.is_behind(walker)}
        walker.left &= behind
        return set() if self._is_over else {other for other in behind - walker.left if other.busy}
