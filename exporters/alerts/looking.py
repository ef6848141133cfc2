"""What is found by looking from time to time: the recorder's status, and the pace of budgets."""

from collections.abc import Callable, Iterable

import msgspec

from exporters.alerts import pace
from exporters.alerts.alert import Sighting, Signal
from exporters.alerts.findings import LOOKED_FOR, losses, standing
from exporters.alerts.memory import Memory
from exporters.alerts.rulebook import Rulebook
from exporters.alerts.sink import Look
from exporters.ledger.watching import Watched, policy_of
from exporters.recorder.status import RecorderStatus
from policies.ledger.books import Books, BooksUnavailableError
from policies.wording import amount_text, number_text

_LOSSES = "losses"
_WATCHED_SINCE = "watched_since_ns"


def status_look(status: RecorderStatus) -> Look:
    """What the recorder says of itself. It is read here in the thread of a sink: single values, replaced as a whole."""

    def see(memory: Memory, now_ns: int) -> Iterable[Sighting]:
        now, noted = dict(status.losses), memory.fact(_LOSSES)
        told = msgspec.json.encode(now).decode()
        if told != noted:
            memory.note(_LOSSES, told)
        yield from standing(status, now_ns)
        if noted is not None:  # else they are of a time before there were alerts
            yield from losses(msgspec.json.decode(noted, type=dict[str, int]), now)

    return Look(LOOKED_FOR, see)


def budget_look(rulebook: Rulebook, books: Books) -> Look:
    """Which budgets will be spent before their time. A ledger that does not answer leaves all as it was."""

    def see(memory: Memory, now_ns: int) -> Iterable[Sighting]:
        told = memory.open_keys("run_rate")
        try:
            rulebook.refresh()
            foreseen = any(one.window.shape in pace.FORESEEN for one in rulebook.budgets.values())
            recorded = books.recorded() if foreseen else ()
            levels = pace.present_levels(rulebook.budgets, recorded, books.top_ups() if foreseen else (), now_ns)
        except BooksUnavailableError:
            return [_as_it_was(key) for key in told]
        known_ns = _watch(memory, levels, now_ns)
        lately = memory.spent_lately()
        found = []
        for level in levels:
            spent = lately.get(level.family, 0)
            foreseen = pace.run_rate_key(level.counter) in told
            if foreseen and level.spent >= level.limit:
                found.append(_as_it_was(pace.run_rate_key(level.counter)))  # it came true: nothing to call off
                continue
            at_ns = pace.exhausted_at_ns(level, spent, known_ns, now_ns, foreseen=foreseen)
            if at_ns is not None:
                found.append(pace.run_rate(level, spent, known_ns, at_ns))
        return found

    return Look(("run_rate",), see)


def drift_look(found: Callable[[], Watched | None]) -> Look:
    """Which budgets the ledger and the store differ on; one alert for each. Before a first comparison all stays."""

    def see(memory: Memory, _now_ns: int) -> Iterable[Sighting]:
        watched = found()
        if watched is None or not watched.at_ns:
            return [Sighting(key=key, kind="drift", describe=_not_compared) for key in memory.open_keys("drift")]
        return [_drift(policy, watched) for policy in sorted({policy_of(line) for line in watched.drifting})]

    return Look(("drift",), see)


def _drift(policy: str, watched: Watched) -> Sighting:
    lines = [line for line in watched.drifting if policy_of(line) == policy]
    worst = max(lines, key=lambda line: abs(line.drift))

    def describe() -> Signal:
        more = f" It is the largest of {len(lines)}." if len(lines) > 1 else ""
        ledger, store = amount_text(worst.ledger, worst.unit), amount_text(worst.store, worst.unit)
        return Signal(
            kind="drift",
            severity="critical",
            title=f"ledger and store differ on {policy.replace(':', ' ', 1)}",
            text=f"{worst.counter}: the ledger has {ledger}, the store {store}.{more} "
            "taximeter ledger compare tells more, taximeter ledger rebuild puts it right.",
            fields={
                "policy": policy,
                "counter": worst.counter,
                "ledger": number_text(worst.ledger, worst.unit),
                "store": number_text(worst.store, worst.unit),
                "drift": number_text(worst.drift, worst.unit),
                "unit": worst.unit,
                "counters": str(len(lines)),
            },
        )

    return Sighting(key=f"drift:{policy}", kind="drift", describe=describe)


def _not_compared() -> Signal:
    return Signal(
        kind="drift",
        severity="critical",
        title="ledger and store differed before the restart",
        text="They are compared again within minutes.",
    )


def _watch(memory: Memory, levels: list[pace.Level], now_ns: int) -> int:
    """Note what was spent since the last look; for how long that has been done, in nanoseconds."""
    since = memory.fact(_WATCHED_SINCE)
    if since is None:
        memory.note(_WATCHED_SINCE, str(now_ns))
    bucket = now_ns // pace.BUCKET_NS
    oldest = bucket - pace.PACE_NS // pace.BUCKET_NS
    rises = pace.grown(levels, memory.levels(), first=since is None)
    memory.add_pace({level.counter: level.spent for level in levels}, rises, bucket, oldest)
    return min(now_ns - int(since or now_ns), now_ns - oldest * pace.BUCKET_NS)


def _as_it_was(key: str) -> Sighting:
    """One that lasts, as nobody can say otherwise; it is told once, so that nobody asks it for words."""
    return Sighting(key=key, kind="run_rate", describe=lambda: _never(key))


def _never(key: str) -> Signal:
    raise LookupError(key)
