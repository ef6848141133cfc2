"""What the recorder knows of the policies in force: which counter a rule means for a call, and what its limit is.

It reads the file that the supervisor leaves for the workers, again when it changes, and of it the rules alone: the
rates are many megabytes where a price library is large.
"""

import contextlib
from pathlib import Path

import msgspec

from policies.compiled import FORMAT, Budget, CompiledPolicies, Limit
from policies.counters import Counters
from policies.demand import Demand
from policies.facts import CallFacts
from policies.match import Bound, Matcher
from proxy.core.facts import RequestFacts
from proxy.core.record import CallRecord


class _Rules(msgspec.Struct):
    """The part of the compiled policies that is wanted."""

    format: int = FORMAT
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()


class Rulebook:
    """The rules of a file of compiled policies; none where there is no such file, or one that cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._matcher = Matcher(CompiledPolicies())
        self._counters = Counters()
        self.budgets: dict[str, Budget] = {}
        """By `budget:NAME`."""

    def refresh(self) -> None:
        """Read the file if it has changed; one that cannot be read changes nothing."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            rules = msgspec.json.decode(self._path.read_bytes(), type=_Rules)
            self._stamp = stamp
            if rules.format == FORMAT:
                self._take(CompiledPolicies(budgets=rules.budgets, limits=rules.limits))

    def _take(self, policies: CompiledPolicies) -> None:
        self._matcher = Matcher(policies)
        self._counters = Counters()
        self.budgets = {budget.policy: budget for budget in policies.budgets}

    def bound(self, call: CallRecord, policy: str) -> Bound | None:
        """The rule of that name for a call, with its scope; None where it is not in force or not for that call."""
        found = self._matcher.find(facts_of(call), call.started_at_ns)
        return next((bound for bound in found if bound.rule.policy == policy), None)

    def demand(self, bound: Bound, at_ns: int) -> Demand:
        """The counter that a rule draws on at an instant."""
        return self._counters.demand(bound, 0, at_ns)


def facts_of(call: CallRecord) -> CallFacts:
    """What a finished call says of itself, as far as rules look at it."""
    return CallFacts(
        provider=call.provider,
        operation=call.operation,
        request=RequestFacts(model=call.model_requested or None, streaming=call.streaming),
        caller=call.caller,
        dialect=call.dialect,
        billable=call.billable,
    )
