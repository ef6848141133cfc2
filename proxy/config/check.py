"""Raw values -> a section, with every mistake worded; what is wrong is left out, so that the rest is checked too."""

import copy
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.problems import KeyPath, Report, did_you_mean
from proxy.config.section import SAID, Section, known_keys

_PLAIN = {
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "model_type": "must be a section of keys and values",
    "dict_type": "must be a section of keys and values",
    "list_type": "must be a list, one `- value` a line",
    "string_too_short": "must not be empty",
}


S = TypeVar("S", bound=Section)


def checked(raw: dict[str, Any], report: Report, schema: type[S]) -> S:
    """The section of what is right in `raw`; what is not is reported and counts as left out."""
    raw = copy.deepcopy(raw)
    while True:
        try:
            return schema.model_validate(raw)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True, include_input=False)
            for detail in details:
                report.add(detail["loc"], _worded(detail, schema))
            if not _leave_out(raw, [detail["loc"] for detail in details]):
                return schema()


def _worded(detail: ErrorDetails, schema: type[Section]) -> str:
    kind, path, context = detail["type"], detail["loc"], detail.get("ctx", {})
    if kind == SAID:
        said = str(context["said"])
        if path[:1] == ("providers",) and "env:NAME" in said:
            said = said.replace("env:NAME", f"env:{_env_name(str(path[1]))}")
        return said
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(path[-1]), known_keys(schema, path[:-1]))}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        word, bound = ("at least", context.get("ge")) if "greater" in kind else ("at most", context.get("le"))
        return f"must be {word} {bound}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    return _PLAIN.get(kind, "has the wrong form")


def _env_name(provider: str) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in provider.upper())
    return f"{name}_API_KEY"


def _leave_out(raw: dict[str, Any], paths: list[KeyPath]) -> bool:
    """Take the values at `paths` out of `raw`; False when not one of them was there."""
    found = False
    # From the back, so that the indexes of a list stay true.
    for *above, last in sorted(set(paths), key=lambda path: [str(part).zfill(8) for part in path], reverse=True):
        holder: Any = raw
        for part in above:
            holder = holder[part] if _holds(holder, part) else None
        if _holds(holder, last):
            del holder[last]
            found = True
    return found


def _holds(holder: Any, part: str | int) -> bool:
    if isinstance(holder, dict):
        return part in holder
    return isinstance(holder, list) and isinstance(part, int) and part < len(holder)
