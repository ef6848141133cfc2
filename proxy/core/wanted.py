"""Reads the wanted fields out of foreign JSON, quickly when it is as expected and leniently when it is not.

A wrong type in one field must not lose the others: what does not fit is left out, the rest is read. Numbers in strings,
whole floats, nulls for objects, NaN, lone surrogates, broken UTF-8 and a byte order mark are all seen in the wild.

Shapes are msgspec Structs whose fields all have a default and one of these types, or a union of them with None: `str`,
`Tokens`, `bool`, `Decimal`, `Any`, another such Struct, or a list of one.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from proxy.core.sse import BOM

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")

MOST_TOKENS = 10**15
"""A figure above this is nonsense: it would take a model centuries."""

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
"""A count on the wire. One that is negative or absurd counts as not reported."""

MAX_LENIENT_BYTES = 8 * 1024 * 1024
"""Longest JSON that is read leniently: there every value becomes an object, several times as large as its text."""

_LONGEST_INT = 40  # digits; longer ones are turned into nothing, at no cost
_UNFIT = object()


class Wanted(Generic[T]):
    """Reads one shape."""

    __slots__ = ("_decode", "_shape")

    def __init__(self, shape: type[T]) -> None:
        self._decode = msgspec.json.Decoder(shape).decode
        self._shape = inspect.type_info(shape)

    def read(self, data: bytes) -> T | None:
        """The wanted fields of a JSON object, or of the first object in a JSON array; None when it is neither."""
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._fit(data)

    def _fit(self, data: bytes) -> T | None:
        value = json_value(data)
        if isinstance(value, list):
            value = next((item for item in value if isinstance(item, dict)), None)
        fitted = _fitted(self._shape, value)
        return None if fitted is _UNFIT else fitted  # type: ignore[return-value]  # of the shape that was asked for


def json_value(data: bytes) -> object:
    """Any JSON, numbers with a fraction as Decimal; None when it cannot be read at all or is too long for that."""
    if len(data) > MAX_LENIENT_BYTES:
        return None
    try:
        return json.loads(
            data.removeprefix(BOM).decode("utf-8", "replace"),
            strict=False,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=lambda _: None,
        )
    except (ValueError, RecursionError):
        return None


def clean_text(value: str) -> str:
    """A text that can be written as UTF-8: lone surrogates become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def first_stated(*values: V | None) -> V | None:
    """The first value that is not None: several names for one figure, best first."""
    for value in values:
        if value is not None:
            return value
    return None


def overlay(older: T | None, newer: T) -> T:
    """Complete the newer figures, in place, by those of the older that they do not state, and give them back.

    Null never overwrites a number; anything else does, a zero too.
    """
    if older is None:
        return newer
    for name in newer.__struct_fields__:
        new, old = getattr(newer, name), getattr(older, name)
        if new is None:
            if old is not None:
                setattr(newer, name, old)
        elif isinstance(new, msgspec.Struct) and isinstance(old, msgspec.Struct):
            overlay(old, new)
    return newer


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_INT else None


def _fitted(kind: inspect.Type, value: object) -> object:
    """The value as this type, or `_UNFIT`."""
    match kind:
        case inspect.AnyType():
            return value
        case inspect.UnionType():
            if value is None:
                return None
            fits = (_fitted(member, value) for member in kind.types if not isinstance(member, inspect.NoneType))
            return next((fit for fit in fits if fit is not _UNFIT), _UNFIT)
        case inspect.StructType():
            return _fitted_struct(kind, value) if isinstance(value, dict) else _UNFIT
        case inspect.ListType():
            if not isinstance(value, list):
                return _UNFIT
            fitted = (_fitted(kind.item_type, item) for item in value)
            return [item for item in fitted if item is not _UNFIT]
    return _fitted_scalar(kind, value)


def _fitted_struct(kind: inspect.StructType, value: dict[str, object]) -> msgspec.Struct:
    fields: dict[str, Any] = {}
    for field in kind.fields:
        if field.encode_name in value:
            fitted = _fitted(field.type, value[field.encode_name])
            if fitted is not _UNFIT:
                fields[field.name] = fitted
    shape: type[msgspec.Struct] = kind.cls
    return shape(**fields)


def _fitted_scalar(kind: inspect.Type, value: object) -> object:
    fitted: object = _UNFIT
    if isinstance(value, bool):
        if isinstance(kind, inspect.BoolType):
            fitted = value
    elif isinstance(kind, inspect.StrType):
        if isinstance(value, str):
            fitted = clean_text(value)
        elif isinstance(value, int):
            fitted = str(value)
    elif isinstance(kind, inspect.IntType | inspect.DecimalType) and isinstance(value, str | int | Decimal):
        number = _decimal(str(value))
        if number is not None and number.is_finite():
            fitted = number if isinstance(kind, inspect.DecimalType) else _count(number)
    elif isinstance(kind, inspect.BoolType) and isinstance(value, str | int):
        fitted = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower(), _UNFIT)
    return fitted


def _count(number: Decimal) -> object:
    # Compared before it is converted: 1e999999 must not become an int.
    return int(number) if 0 <= number <= MOST_TOKENS and number == number.to_integral_value() else _UNFIT
