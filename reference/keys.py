"""The keys of a schema of ours, each with what may stand there, what holds without it, and what it means. PURE."""

import inspect
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from annotated_types import Ge, Interval, Le
from pydantic import PlainValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from proxy.config.section import Section
from proxy.core.errors import ErrorClass
from reference.forms import FORMS

SECTION = "section"
_NONE = type(None)
_PLAIN = {str: "text", bool: "`true` or `false`", float: "number"}


class Key(msgspec.Struct, frozen=True):
    """One key."""

    path: str
    """`providers.NAME.timeouts.connect`: `NAME` is a name of the operator's, `[]` each of a list."""
    written: str
    """What may stand there."""
    default: str
    """What holds without it, as it would be written; empty where that is nothing, or for the meaning to say."""
    meaning: str
    section: type[Section] | None = None
    """The section that is described elsewhere."""


class _Held(NamedTuple):
    section: type[Section]
    suffix: str


def keys_of(
    section: type[Section],
    prefix: str = "",
    *,
    apart: frozenset[type[Section]] = frozenset(),
    without: frozenset[str] = frozenset(),
) -> Iterator[Key]:
    """Every key below a section, depth first, in the order of the schema.

    Sections `apart` are named, not entered. Keys `without` are left out: those that stand for what is not there yet.
    """
    for name, field in section.model_fields.items():
        if name in without:
            continue
        path = f"{prefix}{field.alias or name}"
        held = section_in(field.annotation)
        if held is None:
            written = " ".join(_words(field.annotation, field.metadata).split())
            yield Key(path=path, written=written, default=shown_default(field), meaning=_meaning(field))
            continue
        inner = path + held.suffix
        meaning = _meaning(field) or inspect.getdoc(held.section) or ""
        stays_out = held.section in apart
        kind = {"": SECTION, "[]": "list of sections"}.get(held.suffix, "sections by name")
        yield Key(path=inner, written=kind, default="", meaning=meaning, section=held.section if stays_out else None)
        if not stays_out:
            yield from keys_of(held.section, f"{inner}.", apart=apart)


def section_in(annotation: Any) -> _Held | None:
    """The section that a key is, or holds by name or number."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return _Held(annotation, "")
    if origin in {dict, list}:
        held = section_in(get_args(annotation)[-1])
        return held and _Held(held.section, (".NAME" if origin is dict else "[]") + held.suffix)
    return next((held for one in get_args(annotation) if (held := section_in(one))), None)


def parser_of(annotation: Any, metadata: Sequence[Any] = ()) -> Any:
    """The parser of a value that has one, wherever the annotation keeps it; else None."""
    for one in metadata:
        if isinstance(one, PlainValidator):
            return inspect.unwrap(one.func)
    if get_origin(annotation) is Annotated:
        inner, *further = get_args(annotation)
        return parser_of(inner, further)
    if get_origin(annotation) in {Union, UnionType}:
        return next((found for one in get_args(annotation) if (found := parser_of(one))), None)
    return None


def shown_default(field: FieldInfo) -> str:
    """A default as it would be written."""
    default = field.default
    if default is PydanticUndefined or default is None or default in ("", (), [], {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return f"[{', '.join(map(_quoted, default))}]"
    parser = parser_of(field.annotation, field.metadata)
    return _quoted(FORMS[parser].shown(default) if parser else str(default), bare=not isinstance(default, str))


def _quoted(text: str, *, bare: bool = False) -> str:
    """In quotes where YAML would read something else than the text."""
    needs = not bare and (text.replace(".", "").isdigit() or "*" in text)
    return f'"{text}"' if needs else text


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What may stand there, in words."""
    parser = parser_of(None, metadata)
    if parser is not None:
        return FORMS[parser].words
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0], [*inner[1:], *metadata])
    if annotation == ErrorClass:
        return "[class of errors](#classes-of-errors)"
    if origin is Literal:
        return _alternatives([f"`{one}`" for one in inner])
    if origin in {Union, UnionType}:
        return _alternatives([_words(one, metadata) for one in inner if one is not _NONE])
    if origin is list:
        return f"list of: {_words(inner[0])}"
    if origin is dict:
        return f"mapping of {_words(inner[0])} to {_words(inner[1])}"
    return _number(metadata) if annotation is int else _PLAIN[annotation]


def _alternatives(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _number(metadata: Sequence[Any]) -> str:
    metadata = [one for item in metadata for one in (item.metadata if isinstance(item, FieldInfo) else [item])]
    least = next((one.ge for one in metadata if isinstance(one, Ge | Interval)), None)
    most = next((one.le for one in metadata if isinstance(one, Le | Interval)), None)
    return "whole number" if least is None or most is None else f"whole number from {least} to {most}"
