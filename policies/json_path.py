"""Plain paths into JSON values: `choices[0].message.content`, `base_resp.status_code`, `[0].error`.

Names are joined by dots, places in arrays stand in brackets, and there is nothing else: no wildcard, no filter, no
expression. A member whose name has a dot or a bracket in it cannot be named.
"""

import re
from decimal import Decimal

from policies.routes_compiled import Step

MAX_STEPS = 16
"""Deeper paths are mistakes."""
_PIECE = re.compile(r"([^.\[\]]+)|\[(\d{1,6})\]")


def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path.

    Raises:
        ValueError: it is no path; the message says what is wrong with it.
    """
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if text[at] == "." and steps:
            at += 1
            if at == len(text) or text[at] == "[":
                raise ValueError(f"a dot in {text!r} has to be followed by a name")
        elif text[at] != "[" and steps:
            raise ValueError(f"a dot is missing in {text!r} after {text[:at]!r}")
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"{text!r} is no path: write names with dots, places in arrays as [0]")
        steps.append(piece[1] if piece[1] is not None else int(piece[2]))
        at = piece.end()
    if not 0 < len(steps) <= MAX_STEPS:
        raise ValueError(f"a path has from 1 to {MAX_STEPS} steps, not {len(steps)}")
    return tuple(steps)


def path_text(path: tuple[Step, ...]) -> str:
    """A path as people write it."""
    pieces = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(pieces).removeprefix(".")


def text_at(value: object, path: tuple[Step, ...]) -> str | None:
    """The plain value at a path as text; None where there is none: nothing, an object, an array."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
    return _plain(value)


def _plain(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else None
