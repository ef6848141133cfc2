"""A value that satisfies a JSON schema, for the arguments of simulated tool calls and for structured answers.

It covers what tool schemas are made of: `type`, `properties`, `required`, `items`, `enum`, `const`, `anyOf`, `oneOf`,
`allOf`, local `$ref`, the bounds of numbers, strings and arrays, and the common formats. What it does not know it
ignores; a schema that is no schema gives `None` or `{}`, never an error.
"""

from collections.abc import Mapping
from typing import Any

from proxy.sandbox.words import MARKER, Draw

MAX_DEPTH = 4
"""Nesting from which on optional properties and items are left out: schemas may refer to themselves."""
MAX_VALUES = 500
"""Values in one instance; what a larger schema asks for beyond is `None`."""

_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "duration": "PT5M",
    "email": "sandbox@example.com",
    "hostname": "sandbox.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://sandbox.example.com/",
    "url": "https://sandbox.example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_FAR = 1e15
"""Beyond every bound a tool schema states; still a whole number as a float."""
_MAX_STEPS = 16
"""References and `allOf` branches followed for one value."""


def instance(schema: Any, draw: Draw) -> Any:
    """A JSON value that `schema` (a decoded JSON schema) accepts, the same for the same draw."""
    return _Filler(schema, draw).value(schema, 0)


class _Filler:
    """Fills one schema; counts what it has made, because a schema that refers to itself has no end of its own."""

    def __init__(self, root: Any, draw: Draw) -> None:
        self._root = root
        self._draw = draw
        self._left = MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0:
            return None
        schema = _resolved(schema, self._root)
        options = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
        if options:
            return options[self._draw.between(0, len(options) - 1)]
        for key in ("anyOf", "oneOf"):
            if isinstance(branches := schema.get(key), list) and branches:
                branch = _plainest(branches) if depth >= MAX_DEPTH else branches[0]
                return self.value(_merged(schema, branch, without=key), depth + 1)
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _string(schema, self._draw)
            case "integer":
                return round(_number(schema, self._draw, whole=True))
            case "number":
                return _number(schema, self._draw, whole=False)
            case "boolean":
                return bool(self._draw.between(0, 1))
            case _:
                return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        properties = properties if isinstance(properties, dict) else {}
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        if depth < MAX_DEPTH:
            names += properties
        return {name: self.value(properties.get(name, {}), depth + 1) for name in dict.fromkeys(names)}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        low = _bound(schema, "minItems", 0)
        wish = max(low, 1) if depth < MAX_DEPTH else low
        size = max(0, int(min(wish, _bound(schema, "maxItems", wish), MAX_VALUES)))
        first = schema.get("prefixItems")
        shapes = first if isinstance(first, list) else []
        rest = schema.get("items", {})
        return [self.value(shapes[at] if at < len(shapes) else rest, depth + 1) for at in range(size)]


def _plainest(branches: list[Any]) -> Any:
    """The branch least likely to lead deeper: `null` where it is allowed, else the last one."""
    nulls = (branch for branch in branches if isinstance(branch, dict) and branch.get("type") == "null")
    return next(nulls, branches[-1])


def _resolved(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    """The schema with its local references and `allOf` branches laid over each other."""
    for _ in range(_MAX_STEPS):
        if isinstance(reference := schema.get("$ref"), str):
            schema = _merged(schema, _target(reference, root), without="$ref")
        elif isinstance(branches := schema.get("allOf"), list) and branches:
            merged = _merged(schema, branches[0], without="allOf")
            schema = {**merged, "allOf": [*branches[1:], *_list(merged.get("allOf"))]}
        else:
            break
    return schema


def _target(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _merged(schema: Mapping[str, Any], other: Any, *, without: str) -> dict[str, Any]:
    """`schema` less one key, laid over `other`; what both require or describe is kept of both."""
    kept = {key: value for key, value in schema.items() if key != without}
    if not isinstance(other, dict):
        return kept
    merged = {**other, **kept}
    if isinstance(kept.get("properties"), dict) and isinstance(other.get("properties"), dict):
        merged["properties"] = {**other["properties"], **kept["properties"]}
    if "required" in merged:
        merged["required"] = [*_list(other.get("required")), *_list(kept.get("required"))]
    return merged


def _type_of(schema: Mapping[str, Any]) -> str | None:
    stated = schema.get("type")
    if isinstance(stated, list):
        stated = next((kind for kind in stated if kind != "null"), "null")
    if isinstance(stated, str):
        return stated
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _string(schema: Mapping[str, Any], draw: Draw) -> str:
    shape = schema.get("format")
    if isinstance(shape, str) and shape in _FORMATS:
        return _FORMATS[shape]
    text = f"{MARKER} {draw.word()}"
    low = int(min(_bound(schema, "minLength", 0), 4096))
    while len(text) < low:
        text += f" {draw.word()}"
    high = _bound(schema, "maxLength", len(text))
    return text if high >= len(text) else text[: int(max(high, 0))]


def _number(schema: Mapping[str, Any], draw: Draw, *, whole: bool) -> float:
    step = abs(_bound(schema, "multipleOf", 1.0)) or 1.0
    grid = whole or "multipleOf" in schema
    inside = step if grid else step / 1000
    low = max(_bound(schema, "minimum", -_FAR), _bound(schema, "exclusiveMinimum", -_FAR - inside) + inside)
    high = min(_bound(schema, "maximum", _FAR), _bound(schema, "exclusiveMaximum", _FAR + inside) - inside)
    wish = draw.between(1, 20) * step
    if wish < low:
        return -(-low // step) * step if grid else low
    if wish > high:
        return high // step * step if grid else high
    return wish


def _bound(schema: Mapping[str, Any], key: str, default: float) -> float:
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return min(max(float(value), -_FAR), _FAR)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
