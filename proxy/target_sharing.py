"""What one worker tells the others of its targets, what it hears of theirs, and the orders that it obeys.

Once a second, by small files of the run folder: a breaker that opens in one worker is open in all of them a second
later. Nothing of it is on the way of a call.
"""

import time
from pathlib import Path

from policies.breaker import WELL
from policies.health import Snapshot
from proxy.routing import Routes
from proxy.target_files import Notes, Order, read_notes, read_orders, write_notes

EVERY_S = 1.0
SAY_AGAIN_S = 60.0
"""What has not changed is said again so often, so that others know that it still holds."""


class TargetSharing:
    """Keeps the targets of a worker in step. Call `step` from the worker's timer.

    Args:
        run_dir: Folder of the files.
        worker: A name that no other worker has.
    """

    def __init__(self, run_dir: Path, worker: str) -> None:
        self._run_dir = run_dir
        self._worker = worker
        self._next_s = 0.0
        self._said: dict[str, tuple[object, ...]] = {}
        self._said_at_s = -SAY_AGAIN_S

    def step(self, routes: Routes | None, now_s: float) -> None:
        """Listen, obey and tell, once a second. `now_s` is of a clock that only goes forward."""
        if routes is None or not routes.targets or now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        for notes in read_notes(self._run_dir, but=self._worker):
            for name, snapshot in notes.targets.items():
                if (state := routes.targets.get(name)) is not None:
                    state.health.absorb(snapshot)
        for name, ordered in read_orders(self._run_dir).items():
            self._obey(routes, name, ordered.order, ordered.at_ns)
        self._tell(routes, now_s)

    def _obey(self, routes: Routes, name: str, order: Order, at_ns: int) -> None:
        state = routes.targets.get(name)
        if state is None or state.health.standing.ordered_ns >= at_ns:
            return  # done, by this worker or by one that told of it
        if order == "drain":
            state.health.drain(at_ns)
        else:
            state.health.restore(at_ns)

    def _tell(self, routes: Routes, now_s: float) -> None:
        now_ns = routes.clock()
        snapshots = {name: state.health.snapshot(now_ns) for name, state in routes.targets.items()}
        news = {name: _worth_telling(snapshot) for name, snapshot in snapshots.items()}
        if news == self._said and now_s - self._said_at_s < SAY_AGAIN_S:
            return
        if write_notes(self._run_dir, Notes(worker=self._worker, written_at_s=time.time(), targets=snapshots)):
            self._said, self._said_at_s = news, now_s


def _worth_telling(snapshot: Snapshot) -> tuple[object, ...]:
    standing = snapshot.standing
    return () if standing == WELL and not snapshot.buckets else (standing, snapshot.paused_until_ns, snapshot.buckets)
