"""The story of one call in lines of text: who, what was decided, every try with its waits, and the sum of its price.

What: `exporters.reports.one_call.WholeCall` for people: nothing is in it that is not in the rows.

Config: none.

Example: `taximeter report call 019ac2f0c1d87bd0a3f4c1e05b7d9f12`

Source: tables `calls` and `attempts` of exporters/schema.
"""

from collections.abc import Mapping
from typing import Any

from exporters.reports.formats import printable
from exporters.reports.one_call import WholeCall

_TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_WAITS = (("connect_ms", "connected after"), ("ttfb_ms", "first byte after"), ("ttft_ms", "first token after"))


def story(whole: WholeCall) -> str:
    """The lines, each ended."""
    call = whole.call
    lines = [
        f"call {call['call_id']}, {call['started_at']}",
        f"  asked     {_asked(call)}",
        f"  caller    {_caller(call)}",
        f"  decided   {', '.join(call['reasons']) or 'no reason noted'}",
        f"  ended     {_ending(call)} after {_ms(call['duration_ms'])}, of it {_ms(call['overhead_ms'])} in the proxy",
    ]
    for attempt in whole.attempts:
        lines += ["", *_attempt(attempt, len(whole.attempts))]
    lines += ["", f"  cost      {_cost(call)}"]
    lines += [f"            {key}: {said}" for key, said in whole.reasons.items()]
    return "".join(f"{printable(line)}\n" for line in lines)


def _attempt(attempt: Mapping[str, Any], of: int) -> list[str]:
    where = _joined(attempt, "provider", "host")
    model = attempt["model"] or "unknown"
    target = f", target {attempt['target']}" if attempt["target"] else ""
    lines = [
        f"  try {attempt['attempt']} of {of}  {where}, model {model}{target}, {_ms(attempt['offset_ms'])} in",
        f"            {_ending(attempt)} after {_ms(attempt['duration_ms'])}{_waits(attempt)}",
    ]
    if attempt["rule"]:
        lines.append(f"            judged by {attempt['rule']}")
    if attempt["changes"]:
        lines.append(f"            changed: {', '.join(attempt['changes'])}")
    tokens = [
        f"{name.removesuffix('_tokens').replace('_', ' ')} {attempt[name]:,}" for name in _TOKENS if attempt[name]
    ]
    lines.append(f"            tokens: {', '.join(tokens) or 'none known'} (by {attempt['usage_source'] or 'nobody'})")
    lines += [f"            {line['formula']}" for line in attempt["price_lines"]]
    lines.append(f"            = {_cost(attempt)}{_entry(attempt)}")
    return lines


def _asked(call: Mapping[str, Any]) -> str:
    what = f"{call['operation'] or 'an unknown operation'}, model {call['model_requested'] or 'unknown'}"
    return f"{_joined(call, 'method', 'path')}: {what}{', streamed' if call['streaming'] else ''}"


def _joined(row: Mapping[str, Any], *names: str) -> str:
    return " ".join(str(row[name]) for name in names if row[name]) or "unknown"


def _caller(call: Mapping[str, Any]) -> str:
    parts = [f"{name} {call[name]}" for name in ("team", "project", "user", "session") if call[name]]
    parts += [f"key {call['key_id']}"] if call["key_id"] else []
    parts += [f"{name}={value}" for name, value in call["tags"].items()]
    return ", ".join(parts) or "unknown"


def _ending(row: Mapping[str, Any]) -> str:
    said = [row["outcome"] or "unknown"]
    said += [f"status {row['status']}"] if row["status"] else []
    said += [row["error_class"]] if row["error_class"] else []
    said += [f"finish {row['finish_reason']}"] if row["finish_reason"] else []
    return ", ".join(said)


def _waits(attempt: Mapping[str, Any]) -> str:
    found = [f"{said} {_ms(attempt[name])}" for name, said in _WAITS if attempt[name] is not None]
    return f" ({', '.join(found)})" if found else ""


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms"


def _cost(row: Mapping[str, Any]) -> str:
    if row["cost"] is None:
        return "not known"
    flags = [flag for flag, on in (("estimated", row["cost_estimated"]), ("or more", row["cost_lower_bound"])) if on]
    kind = {"subscription": "list-price equivalent, paid by subscription"}.get(row["billing"])
    more = ", ".join([*flags, *([kind] if kind else [])])
    return f"{row['cost']} {row['currency']}{f' ({more})' if more else ''}"


def _entry(attempt: Mapping[str, Any]) -> str:
    source = attempt["cost_source"]
    entry = f" {attempt['price_id']}" if attempt["price_id"] else ""
    return f", by {source}{entry}" if source else ""
