"""What a report can be grouped by and filtered on: a closed list, so that no SQL is ever made of what somebody typed.

Names come from `DIMENSIONS`; values and the names of tags travel as bound parameters.
"""

from collections.abc import Iterable

import msgspec

from exporters.reports.errors import BadQuestionError

TAG_PREFIX = "tag:"
_ARGUMENT = "$argument"


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a call can be sorted by."""

    name: str
    expression: str
    """SQL over the table `calls`; `$argument` stands for the bound name of a tag, `{tz:String}` for the zone."""
    kind: str = "text"
    """`text`, or `hour` where the value is the Unix time in seconds of the hour's start."""
    groups: bool = True
    """Whether `--by` takes it; what is nearly unique to a call is for filters only."""
    filters: bool = True
    """Whether `--where` takes it; days and hours are what a period is for."""
    argument: str | None = None
    """The name of the tag, for `tag:NAME`."""

    def sql(self, slot: str) -> tuple[str, dict[str, object]]:
        """The expression and its parameters; `slot` is a name of ours that keeps the parameters of two tags apart."""
        if self.argument is None:
            return self.expression, {}
        name = f"{slot}_tag"
        return self.expression.replace(_ARGUMENT, f"{{{name}:String}}"), {name: self.argument}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One filter: the value of the dimension is (or is not) one of these."""

    dimension: Dimension
    values: tuple[str, ...]
    negated: bool = False

    def sql(self, slot: str) -> tuple[str, dict[str, object]]:
        """The condition as SQL and its parameters."""
        expression, parameters = self.dimension.sql(slot)
        operator = "NOT IN" if self.negated else "IN"
        return f"{expression} {operator} {{{slot}:Array(String)}}", {**parameters, slot: list(self.values)}


def _column(name: str, *, groups: bool = True) -> Dimension:
    return Dimension(name=name, expression=f"`{name}`", groups=groups)


DIMENSIONS: tuple[Dimension, ...] = (
    _column("model"),
    _column("model_requested"),
    _column("team"),
    _column("project"),
    _column("user"),
    _column("key_id"),
    _column("session"),
    _column("provider"),
    _column("dialect"),
    _column("operation"),
    _column("outcome"),
    _column("error_class"),
    _column("finish_class"),
    Dimension(name="status", expression="toString(`status`)"),
    Dimension(name="streaming", expression="if(`streaming`, 'true', 'false')"),
    _column("usage_source"),
    _column("cost_source"),
    _column("price_id"),
    _column("billing"),
    _column("currency"),
    Dimension(name="day", expression="toString(toDate(`started_at`, {tz:String}))", filters=False),
    Dimension(
        name="hour",
        expression="toUnixTimestamp(toStartOfHour(`started_at`, {tz:String}))",
        kind="hour",
        filters=False,
    ),
    _column("call_id", groups=False),
    _column("trace_id", groups=False),
)
"""Every dimension but the tags, in the order in which the help lists them."""

_BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}


def group_names() -> list[str]:
    """What `--by` takes, for help and error texts."""
    return [dimension.name for dimension in DIMENSIONS if dimension.groups] + [f"{TAG_PREFIX}NAME"]


def filter_names() -> list[str]:
    """What `--where` takes, for help and error texts."""
    return [dimension.name for dimension in DIMENSIONS if dimension.filters] + [f"{TAG_PREFIX}NAME"]


def parse_by(text: str) -> tuple[Dimension, ...]:
    """The dimensions of `model,team`, each once; none for an empty text. Raises `BadQuestionError` for others."""
    found: dict[str, Dimension] = {}
    for name in filter(None, (part.strip() for part in text.split(","))):
        dimension = _find(name)
        if dimension is None or not dimension.groups:
            raise BadQuestionError(f"Calls cannot be grouped by {name!r}: choose from {', '.join(group_names())}.")
        found[name] = dimension
    return tuple(found.values())


def parse_where(conditions: Iterable[str]) -> tuple[Condition, ...]:
    """The filters of `team=a`, `tag:env!=test` ...; several values of one dimension mean any of them.

    Raises `BadQuestionError` for what is no filter.
    """
    values: dict[tuple[str, bool], list[str]] = {}
    for text in conditions:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadQuestionError(f"{text!r} is no filter: write NAME=VALUE or NAME!=VALUE, for example team=search.")
        negated = name.endswith("!")
        values.setdefault((name.removesuffix("!").strip(), negated), []).append(value)
    return tuple(_condition(name, negated, tuple(wanted)) for (name, negated), wanted in values.items())


def _condition(name: str, negated: bool, values: tuple[str, ...]) -> Condition:  # noqa: FBT001 - half of a dict key
    dimension = _find(name)
    if dimension is None or not dimension.filters:
        raise BadQuestionError(f"Calls cannot be filtered by {name!r}: choose from {', '.join(filter_names())}.")
    return Condition(dimension=dimension, values=values, negated=negated)


def _find(name: str) -> Dimension | None:
    """The dimension of that name; a `tag:NAME` is made on the spot."""
    if name.startswith(TAG_PREFIX) and len(name) > len(TAG_PREFIX):
        return Dimension(name=name, expression=f"`tags`[{_ARGUMENT}]", argument=name.removeprefix(TAG_PREFIX))
    return _BY_NAME.get(name)
