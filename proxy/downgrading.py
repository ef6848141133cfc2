"""Sending a call to another model where a budget's threshold asks for that.

A downgrade is there to go on for less. Where it cannot be acted on the call stays as it is: an app's own key goes to no
other provider, a compressed body cannot be changed, and a virtual key may use what it may use.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from policies.decision import Decision
from policies.downgrade import Downgrade, downgraded
from policies.facts import CallFacts
from proxy.call import Call
from proxy.gate import Gate
from proxy.providers.paths import path_at
from proxy.routing import Journey, Routes
from proxy.upstream.provider import Upstream


class House(Protocol):
    """What a worker has in force; the handler is it."""

    gate: Gate
    upstreams: Mapping[str, Upstream]

    @property
    def ways(self) -> Routes:
        """The routes in force, which may be none."""


def find_downgrade(house: House, call: Call, facts: CallFacts, decision: Decision) -> Downgrade | None:
    """What a call asks for instead; None where its decision asks for nothing, or for what it cannot be sent to.

    Args:
        house: Of the worker.
        call: Its body read.
        facts: That the decision was made from.
        decision: Of the engine.
    """
    if call.place.shared.content_encoding:
        return None
    routes = house.ways
    reachable = _reachable(house, call, facts.dialect)
    found = downgraded(facts, decision, routes.routing, routes.router, reachable, routes.clock())
    if found is None:
        return None
    targets = tuple((one.provider, one.model) for one in found.route.targets)
    currency = house.upstreams[found.target.provider].currency
    return replace(found, call=replace(found.call, targets=targets, currency=currency))


def journey_of(house: House, call: Call, found: Downgrade, changes: tuple[str, ...] = ()) -> Journey:
    """The way of a call that was sent elsewhere; `changes` were made to its request before."""
    return house.ways.journey_on(found.route, found.call, call, changes)


def _reachable(house: House, call: Call, dialect: str) -> dict[str, tuple[str, ...]]:
    """Providers that the call may be sent to, and what each takes of it."""
    lent, home = house.gate.lends(call), call.upstream
    reachable: dict[str, tuple[str, ...]] = {}
    for name, upstream in house.upstreams.items():
        base = str(upstream.origin.prefix, "ascii", "replace")
        able = lent and upstream.keys.all and path_at(upstream.kind.kind, dialect, call.path, base) is not None
        reachable[name] = (dialect,) if upstream is home or able else ()
    return reachable
