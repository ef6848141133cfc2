"""The health of one target as one worker knows it: its breaker, what its calls came to lately, and what others say.

Failures are counted in a row, by this worker alone, and as a share of the calls in a sliding window of buckets, with
those of all workers. A transition begins a new window: what a target was excluded for does not count against it when it
is back. `snapshot` is what the others need; `absorb` takes theirs, in any order and as often as it comes.
"""

from collections import deque
from typing import Literal

import msgspec

from policies.breaker import NS_PER_MS, WELL, Bearing, Standing, at, later, moved, share
from policies.routes_compiled import ALL, BreakerRule

Refusal = Literal["", "open", "draining", "probing", "rate_limited"]
"""Why a target gets no call now; empty where it does."""
_IN_MOTION = frozenset({"open", "slow_start"})
"""States that time alone ends."""
MOST_WORKERS = 1024
"""Whose snapshots are kept; then the oldest ones go."""


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    """What calls came to in one stretch of time."""

    index: int
    """Which stretch of `window_ms / buckets`, since 1970."""
    calls: int
    failures: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one worker knows of a target."""

    worker: str
    version: int
    """Rises with each snapshot of a worker, over restarts, too."""
    standing: Standing = WELL
    paused_until_ns: int = 0
    """End of a rate limit, Unix time."""
    buckets: tuple[Bucket, ...] = ()
    """Of this worker alone, oldest first."""


class Look(msgspec.Struct, frozen=True):
    """Whether a target may get a call, and which share of those that it would get."""

    refusal: Refusal = ""
    share: int = ALL
    """Ten-thousandths; less than all during slow start."""
    back_at_ns: int = 0
    """When it may get calls again, as far as that is known; Unix time."""


FULL = Look()
"""A target that nothing is known against."""


class Health:
    """One target in one worker. All instants are Unix time in nanoseconds; a clock that goes back does no harm.

    Args:
        rule: The route's.
        worker: A name that no other worker and no other machine has.
    """

    __slots__ = (
        "_bucket_ends_ns",
        "_bucket_ns",
        "_buckets",
        "_calls",
        "_failures",
        "_good_probes",
        "_others",
        "_paused_until_ns",
        "_probes",
        "_row",
        "_rule",
        "_version",
        "_worker",
        "standing",
    )

    def __init__(self, rule: BreakerRule, worker: str = "") -> None:
        self._rule = rule
        self._worker = worker
        self._bucket_ns = max(1, rule.window_ms * NS_PER_MS // max(1, rule.buckets))
        self._buckets: deque[Bucket] = deque(maxlen=max(1, rule.buckets))
        self._bucket_ends_ns = 0
        """Of the newest bucket, which is counted beside those that are full."""
        self._calls = 0
        self._failures = 0
        self._others: dict[str, Snapshot] = {}
        self._paused_until_ns = 0
        self._probes: list[int] = []
        self._good_probes = 0
        self._row = 0
        self._version = 0
        self.standing = WELL

    def look(self, now_ns: int) -> Look:
        """Whether the target may get a call; looking changes nothing but what only takes time."""
        standing = self._now(now_ns)
        if standing.state == "closed":
            if now_ns < self._paused_until_ns:
                return Look("rate_limited", 0, self._paused_until_ns)
            return FULL
        if standing.state in {"open", "draining"}:
            return Look("open" if standing.state == "open" else "draining", 0, standing.until_ns)
        if now_ns < self._paused_until_ns:
            return Look("rate_limited", 0, self._paused_until_ns)
        if standing.state == "half_open":
            free = len(self._running_probes(now_ns)) < max(1, self._rule.probes)
            return FULL if free else Look("probing", 0, now_ns)
        return Look("", share(standing, self._rule, now_ns))

    def is_well(self, now_ns: int) -> bool:
        """Whether nothing at all is known against the target; where it is not, `look` says what."""
        return self.standing.state == "closed" and now_ns >= self._paused_until_ns

    def begin(self, now_ns: int) -> int | None:
        """An attempt begins: its probe number for `end`, or None where it is no probe."""
        if self.standing.state == "closed" or self._now(now_ns).state != "half_open":
            return None
        self._probes = self._running_probes(now_ns)
        number = max(now_ns, self._probes[-1] + 1) if self._probes else now_ns
        self._probes.append(number)
        return number

    def end(self, said: Bearing, now_ns: int, *, probe: int | None = None, retry_after_ms: int | None = None) -> None:
        """An attempt has ended.

        Args:
            said: What its outcome says (`policies.breaker.bearing`).
            now_ns: The instant.
            probe: What `begin` gave.
            retry_after_ms: What the provider asked for, where it said `slowed`.
        """
        if said == "good" and probe is None and self.standing.state == "closed":
            self._row = 0
            self._count(now_ns, failed=False)
            return
        standing = self._now(now_ns)
        is_probe = probe is not None and probe in self._probes
        if is_probe and probe is not None:
            self._probes.remove(probe)
        if said == "slowed":
            self._pause(now_ns, retry_after_ms)
        if said not in {"good", "bad"}:
            return
        self._count(now_ns, failed=said == "bad")
        if standing.state == "half_open":
            if is_probe:
                self._probed(said, now_ns)
        elif said == "good":
            self._row = 0
        else:
            self._row += 1
            if standing.state in {"closed", "slow_start"} and self._is_failing(now_ns):
                self._move(moved(standing, "tripped", self._rule, now_ns))

    def drain(self, now_ns: int) -> None:
        """Take the target out by hand."""
        self._move(moved(self._now(now_ns), "drain", self._rule, now_ns))

    def restore(self, now_ns: int) -> None:
        """Put a drained target back; any other stays as it is."""
        self._move(moved(self._now(now_ns), "restore", self._rule, now_ns))

    def snapshot(self, now_ns: int) -> Snapshot:
        """What the others have to know."""
        self._version = max(now_ns, self._version + 1)
        first = self._first_index(now_ns)
        return Snapshot(
            worker=self._worker,
            version=self._version,
            standing=self._now(now_ns),
            paused_until_ns=self._paused_until_ns,
            buckets=tuple(bucket for bucket in self._own() if bucket.index >= first),
        )

    def absorb(self, snapshot: Snapshot) -> None:
        """Take what another worker says; one's own word and older ones change nothing."""
        if snapshot.worker == self._worker:
            return
        known = self._others.get(snapshot.worker)
        if known is None or snapshot.version > known.version:
            self._others[snapshot.worker] = snapshot
            if len(self._others) > MOST_WORKERS:
                del self._others[min(self._others, key=lambda name: self._others[name].version)]
        self._paused_until_ns = max(self._paused_until_ns, snapshot.paused_until_ns)
        self._move(later(self.standing, snapshot.standing))

    def counts(self, now_ns: int) -> tuple[int, int]:
        """Calls and failures in the window, of all workers."""
        first = self._first_index(now_ns)
        calls = failures = 0
        for buckets in (self._own(), *(other.buckets for other in self._others.values())):
            for bucket in buckets:
                if bucket.index >= first:
                    calls += bucket.calls
                    failures += bucket.failures
        return calls, failures

    def _now(self, now_ns: int) -> Standing:
        if self.standing.state not in _IN_MOTION:
            return self.standing
        standing = at(self.standing, self._rule, now_ns)
        self._move(standing)
        return standing

    def _move(self, standing: Standing) -> None:
        """Take a standing; a new state begins with nothing counted."""
        if standing is self.standing:
            return
        if standing.state != self.standing.state:
            self._probes = []
            self._good_probes = 0
            self._row = 0
        self.standing = standing

    def _probed(self, said: Bearing, now_ns: int) -> None:
        if said == "bad":
            self._move(moved(self.standing, "probe_failed", self._rule, now_ns))
            return
        self._good_probes += 1
        if self._good_probes >= self._rule.good_probes:
            self._move(moved(self.standing, "probed_well", self._rule, now_ns))

    def _running_probes(self, now_ns: int) -> list[int]:
        forgotten_ns = now_ns - self._rule.probe_ms * NS_PER_MS
        return [begun_ns for begun_ns in self._probes if begun_ns > forgotten_ns]

    def _is_failing(self, now_ns: int) -> bool:
        rule = self._rule
        if rule.failures_in_row and self._row >= rule.failures_in_row:
            return True
        if not rule.error_share:
            return False
        calls, failures = self.counts(now_ns)
        return calls >= max(1, rule.calls_least) and failures * ALL >= calls * rule.error_share

    def _count(self, now_ns: int, *, failed: bool) -> None:
        if now_ns >= self._bucket_ends_ns:
            if self._calls:
                self._buckets.append(self._newest())
            index = now_ns // self._bucket_ns
            self._bucket_ends_ns = (index + 1) * self._bucket_ns
            self._calls = self._failures = 0
        self._calls += 1
        if failed:
            self._failures += 1

    def _newest(self) -> Bucket:
        """The bucket that is being filled."""
        return Bucket(self._bucket_ends_ns // self._bucket_ns - 1, self._calls, self._failures)

    def _own(self) -> tuple[Bucket, ...]:
        """What was counted here, oldest first."""
        return (*self._buckets, self._newest()) if self._calls else ()

    def _first_index(self, now_ns: int) -> int:
        """Of the oldest bucket in the window: none reaches back to before the last transition."""
        oldest = now_ns // self._bucket_ns - max(1, self._rule.buckets) + 1
        return max(oldest, self.standing.since_ns // self._bucket_ns + 1) if self.standing.moves else oldest

    def _pause(self, now_ns: int, retry_after_ms: int | None) -> None:
        rule = self._rule
        asked_ms = rule.rate_limited_ms if retry_after_ms is None else retry_after_ms
        until_ns = now_ns + min(max(asked_ms, 0), rule.rate_limited_most_ms) * NS_PER_MS
        self._paused_until_ns = max(self._paused_until_ns, until_ns)
