"""What every schema of ours is made of: sections of known keys, and values whose mistakes are worded for people."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from proxy.config.problems import KeyPath

SAID = "taximeter"
"""Type of a validation error whose message is already worded for people."""


def parsed(parse: Callable[[Any], Any], written_as: Any = Any) -> PlainValidator:
    """A validator whose ValueError is kept word for word; `written_as` is the type of the raw value, for editors.

    It wraps `parse`, so that a reference of the keys can say by it how a value is written.
    """

    @wraps(parse)
    def validate(raw: Any) -> Any:
        try:
            return parse(raw)
        except ValueError as error:
            raise PydanticCustomError(SAID, "{said}", {"said": str(error)}) from None

    return PlainValidator(validate, json_schema_input_type=written_as)


class Section(BaseModel):
    """A mapping of known keys, described by the texts behind them. A key without a value counts as left out."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, raw: Any) -> Any:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            return raw
        return {key: value for key, value in raw.items() if value is not None or key not in cls.model_fields}


def known_keys(root: type[Section], path: KeyPath) -> tuple[str, ...]:
    """The keys that may stand in the section at `path` below `root`; none where there is no section."""
    section = root
    parts = iter(path)
    for part in parts:
        field = section.model_fields.get(str(part))
        inner = _section_in(field.annotation if field else None, parts)
        if inner is None:
            return ()
        section = inner
    return tuple(field.alias or name for name, field in section.model_fields.items())


def _section_in(annotation: Any, parts: Iterator[str | int]) -> type[Section] | None:
    """The section that an annotation is, or holds by name or number; the name or number is taken off the path."""
    if get_origin(annotation) in {dict, list}:
        next(parts, None)
        return _section_in(get_args(annotation)[-1], parts)
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Section) else None
    return next((found for one in get_args(annotation) if (found := _section_in(one, parts))), None)
