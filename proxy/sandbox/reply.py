"""What the sandbox answers, before any dialect words it: tokens of reasoning and text, tool calls, a finish."""

from typing import Any, Literal

import msgspec

from proxy.sandbox.controls import Controls
from proxy.sandbox.schema import instance
from proxy.sandbox.words import MARKER, Draw, count, speak, split

Finish = Literal["stop", "length", "tool", "stop_sequence"]


class Tool(msgspec.Struct, frozen=True):
    """A function the app offers."""

    name: str
    schema: Any
    """Decoded JSON schema of its arguments."""


class Call(msgspec.Struct, frozen=True):
    """A call of a tool with arguments that its schema accepts."""

    name: str
    arguments: Any
    text: str
    """The arguments as JSON text."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the app asked of the answer."""

    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    calls: int = 0
    """How many calls of tools the dialect's rules ask for."""
    introduces_calls: bool = False
    """Whether a text stands before the calls, as Claude's answers have it."""
    reasons: bool = False
    schema: Any = None
    """JSON schema that the text has to satisfy; None for prose."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of an answer."""

    reasoning: tuple[str, ...]
    """Tokens; joined they are the text."""
    text: tuple[str, ...]
    """Tokens; joined they are the text."""
    calls: tuple[Call, ...]
    finish: Finish
    stop: str | None = None
    """The stop sequence that ended the text."""

    @property
    def output_tokens(self) -> int:
        """All tokens of the choice, reasoning included."""
        return len(self.reasoning) + len(self.text) + sum(_cost(call) for call in self.calls)


def compose(wish: Wish, controls: Controls, draw: Draw) -> Reply:
    """One choice, the same for the same wish, controls and draw; never longer than `wish.max_tokens`."""
    left = max(0, wish.max_tokens) if wish.max_tokens is not None else _NO_LIMIT
    reasoning: list[str] = []
    if wish.reasons:
        length = controls.reasoning if controls.reasoning is not None else draw.fork("thought").between(8, 30)
        reasoning = speak(draw.fork("reasoning"), length, "no model thinks here.")
    text, stop = _stopped(_text(wish, controls, draw), wish.stops)
    wanted = tuple(_call(wish, draw, number) for number in range(wish.calls))

    finish: Finish = "stop" if stop is None else "stop_sequence"
    if len(reasoning) + len(text) > left:
        reasoning = reasoning[:left]
        text = text[: left - len(reasoning)]
        finish, stop = "length", None
    left -= len(reasoning) + len(text)
    calls: list[Call] = []
    for call in wanted if finish == "stop" else ():
        left -= _cost(call)
        if left < 0:
            finish = "length"
            break
        calls.append(call)
    if calls and finish == "stop":
        finish = "tool"
    return Reply(reasoning=tuple(reasoning), text=tuple(text), calls=tuple(calls), finish=finish, stop=stop)


_NO_LIMIT = 1 << 40


def _text(wish: Wish, controls: Controls, draw: Draw) -> list[str]:
    if wish.calls:
        return split(f"{MARKER} Calling the tools with invented arguments.") if wish.introduces_calls else []
    if wish.schema is not None:
        return split(msgspec.json.encode(instance(wish.schema, draw.fork("structure"))).decode())
    length = controls.tokens if controls.tokens is not None else draw.fork("length").between(12, 60)
    return speak(draw.fork("text"), length, "simulated answer:")


def _stopped(text: list[str], stops: tuple[str, ...]) -> tuple[list[str], str | None]:
    """The text up to the first stop sequence after the marker, and which one it was."""
    joined = "".join(text)
    found = [(at, stop) for stop in stops if stop and (at := joined.find(stop, len(MARKER))) >= 0]
    if not found:
        return text, None
    at, stop = min(found)
    return split(joined[:at]), stop


def _call(wish: Wish, draw: Draw, number: int) -> Call:
    tool = wish.tools[number % len(wish.tools)]
    arguments = instance(tool.schema, draw.fork("call", number))
    if not isinstance(arguments, dict):
        arguments = {}
    return Call(tool.name, arguments, msgspec.json.encode(arguments).decode())


def _cost(call: Call) -> int:
    return count(call.name) + count(call.text)
