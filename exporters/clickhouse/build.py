"""Records and prices become rows. PURE, and total: whatever figures a record holds, the store takes the row.

Figures that no column can hold (negative counts, more than 63 bits, amounts beyond 20 digits) become NULL, "not known":
providers write what they like, and one odd number must not keep a call off the books.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from operator import attrgetter

from exporters.clickhouse.route import route
from exporters.clickhouse.rows import AttemptRow, CallRow, PartRow, PriceLine
from exporters.ledger.booked import booked
from exporters.recorder.ports import PricedCall
from proxy.core.errors import REMEDIES
from proxy.core.pricing import Priced, exact_sum
from proxy.core.record import AttemptRecord, CallRecord
from proxy.core.usage import Usage

MAX_COUNT = 2**63 - 1
MAX_PATH_CHARS = 2000
_MAX_INSTANT_NS = (2**32 - 1) * 10**9
"""In 2106: days and minutes of the roll-ups are counted in 32 bits, and wrap around after it."""
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_MONEY_DECIMALS = 18
_MONEY_LIMIT = Decimal(10) ** 20
_UNIT_DECIMALS = 12
_UNIT_LIMIT = Decimal(10) ** 26
_PLAIN_CHARS = 14
"""A number of so many digits that is written out fits into every column as it is: most do."""
_SOURCE_TRUST = ("estimated", "computed", "provider")
"""Least trusted first: a sum is as good as its worst part."""
_TOKENS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "total_tokens",
)
_token_figures = attrgetter(*_TOKENS)


def attempt_rows(priced: PricedCall) -> list[AttemptRow]:
    """The rows of `attempts` for a call; none for one that was refused."""
    pairs = zip(priced.call.attempts, priced.prices, strict=True)
    return [_attempt_row(priced.call, attempt, price) for attempt, price in pairs]


def _attempt_row(call: CallRecord, attempt: AttemptRecord, price: Priced) -> AttemptRow:
    # Set one by one: a constructor with so many names costs twice as much.
    row = AttemptRow(call_id=call.call_id, started_at=instant(attempt.started_at_ns))
    _add_origin(row, call)
    row.attempt = _bounded(attempt.attempt, 255)
    row.duration_ms = attempt.duration_ns / 1e6
    row.span_id = attempt.span_id
    row.parent_span_id = call.trace.span_id
    row.provider = attempt.provider
    row.kind = attempt.kind
    row.host = attempt.host
    row.dialect = attempt.dialect
    row.model = attempt.model
    row.service_tier = attempt.service_tier
    row.status = _bounded(attempt.status, 65535)
    row.outcome = attempt.outcome
    row.finish_class = attempt.finish_class or ""
    row.finish_reason = attempt.finish_reason
    row.stream_end = attempt.stream_end or ""
    row.connect_ms = _ms(attempt.connect_ns)
    row.ttfb_ms = _ms(attempt.ttfb_ns)
    row.ttft_ms = _ms(attempt.ttft_ns)
    row.request_bytes = _bounded(attempt.request_bytes, MAX_COUNT)
    row.response_bytes = _bounded(attempt.response_bytes, MAX_COUNT)
    row.response_id = attempt.response_id
    row.provider_request_id = attempt.provider_request_id
    row.changes = list(attempt.changes)
    row.unread = attempt.unread
    row.rule = attempt.rule
    row.target = attempt.target
    if attempt.error:
        row.error_class = attempt.error.error_class
        row.error_type = attempt.error.type or ""
        row.provider_code = attempt.error.code or ""
        row.fault = attempt.error.fault
        row.retry_same = attempt.error.retry_same
        row.fallback = attempt.error.fallback
    _add_own_usage(row, attempt.usage)
    _add_own_cost(row, attempt, price)
    return row


def _add_origin(row: AttemptRow | CallRow, call: CallRecord) -> None:
    """Whose call it is, and what was asked for: the same in all rows of a call."""
    trace, caller = call.trace, call.caller
    row.trace_id = trace.trace_id
    row.trace_state = trace.state
    row.sampled = trace.sampled
    row.key_id = caller.key_id
    row.team = caller.team
    row.project = caller.project
    row.user = caller.user
    row.session = caller.session
    row.tags = caller.tags
    row.operation = call.operation
    row.model_requested = call.model_requested
    row.max_output_tokens = count(call.max_output_tokens)
    row.streaming = call.streaming
    row.billable = call.billable
    row.overhead_ms = call.overhead_ns / 1e6
    row.client_gone = call.client_gone


def _add_own_usage(row: AttemptRow, usage: Usage) -> None:
    for name, figure in zip(_TOKENS, _token_figures(usage), strict=True):
        if figure is not None:
            setattr(row, name, count(figure))
    if usage.units:
        row.units = _units((usage,))
    if usage.parts:
        row.usage_parts = [_part_row(part.kind, part.model, part.usage) for part in usage.parts]
    row.usage_source = usage.source
    row.usage_origin = usage.origin
    row.usage_complete = usage.complete


def _add_own_cost(row: AttemptRow, attempt: AttemptRecord, price: Priced) -> None:
    row.cost = money(price.amount)
    row.currency = price.currency
    row.cost_source = price.cost_source
    row.cost_estimated = price.estimated
    row.cost_lower_bound = price.lower_bound
    row.cost_reasons = list(price.reasons)
    row.price_id = price.price_id
    if price.list_cost:
        # As a rule it is the cost itself.
        own = row.cost if price.list_cost.amount is price.amount else money(price.list_cost.amount)
        row.list_cost, row.list_cost_currency = own, price.list_cost.currency
    row.price_lines = _price_lines(price)
    if attempt.provider_cost:
        row.provider_cost = money(attempt.provider_cost.amount)
        row.provider_cost_currency = attempt.provider_cost.currency
    row.billing = price.billing


def call_row(priced: PricedCall, rows: Sequence[AttemptRow] | None = None) -> CallRow:
    """The row of `calls`: totals over the attempts, and of the rest what the last attempt says, the one the app got.

    Args:
        priced: The call.
        rows: Those of its attempts, where they are at hand.
    """
    call = priced.call
    row = CallRow(call_id=call.call_id, started_at=instant(call.started_at_ns))
    _add_origin(row, call)
    row.attempt = _bounded(len(call.attempts), 255)
    row.duration_ms = call.duration_ns / 1e6
    row.span_id = call.trace.span_id
    row.parent_span_id = call.trace.parent_span_id
    row.provider = call.provider
    row.dialect = call.dialect
    row.method = call.method
    row.route = route(call.provider, call.path, call.operation)
    row.path = call.path[:MAX_PATH_CHARS]
    row.model = call.model_requested
    row.status = _bounded(call.status, 65535)
    row.outcome = call.outcome
    if call.error_class:
        row.error_class = call.error_class
        row.fault = REMEDIES[call.error_class].fault
    row.request_bytes = _bounded(call.request_bytes, MAX_COUNT)
    row.response_bytes = _bounded(call.response_bytes, MAX_COUNT)
    row.usage_source = row.cost_source = "none"
    row.reasons = list(call.reasons)
    if call.draws:
        row.draws, row.journal, row.segment = booked(priced), priced.instance, priced.segment
    if call.attempts:
        rows = attempt_rows(priced) if rows is None else rows
        _add_last_attempt(row, call, rows[-1])
        if len(rows) == 1:
            _add_only_attempt(row, priced, rows[0])
        else:
            _add_usage(row, [attempt.usage for attempt in call.attempts])
            _add_cost(row, priced)
    return row


def _add_last_attempt(row: CallRow, call: CallRecord, own: AttemptRow) -> None:
    last = call.attempts[-1]
    row.kind = own.kind
    row.host = own.host
    row.model = own.model or call.model_requested
    row.service_tier = own.service_tier
    row.error_type = own.error_type
    row.provider_code = own.provider_code
    row.finish_class = own.finish_class
    row.finish_reason = own.finish_reason
    row.stream_end = own.stream_end
    row.connect_ms = own.connect_ms
    # The app has waited since the start of the call, not of the attempt.
    waited_ns = max(0, last.started_at_ns - call.started_at_ns)
    row.ttfb_ms = None if last.ttfb_ns is None else _ms(waited_ns + last.ttfb_ns)
    row.ttft_ms = None if last.ttft_ns is None else _ms(waited_ns + last.ttft_ns)
    row.response_id = own.response_id
    row.provider_request_id = own.provider_request_id
    row.unread = own.unread
    row.changes = _once(change for attempt in call.attempts for change in attempt.changes)


def _add_only_attempt(row: CallRow, priced: PricedCall, own: AttemptRow) -> None:
    """What `_add_usage` and `_add_cost` make of a single attempt, as nearly all calls have: what its row says."""
    (attempt,), (price,) = priced.call.attempts, priced.prices
    for name, figure in zip(_TOKENS, _token_figures(own), strict=True):
        if figure is not None:
            setattr(row, name, figure)
    row.units = own.units
    if attempt.usage.source != "none":
        row.usage_source = own.usage_source
        row.usage_origin = own.usage_origin
        row.usage_complete = own.usage_complete
    row.currency = own.currency
    row.billing = own.billing
    row.cost_source = own.cost_source
    row.price_id = own.price_id
    if own.cost is not None:
        row.cost, row.costs = own.cost, {own.currency: own.cost}
    row.cost_estimated = own.cost_estimated
    row.cost_lower_bound = own.cost_lower_bound
    row.cost_reasons = _once(own.cost_reasons)
    row.unpriced_attempts = int(_is_unpriced(attempt, price))
    row.list_cost, row.list_cost_currency = own.list_cost, own.list_cost_currency
    if attempt.provider_cost and attempt.provider_cost.amount.is_finite():
        row.provider_cost, row.provider_cost_currency = own.provider_cost, own.provider_cost_currency


def _add_usage(row: CallRow, usages: Sequence[Usage]) -> None:
    for name in _TOKENS:
        setattr(row, name, _total([getattr(usage, name) for usage in usages]))
    row.units = _units(usages)
    reported = [usage for usage in usages if usage.source != "none"]
    if reported:
        row.usage_source = min((usage.source for usage in reported), key=_SOURCE_TRUST.index)
        row.usage_origin = reported[-1].origin
        row.usage_complete = all(usage.complete for usage in reported)


def _add_cost(row: CallRow, priced: PricedCall) -> None:
    """Sums per currency; `cost` is the sum in the currency of the last attempt that has one."""
    pairs = list(zip(priced.call.attempts, priced.prices, strict=True))
    sums: dict[str, list[Decimal]] = {}
    for _, price in pairs:
        if price.amount is not None:
            sums.setdefault(price.currency, []).append(price.amount)
    known = [price for _, price in pairs if price.amount is not None]
    main = known[-1] if known else priced.prices[-1]
    row.currency = main.currency
    row.billing = main.billing
    row.cost_source = main.cost_source
    row.price_id = main.price_id
    if known:
        row.cost = money(exact_sum(sums[main.currency]))
        row.costs = {currency: text for currency, items in sums.items() if (text := money(exact_sum(items)))}
    row.cost_estimated = any(price.estimated for _, price in pairs)
    row.cost_lower_bound = any(price.lower_bound for _, price in pairs)
    row.cost_reasons = _once(reason for _, price in pairs for reason in price.reasons)
    row.unpriced_attempts = _bounded(sum(_is_unpriced(attempt, price) for attempt, price in pairs), 255)
    listed = [price.list_cost for _, price in pairs if price.list_cost]
    if listed and len({cost.currency for cost in listed}) == 1:
        row.list_cost = money(exact_sum(cost.amount for cost in listed))
        row.list_cost_currency = listed[-1].currency
    stated = [attempt.provider_cost for attempt, _ in pairs if attempt.provider_cost]
    if stated and len({cost.currency for cost in stated}) == 1 and all(cost.amount.is_finite() for cost in stated):
        row.provider_cost = money(exact_sum(cost.amount for cost in stated))
        row.provider_cost_currency = stated[-1].currency


def _is_unpriced(attempt: AttemptRecord, price: Priced) -> bool:
    return price.amount is None and attempt.usage.source != "none"


def instant(at_ns: int) -> str:
    """Unix time in nanoseconds as JSONEachRow takes a DateTime64(9); what is out of its range is moved to its edge."""
    # Ten digits of seconds: fewer would be read as something else than Unix time.
    digits = f"{_bounded(at_ns, _MAX_INSTANT_NS):019d}"
    return f"{digits[:-9]}.{digits[-9:]}"


def count(figure: int | None) -> int | None:
    """A figure that a column can hold, else None."""
    return figure if figure is not None and 0 <= figure <= MAX_COUNT else None


def money(amount: Decimal | None) -> str | None:
    """An amount as a Decimal(38, 18) takes it, rounded half to even; None where it is not known or beyond reason."""
    return None if amount is None else _decimal(amount, _MONEY_DECIMALS, _MONEY_LIMIT)


def _decimal(number: Decimal, decimals: int, limit: Decimal) -> str | None:
    text = str(number)
    if len(text) <= _PLAIN_CHARS and text.replace(".", "", 1).isdecimal():
        return text
    if not number.is_finite() or not -limit < number < limit:
        return None
    # Zero has no sign in a sum, and so it has none alone.
    text = format(number or number.copy_abs(), "f")
    if len(text.partition(".")[2]) > decimals:
        text = format(_EXACT.quantize(number, Decimal(1).scaleb(-decimals)), "f")
    return text


def _units(usages: Iterable[Usage]) -> dict[str, str]:
    sums: dict[str, list[Decimal]] = {}
    for usage in usages:
        for name, quantity in usage.units.items():
            if quantity.is_finite():
                sums.setdefault(name, []).append(quantity)
    texts = {name: _decimal(exact_sum(items), _UNIT_DECIMALS, _UNIT_LIMIT) for name, items in sums.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _price_lines(price: Priced) -> list[PriceLine]:
    lines = []
    for line in price.lines:
        quantity = _decimal(line.quantity, _UNIT_DECIMALS, _UNIT_LIMIT)
        free = _decimal(line.free, _UNIT_DECIMALS, _UNIT_LIMIT)
        rate, amount = money(line.rate), money(line.amount)
        if quantity is not None and free is not None and rate is not None and amount is not None:
            lines.append(
                PriceLine(
                    part=line.part,
                    quantity=quantity,
                    free=free,
                    rate=rate,
                    per=_bounded(line.per, MAX_COUNT),
                    amount=amount,
                    price_id=line.price_id,
                )
            )
    return lines


def _part_row(kind: str, model: str | None, usage: Usage) -> PartRow:
    return PartRow(
        kind=kind,
        model=model or "",
        input_tokens=count(usage.input_tokens),
        cached_input_tokens=count(usage.cached_input_tokens),
        cache_write_tokens=count(usage.cache_write_tokens),
        output_tokens=count(usage.output_tokens),
        reasoning_tokens=count(usage.reasoning_tokens),
    )


def _total(figures: Sequence[int | None]) -> int | None:
    """The sum of what was reported; None when nothing was."""
    if len(figures) == 1:
        return count(figures[0])
    reported = [figure for figure in map(count, figures) if figure is not None]
    return count(sum(reported)) if reported else None


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _bounded(figure: int, most: int) -> int:
    return max(0, min(figure, most))


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e6
