"""What calls say that somebody should hear of: thresholds passed, refusals, a full journal, usage without a price.

A call carries the reasons of its decision. They name the rule; which of the rule's counters it was is told by what the
call drew on, or, where it was refused and drew on nothing, by the rule itself (`Rulebook`).
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from exporters.alerts.alert import Kind, Severity, Sighting, Signal
from exporters.alerts.rulebook import Rulebook
from exporters.recorder.ports import PricedCall
from policies.compiled import Budget
from policies.ledger.books import Books, BooksUnavailableError
from policies.wording import instant_text, number_text, rounded_text
from proxy.core.record import CallRecord

QUIET_S = 3600.0
"""What is seen in calls and belongs to no window is over when it was not seen for so long."""
LATE_S = 86_400.0
"""A call that ended longer ago says nothing new."""
_NS = 10**9
_SAID = re.compile(r"(budget|limit|key):([^:]{1,100}):(.*)")
_AT = re.compile(r"at=([0-9]{1,5}(?:\.[0-9]{1,4})?)%:(\w+)")
_FIGURE = re.compile(r"(spent|held|hold|limit)=(-?[0-9]+(?:\.[0-9]+)?)(\w+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class _Counted(msgspec.Struct):
    """One counter of a rule, as far as a call tells it."""

    policy: str
    counter: str
    family: str
    until_ns: int | None = None
    rolling_s: float | None = None
    """Length of a rolling window, whose counters are its buckets."""

    @property
    def name(self) -> str:
        """`budget search (team=search)`."""
        return family_name(self.family)

    @property
    def key(self) -> str:
        """What the counter is remembered by; all buckets of a rolling window together."""
        return self.counter if self.rolling_s is None else self.family


class CallReader:
    """Reads batches.

    Args:
        rulebook: The rules in force.
        books: Where the figures are; a ledger that does not answer leaves them out.
    """

    def __init__(self, rulebook: Rulebook, books: Books) -> None:
        self._rulebook = rulebook
        self._books = books

    def read(self, calls: Iterable[PricedCall], now_ns: int) -> list[Sighting]:
        """What these calls say; one sighting for each thing that is the matter."""
        found: dict[str, Sighting] = {}
        earliest_ns = now_ns - int(LATE_S * _NS)
        for priced in calls:
            call = priced.call
            if call.started_at_ns + call.duration_ns < earliest_ns:
                continue
            for seen in (*self._reasons(call), *_unpriced(priced)):
                before = found.get(seen.key)
                found[seen.key] = seen if before is None else msgspec.structs.replace(before, count=before.count + 1)
        return list(found.values())

    def _reasons(self, call: CallRecord) -> Iterable[Sighting]:
        refused = call.outcome == "refused"
        for reason in call.reasons:
            if refused and reason == "journal_full":
                yield _sighting("journal_full", "journal_full", _journal_full)
                continue
            said = _SAID.fullmatch(reason)
            if said is None:
                continue
            policy, what = f"{said[1]}:{said[2]}", said[3]
            at = _AT.fullmatch(what)
            if at is not None and at[2] == "alert":
                yield self._threshold(call, policy, at[1])
            elif refused and at is not None and at[2] in {"deny", "require_key"}:
                yield self._exceeded(call, policy, f"it refuses calls from {at[1]} % on")
            elif refused and what.startswith("deny:spent=") and said[1] == "budget":
                yield self._exceeded(call, policy, what)
            elif refused and (what.startswith("deny:") or said[1] == "key"):
                yield self._refused(call, policy, what)

    def _counted(self, call: CallRecord, policy: str) -> _Counted:
        draw = next((one.counter for one in call.draws if _policy(one.counter) == policy), "")
        bound = self._rulebook.bound(call, policy)
        if bound is None:
            return _Counted(policy, draw or policy, _family(draw) or policy)
        demand = self._rulebook.demand(bound, call.started_at_ns)
        rule = bound.rule
        if isinstance(rule, Budget) and rule.window.shape == "rolling":
            return _Counted(policy, demand.counter, demand.family, rolling_s=rule.window.length_ns / _NS)
        return _Counted(policy, draw or demand.counter, demand.family, until_ns=demand.ends_at_ns)

    def _threshold(self, call: CallRecord, policy: str, at: str) -> Sighting:
        counted = self._counted(call, policy)

        def describe() -> Signal:
            said, figures = self._figures(counted, call)
            ends = f" It counts until {instant_text(counted.until_ns)}." if counted.until_ns else ""
            return Signal(
                kind="threshold",
                severity="critical" if float(at) >= 100 else "warning",
                title=f"{counted.name} has passed {at} %",
                text=f"{said or 'How much is spent is not known just now'}.{ends}",
                fields=_fields(counted, call) | {"threshold_percent": at} | figures,
            )

        return Sighting(
            key=f"threshold:{at}:{counted.key}",
            kind="threshold",
            describe=describe,
            until_ns=counted.until_ns,
            quiet_s=counted.rolling_s,
        )

    def _exceeded(self, call: CallRecord, policy: str, what: str) -> Sighting:
        counted = self._counted(call, policy)

        def describe() -> Signal:
            parts = {name: f"{figure} {unit}" for name, figure, unit in _FIGURE.findall(what)}
            said = f"{parts['spent']} of {parts['limit']} spent" if {"spent", "limit"} <= parts.keys() else what
            held = f", {parts['held']} held by calls under way" if parts.get("held", "0 ")[:2] != "0 " else ""
            frees = f" It frees at {instant_text(counted.until_ns)}." if counted.until_ns else ""
            return Signal(
                kind="exceeded",
                severity="critical",
                title=f"{counted.name} is spent, calls are refused",
                text=f"{said}{held}.{frees} taximeter budget top-up lets calls pass before.",
                fields=_fields(counted, call) | parts,
            )

        return Sighting(
            key=f"exceeded:{counted.key}",
            kind="exceeded",
            describe=describe,
            until_ns=counted.until_ns,
            quiet_s=None if counted.until_ns else QUIET_S,
        )

    def _refused(self, call: CallRecord, policy: str, what: str) -> Sighting:
        counted = self._counted(call, policy)
        why = what.removeprefix("deny:").partition("=")[0].partition(":")[0]
        severe: Severity = "warning" if why in {"unknown_price", "unbounded", "ledger_unavailable"} else "info"

        def describe() -> Signal:
            who = " ".join(filter(None, (clean(call.caller.team), clean(call.caller.user)))) or call.caller.key_id
            model = clean(call.model_requested) or call.operation
            return Signal(
                kind="refused",
                severity=severe,
                title=f"{counted.name} refuses calls: {_WHY.get(why, why.replace('_', ' '))}",
                text=f"The first was by {who or 'nobody who was named'}, for {model} at {call.provider}.",
                fields=_fields(counted, call) | {"why": why},
            )

        # Of all windows and scopes of a pace together: it may be met in each minute of a day.
        return _sighting(f"refused:{why}:{policy}", "refused", describe)

    def _figures(self, counted: _Counted, call: CallRecord) -> tuple[str, dict[str, str]]:
        """What is spent of what, in words and for machines; nothing where nobody can be asked."""
        try:
            recorded = [one for one in self._books.recorded(counted.family) if one.counter == counted.counter]
        except BooksUnavailableError:
            return "", {}
        bound = self._rulebook.bound(call, counted.policy)
        if not recorded or bound is None or counted.rolling_s is not None:
            return "", {}
        spent, held, unit = recorded[0].spent, max(0, recorded[0].leased), recorded[0].unit
        said = f"{rounded_text(spent, unit)} of {rounded_text(bound.limit, unit)} spent"
        if held:
            said += f", up to {rounded_text(held, unit)} held by calls under way or not booked yet"
        told = {"spent": number_text(spent, unit), "limit": number_text(bound.limit, unit), "unit": unit}
        return said, told


_WHY = {
    "unknown_price": "no price is known for the model",
    "unbounded": "they have no bound",
    "other_currency": "they are billed in another currency",
    "ledger_unavailable": "the ledger does not answer",
    "spent": "they come too fast, or too many at once",
    "expired": "the key has expired",
    "disabled": "the key is disabled",
    "provider": "the key is not for this provider",
    "model": "the key is not for this model",
    "operation": "the key is not for this operation",
}
"""Reason of a refusal -> in words."""


def _unpriced(priced: PricedCall) -> Iterable[Sighting]:
    for attempt, price in zip(priced.call.attempts, priced.prices, strict=False):
        if price.amount is not None or attempt.held_cost is not None or attempt.usage.source == "none":
            continue
        if not priced.call.billable:
            continue
        provider, model = attempt.provider, clean(attempt.model) or "a model without a name"

        def describe(provider: str = provider, model: str = model) -> Signal:
            return Signal(
                kind="unpriced",
                severity="warning",
                title=f"no price for {model} at {provider}",
                text="Its calls are on the books with their tokens but no cost, and budgets spend what was held. "
                "A price file makes good for the calls from now on.",
                fields={"provider": provider, "model": model},
            )

        yield _sighting(f"unpriced:{provider}:{model}", "unpriced", describe)


def _journal_full() -> Signal:
    return Signal(
        kind="journal_full",
        severity="critical",
        title="the journal is full, calls are refused",
        text="There is no room to record calls. A sink that is behind, or a full disk: taximeter doctor says which.",
    )


def _sighting(key: str, kind: Kind, describe: Callable[[], Signal]) -> Sighting:
    return Sighting(key=key, kind=kind, describe=describe, quiet_s=QUIET_S)


def _fields(counted: _Counted, call: CallRecord) -> dict[str, str]:
    caller = call.caller
    found = {
        "policy": counted.policy,
        "counter": counted.counter,
        "team": clean(caller.team),
        "project": clean(caller.project),
        "user": clean(caller.user),
        "key": caller.key_id,
        "call_id": call.call_id,
        "frees_at": instant_text(counted.until_ns) if counted.until_ns else "",
    }
    return {name: value for name, value in found.items() if value}


def family_name(family: str) -> str:
    """`budget search (team=search)`, for people."""
    policy, _, scope = family.partition("|")
    name = policy.replace(":", " ", 1)
    return f"{name} ({clean(scope.replace('|', ', '))})" if scope else name


def clean(text: str) -> str:
    """What callers state, as a line can hold it."""
    return _CONTROL.sub(" ", text)[:200].strip()


def _policy(counter: str) -> str:
    return counter.partition("|")[0].partition("@")[0]


def _family(counter: str) -> str:
    return counter.rpartition("@")[0] or counter
