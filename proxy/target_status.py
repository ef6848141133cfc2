"""How the targets of the routes in force are, by what the workers of this machine last said of them."""

from datetime import UTC, datetime

import msgspec

from policies.breaker import NS_PER_MS, at, joined
from policies.compiled import from_json
from policies.health import Snapshot
from policies.routes_compiled import BreakerRule
from proxy.policy_state import policies_file
from proxy.settings import Settings
from proxy.target_files import read_notes


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One target."""

    target: str
    state: str
    """`closed`, `open`, `half_open`, `slow_start`, `draining`; `rate_limited` where it is well but paused."""
    until: str = ""
    """When that ends, UTC; empty where it does not of itself."""
    calls: int = 0
    """Of all workers, in the window."""
    failures: int = 0


def known_targets(settings: Settings) -> dict[str, BreakerRule]:
    """The targets of the routes in force, in their order, with the rule of the first route that has them."""
    try:
        routes = from_json(policies_file(settings).read_bytes()).routing.routes
    except (OSError, msgspec.MsgspecError):
        return {}
    found: dict[str, BreakerRule] = {}
    for route in routes:
        for target in route.targets:
            found.setdefault(target.id, route.breaker)
    return found


def target_statuses(settings: Settings, now_ns: int) -> list[TargetStatus]:
    """Each target with its state; `now_ns` is Unix time."""
    notes = read_notes(settings.run_dir)
    return [
        _status(name, rule, [one.targets[name] for one in notes if name in one.targets], now_ns)
        for name, rule in known_targets(settings).items()
    ]


def _status(name: str, rule: BreakerRule, snapshots: list[Snapshot], now_ns: int) -> TargetStatus:
    standing = at(joined(one.standing for one in snapshots), rule, now_ns)
    paused_until_ns = max((one.paused_until_ns for one in snapshots), default=0)
    oldest = now_ns // max(1, rule.window_ms * NS_PER_MS // max(1, rule.buckets)) - max(1, rule.buckets) + 1
    buckets = [bucket for one in snapshots for bucket in one.buckets if bucket.index >= oldest]
    state: str = standing.state
    until_ns = standing.until_ns
    if state == "closed" and now_ns < paused_until_ns:
        state, until_ns = "rate_limited", paused_until_ns
    return TargetStatus(
        target=name,
        state=state,
        until=datetime.fromtimestamp(until_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if until_ns > now_ns else "",
        calls=sum(bucket.calls for bucket in buckets),
        failures=sum(bucket.failures for bucket in buckets),
    )
