"""What calls come to: every metric that is counted from records.

A call is counted as the app saw it, under the model that answered last; attempts, tokens and cost are counted attempt
by attempt. Words and figures come from the journal, so none of them is trusted: names are bounded, and a figure that no
counter can take (negative, not finite) is left out and reported.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter

from prometheus_client.metrics_core import Metric

from exporters.prometheus.labels import NONE, OTHER, Names, is_plain, plain
from exporters.prometheus.tables import CounterTable, HistogramTable
from exporters.recorder.ports import PricedCall
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, CallRecord
from proxy.core.usage import Usage

MAX_FIGURE = 2**63 - 1
"""A larger figure is a mistake of whoever stated it."""
_NOTHING, _MAX_AMOUNT = Decimal(0), Decimal(MAX_FIGURE)

TOKEN_TYPES = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_input_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "reasoning_tokens": "reasoning",
    "audio_input_tokens": "audio_input",
    "audio_output_tokens": "audio_output",
}
"""Field of `Usage` -> value of the label `type`. All but the first two are parts of those."""

_TOKEN_KINDS = tuple(TOKEN_TYPES.values())
_token_figures = attrgetter(*TOKEN_TYPES)

_MS = 1_000_000
CALL_BOUNDS_NS = tuple(ms * _MS for ms in (100, 250, 500, 1000, 2000, 4000, 8000, 15000, 30000, 60000, 120000, 300000))
"""An embedding takes a tenth of a second, a chat some, a long reasoning minutes; SDKs give up after ten."""
TTFT_BOUNDS_NS = tuple(ms * _MS for ms in (50, 100, 200, 350, 500, 750, 1000, 1500, 2500, 5000, 10000, 30000))
CONNECT_BOUNDS_NS = tuple(ms * _MS for ms in (1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000))
OVERHEAD_BOUNDS_NS = tuple(us * 1000 for us in (50, 100, 200, 350, 500, 1000, 2000, 5000, 10000, 50000, 250000))

_LOST_A_RACE = "way:hedge"
"""Outcome rule of a try that another target was faster than (`policies.outcomes`): nobody fell back from it."""
_NO_ANSWER = "none"
_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_CLIENT_FAULTS = frozenset({"client", "account"})


class CallMetrics:
    """All metrics of calls since this process started. Not thread-safe.

    Args:
        max_models: How many pairs of provider and model have label values of their own.
        max_teams: Likewise for teams; 0 makes no metrics by team.
    """

    def __init__(self, *, max_models: int, max_teams: int) -> None:
        self._models = Names(max_models)
        self._tables: list[CounterTable | HistogramTable] = []
        counter, times = self._counter, self._times
        pair = ("provider", "model")
        said = "Calls that ended."
        self._calls = counter("taximeter_calls", said, *pair, "operation", "outcome", "status_class")
        self._errors = counter("taximeter_call_errors", "Calls that ended in an error.", *pair, "error_class")
        said = "From request to end, of calls that ended well."
        self._duration = times("taximeter_call_duration_seconds", said, CALL_BOUNDS_NS, *pair)
        said = "From request to first content, of streams that ended well."
        self._ttft = times("taximeter_time_to_first_token_seconds", said, TTFT_BOUNDS_NS, *pair)
        said = "Time spent in Taximeter itself, of forwarded calls."
        self._overhead = times("taximeter_overhead_seconds", said, OVERHEAD_BOUNDS_NS)
        self._decisions = counter("taximeter_decisions", "What was decided about calls, and why.", "action", "reason")
        self._gone = counter("taximeter_clients_gone", "Calls whose app left before their end.", "provider")
        self._asked_bytes = counter("taximeter_request_bytes", "Bytes of request bodies.", "provider")
        self._answered_bytes = counter("taximeter_response_bytes", "Bytes of answer bodies.", "provider")
        self._attempts = counter("taximeter_attempts", "Tries at providers.", "provider", "outcome")
        said = "Tries by the HTTP status of the provider, none where none came."
        self._statuses = counter("taximeter_provider_responses", said, "provider", "status")
        self._retries = counter("taximeter_retries", "Tries after the first one of a call.", "provider")
        said = "Tries at another target than the one before, of calls with a route."
        self._fallbacks = counter("taximeter_fallbacks", said, "provider", "error_class")
        self._streams = counter("taximeter_streams", "Answers that were streams, by how they ended.", "provider", "end")
        said = "Time to connect to a provider, where no kept connection was used."
        self._connect = times("taximeter_connect_seconds", said, CONNECT_BOUNDS_NS, "provider")
        said = "From the start of a try to the head of its answer."
        self._ttfb = times("taximeter_time_to_first_byte_seconds", said, TTFT_BOUNDS_NS, "provider")
        self._tokens = counter(
            "taximeter_tokens", "Tokens; all but input and output are parts of those.", *pair, "type"
        )
        said = "Cost in whole units of the currency. For alerts, not for books."
        self._cost = counter("taximeter_cost", said, *pair, "currency", "billing")
        said = "Tries with usage and without a price."
        self._unpriced = counter("taximeter_unpriced_attempts", said, *pair)
        said = "Good answers to billable calls, by where their usage comes from."
        self._sources = counter("taximeter_usage_reports", said, "provider", "source")
        said = "Answers that passed and could not be read to their end."
        self._unread = counter("taximeter_unread_answers", said, "provider", "reason")
        self._teams = Names(max_teams) if max_teams else None
        if max_teams:
            self._team_calls = counter("taximeter_team_calls", "Calls that ended, by team.", "team", "outcome")
            self._team_tokens = counter("taximeter_team_tokens", "Tokens by team.", "team", "type")
            said = "Cost by team, in whole units of the currency. For alerts, not for books."
            self._team_cost = counter("taximeter_team_cost", said, "team", "currency", "billing")

    def _counter(self, name: str, said: str, *labels: str) -> CounterTable:
        table = CounterTable(name, said, labels)
        self._tables.append(table)
        return table

    def _times(self, name: str, said: str, bounds_ns: Sequence[int], *labels: str) -> HistogramTable:
        table = HistogramTable(name, said, labels, bounds_ns)
        self._tables.append(table)
        return table

    def count(self, priced: PricedCall) -> int:
        """Count one call; how many of its figures no counter can take."""
        call = priced.call
        pair = self._pair(call)
        outcome = plain(call.outcome)
        self._calls.add((*pair, plain(call.operation), outcome, _status_class(call.status)))
        if call.error_class:
            self._errors.add((*pair, plain(call.error_class)))
        refused = call.outcome == "refused"
        reason = plain(call.reasons[-1].partition(":")[0]) if refused and call.reasons else NONE
        self._decisions.add(("deny" if refused else "allow", reason))
        if call.client_gone:
            self._gone.add((pair[0],))
        odd = _add(self._asked_bytes, (pair[0],), call.request_bytes)
        odd += _add(self._answered_bytes, (pair[0],), call.response_bytes)
        if call.attempts:
            self._time(call, pair)
        team = self._team(call)
        if team is not None:
            self._team_calls.add((team, outcome))
        last = call.attempts[-1] if call.attempts else None
        for before, after in pairwise(call.attempts):
            if after.target != before.target and before.rule != _LOST_A_RACE:
                why = before.error.error_class if before.error is not None else NONE
                self._fallbacks.add((plain(before.provider), plain(why)))
        for attempt, price in zip(call.attempts, priced.prices, strict=True):
            own = pair if attempt is last else self._attempt_pair(call, attempt)
            odd += self._count_attempt(call, attempt, price, own, team)
        return odd

    def families(self) -> list[Metric]:
        """Everything as it stands now."""
        overflows = CounterTable(
            "taximeter_label_overflows", "Times that a value was counted under `other` for want of room.", ("label",)
        )
        overflows.add(("model",), self._models.overflows)
        if self._teams is not None:
            overflows.add(("team",), self._teams.overflows)
        overflows.add(("any",), sum(table.sets.overflows for table in self._tables))
        return [*(table.family() for table in self._tables), overflows.family()]

    def _pair(self, call: CallRecord) -> tuple[str, str]:
        """Provider and model of the call as the app saw it: those of its last attempt."""
        if call.attempts:
            return self._attempt_pair(call, call.attempts[-1])
        provider = plain(call.provider)
        return provider, self._models.label(provider, call.model_requested, may_claim=False)

    def _attempt_pair(self, call: CallRecord, attempt: AttemptRecord) -> tuple[str, str]:
        provider = plain(attempt.provider or call.provider)
        model = attempt.model or call.model_requested
        return provider, self._models.label(provider, model, may_claim=_may_claim(attempt))

    def _team(self, call: CallRecord) -> str | None:
        if self._teams is None:
            return None
        may_claim = any(map(_may_claim, call.attempts))
        return self._teams.label("", call.caller.team, may_claim=may_claim)

    def _time(self, call: CallRecord, pair: tuple[str, str]) -> None:
        self._overhead.observe((), _clamped(call.overhead_ns))
        if call.outcome != "ok":
            return
        trace_id = call.trace.trace_id if call.trace.sampled else ""
        trace_id = trace_id if is_plain(trace_id) else ""
        self._duration.observe(pair, _clamped(call.duration_ns), trace_id)
        last = call.attempts[-1]
        if last.ttft_ns is not None:
            # The app has waited since the start of the call, not of the attempt.
            waited_ns = max(0, last.started_at_ns - call.started_at_ns)
            self._ttft.observe(pair, _clamped(waited_ns + last.ttft_ns), trace_id)

    def _count_attempt(
        self, call: CallRecord, attempt: AttemptRecord, price: Priced, pair: tuple[str, str], team: str | None
    ) -> int:
        provider = pair[0]
        self._attempts.add((provider, plain(attempt.outcome)))
        self._statuses.add((provider, _status(attempt.status)))
        if attempt.attempt > 1:
            self._retries.add((provider,))
        if attempt.stream_end:
            self._streams.add((provider, plain(attempt.stream_end)))
        if attempt.unread:
            self._unread.add((provider, plain(attempt.unread)))
        if attempt.connect_ns is not None:
            self._connect.observe((provider,), _clamped(attempt.connect_ns))
        if attempt.ttfb_ns is not None:
            self._ttfb.observe((provider,), _clamped(attempt.ttfb_ns))
        if call.billable and attempt.status and attempt.status < 300:
            self._sources.add((provider, plain(attempt.usage.source)))
        return self._count_tokens(pair, team, attempt.usage) + self._count_cost(pair, team, attempt, price)

    def _count_tokens(self, pair: tuple[str, str], team: str | None, usage: Usage) -> int:
        odd = 0
        for kind, figure in zip(_TOKEN_KINDS, _token_figures(usage), strict=True):
            if figure is not None:
                odd += _add(self._tokens, (*pair, kind), figure)
                if team is not None:
                    _add(self._team_tokens, (team, kind), figure)
        return odd

    def _count_cost(self, pair: tuple[str, str], team: str | None, attempt: AttemptRecord, price: Priced) -> int:
        if price.amount is None:
            if attempt.usage.source != "none":
                self._unpriced.add(pair)
            return 0
        bill = (plain(price.currency), plain(price.billing))
        odd = _add(self._cost, (*pair, *bill), price.amount)
        if team is not None:
            _add(self._team_cost, (team, *bill), price.amount)
        return odd


def _add(table: CounterTable, labels: tuple[str, ...], amount: int | Decimal) -> int:
    """Add a figure if a counter can take it; how many it could not take."""
    if isinstance(amount, Decimal):
        if not (amount.is_finite() and _NOTHING <= amount <= _MAX_AMOUNT):
            return 1
    elif not 0 <= amount <= MAX_FIGURE:
        return 1
    table.add(labels, amount)
    return 0


def _may_claim(attempt: AttemptRecord) -> bool:
    """Whether the names of an attempt may become label values: nobody's made-up ones, as far as can be told."""
    if attempt.error is not None:
        return attempt.error.fault not in _CLIENT_FAULTS
    return 0 < attempt.status < 400


def _clamped(took_ns: int) -> int:
    return took_ns if 0 <= took_ns <= MAX_FIGURE else max(0, min(took_ns, MAX_FIGURE))


def _status_class(status: int) -> str:
    return _CLASSES[status // 100] if 100 <= status <= 599 else _NO_ANSWER if status == 0 else OTHER


def _status(status: int) -> str:
    return str(status) if 100 <= status <= 599 else _NO_ANSWER if status == 0 else OTHER
