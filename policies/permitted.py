"""Which targets of a route the virtual key of a call may use. PURE.

What a key may use is stated by provider, model and operation. The engine asks that of the call as the app wrote it; a
route may lead elsewhere, and a model that a target names is another one than the app's: it is asked again for each.
"""

from collections.abc import Mapping

import msgspec

from policies.compiled import KeyRule
from policies.decision import Deny
from policies.downgrade import call_at
from policies.engine import key_refusal
from policies.facts import CallFacts
from policies.routes_compiled import Route, RouteTarget


class Barred(msgspec.Struct, frozen=True, kw_only=True):
    """A target that the key of a call may not use."""

    target: str
    """Its id."""
    refusal: Deny

    @property
    def why(self) -> str:
        """`key_provider`, `key_model` or `key_operation`."""
        return self.refusal.code


def permitted(
    route: Route, call: CallFacts, rules: Mapping[str, KeyRule], now_ns: int
) -> tuple[Route, tuple[Barred, ...]]:
    """The route with the targets that a call may be sent to, and those that it may not.

    Args:
        route: That the call takes.
        call: Its facts.
        rules: Of virtual keys, by name.
        now_ns: Unix time in nanoseconds.
    """
    rule = rules.get(call.key) if call.key else None
    if rule is None or not (rule.providers or rule.models or rule.operations):
        return route, ()
    left: list[RouteTarget] = []
    barred: list[Barred] = []
    for target in route.targets:
        refusal = key_refusal(rule, call_at(call, target), now_ns)
        if refusal is None:
            left.append(target)
        else:
            barred.append(Barred(target=target.id, refusal=refusal))
    if not barred:
        return route, ()
    return msgspec.structs.replace(route, targets=tuple(left)), tuple(barred)
