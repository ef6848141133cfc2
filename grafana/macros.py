"""What Grafana and its ClickHouse data source make of a query before it is sent. PURE.

For tests, as no Grafana can be started where they run: first what the browser replaces (`$__conditionalAll` and the
variables), then the macros of the plugin. Text in quotes is left alone by the plugin, and so it is here.

Source: the fact sheet on Grafana, section 2 (the plugin's pkg/macros and src/data, 4.20.0).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_MACRO = re.compile(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|--[^\n]*|\$__(?P<name>\w+)")
_CONDITIONAL = "$__conditionalAll("
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<form>\w+))?\}|\$(?P<bare>[a-z]\w*)")


class Range(NamedTuple):
    """What is shown: Unix times in seconds, both ends inclusive, and the width of a point."""

    since_s: int
    until_s: int
    interval_s: int = 60


class MacroError(ValueError):
    """A macro that the plugin does not know, or one with the wrong arguments: it would fail there too."""


def expand(sql: str, shown: Range, variables: Mapping[str, Sequence[str]] | None = None) -> str:
    """The SQL that reaches the store.

    Args:
        sql: As it stands in a panel or a rule.
        shown: The range.
        variables: Name -> chosen values; `$__all` for All. None: a rule, where only the plugin's macros work.

    Raises:
        MacroError: as above.
    """
    if variables is not None:
        sql = _choose(_conditions(sql, variables), variables)
    made, at = "", 0
    while (found := _MACRO.search(sql, at)) is not None:
        made += sql[at : found.start()]
        at = found.end()
        name = found["name"]
        if name is None:
            made += found[0]
            continue
        arguments: list[str] = []
        if sql[at : at + 1] == "(":
            end = _closing(sql, at)
            arguments, at = _arguments(sql[at + 1 : end]), end + 1
        made += _macro(name, arguments, shown)
    return made + sql[at:]


def _macro(name: str, arguments: list[str], shown: Range) -> str:
    since, until, step = f"toDateTime({shown.since_s})", f"toDateTime({shown.until_s})", max(shown.interval_s, 1)
    days = [datetime.fromtimestamp(at_s, UTC).date().isoformat() for at_s in (shown.since_s, shown.until_s)]
    known: dict[str, tuple[int, Callable[..., str]]] = {
        "timeFilter": (1, lambda c: f"{c} >= {since} AND {c} <= {until}"),
        "dateFilter": (1, lambda d: f"{d} >= toDate('{days[0]}') AND {d} <= toDate('{days[1]}')"),
        "timeInterval": (1, lambda c: f"toStartOfInterval(toDateTime({c}), INTERVAL {step} second)"),
        "timeGroup": (2, lambda c, d: f"toStartOfInterval(toDateTime({c}), INTERVAL {_duration_s(d)} second)"),
        "timeFrom": (1, lambda c: f"{c} >= {since}"),
        "timeTo": (1, lambda c: f"{c} <= {until}"),
        "fromTime": (0, lambda: since),
        "toTime": (0, lambda: until),
        "interval_s": (0, lambda: str(step)),
    }
    takes, make = known.get(name, (-1, str))
    if takes != len(arguments):
        raise MacroError(f"$__{name} with {len(arguments)} arguments")
    return make(*arguments)


def _duration_s(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise MacroError(f"no duration: {text}")
    return int(found[1]) * _UNITS_S[found[2]]


def _conditions(sql: str, variables: Mapping[str, Sequence[str]]) -> str:
    """`1=1` for a condition on a variable that is All or empty."""
    while (at := sql.find(_CONDITIONAL)) >= 0:
        end = _closing(sql, at + len(_CONDITIONAL) - 1)
        condition, variable = _arguments(sql[at + len(_CONDITIONAL) : end])
        chosen = list(variables.get(variable.removeprefix("$"), ()))
        is_all = chosen in ([], [""], ["$__all"])
        sql = sql[:at] + ("1=1" if is_all else condition) + sql[end + 1 :]
    return sql


def _choose(sql: str, variables: Mapping[str, Sequence[str]]) -> str:
    def chosen(found: re.Match[str]) -> str:
        name = found["name"] or found["bare"]
        if name not in variables:
            return found[0]
        if found["form"] == "sqlstring":
            return ",".join("'" + value.replace("'", "''") + "'" for value in variables[name])
        return ",".join(variables[name])

    return _VARIABLE.sub(chosen, sql)


def _closing(sql: str, opening: int) -> int:
    """Where the bracket closes that opens there."""
    depth = 0
    for at in range(opening, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if depth == 0:
            return at
    raise MacroError("a bracket is not closed")


def _arguments(text: str) -> list[str]:
    """Parts between commas that are in no further bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts] if text.strip() else []
