"""What has to change in a request before another target than the app's own can take it, dialect unchanged.

A target refuses, or silently ignores, parameters that the app's own one takes. `FILTERS` says for each kind, dialect
and family of models what is taken off, renamed or put in, and every change has a name for the record: `dropped:stop`,
`renamed:max_tokens`, `approximated:thinking`, `added:thinking`, `ignored:top_k`, `model_replaced`. Nothing else of the
body changes, and a call to what the app itself asked for is not touched at all.

A request that the target cannot answer rightly is refused for it, so that the next target is tried; a strict target
refuses whatever would lose something that matters.

Source: parameter pages of MiniMax, OpenAI, Anthropic and Gemini (OpenAI compatibility); refusals in issue trackers.
"""

import re
from collections.abc import Callable

import msgspec

from policies.parameter_edit import Body, read_body


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """From where to where a request is turned."""

    dialect: str
    kind: str
    """Of the target's provider."""
    model: str | None = None
    """That the target is asked for; None leaves the app's own."""
    model_in_body: bool = True
    """False where the path names the model (Gemini, Azure deployments)."""
    from_kind: str
    """Of the provider that the app itself asked for."""
    from_model: str = ""
    strict: bool = False


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a target gets it."""

    body: bytes
    changes: tuple[str, ...] = ()
    refused: str = ""
    """Why the target cannot take it; empty where it can. The body is the app's own then."""


class Turn:
    """One request on its way to one target: its body under edit, and what was done to it."""

    __slots__ = ("asked", "body", "changes", "lost", "refused")

    def __init__(self, asked: Asked, body: Body) -> None:
        self.asked = asked
        self.body = body
        self.changes: list[str] = []
        self.lost: list[str] = []
        """Changes that lose something."""
        self.refused = ""

    def note(self, change: str, name: str, *, loses: bool = False) -> None:
        """Remember a change of a member."""
        self.changes.append(f"{change}:{name}")
        if loses:
            self.lost.append(name)


Rule = Callable[[Turn], None]

_NOTHING: dict[str, frozenset[bytes]] = {
    "n": frozenset({b"1"}),
    "stop": frozenset({b"[]", b'""'}),
    "stop_sequences": frozenset({b"[]"}),
    "logprobs": frozenset({b"false"}),
    "logit_bias": frozenset({b"{}"}),
    "frequency_penalty": frozenset({b"0", b"0.0"}),
    "presence_penalty": frozenset({b"0", b"0.0"}),
    "temperature": frozenset({b"1", b"1.0"}),
    "top_p": frozenset({b"1", b"1.0"}),
    "store": frozenset({b"false"}),
    "parallel_tool_calls": frozenset({b"true"}),
}
"""Values that say no more than leaving the member out does; `null` always is one."""
_HARMLESS = frozenset({"user", "metadata", "reasoning_split", "store"})
"""Members without which the answer is the same."""


def filter_parameters(body: bytes, asked: Asked) -> Filtered:
    """The request body for a target. Never raises.

    Args:
        body: As the app sent it, without content coding.
        asked: From where to where.
    """
    replaces = asked.model_in_body and asked.model is not None and asked.model != asked.from_model
    is_home = asked.kind == asked.from_kind and asked.model in {None, asked.from_model}
    rules = () if is_home else rules_for(asked.kind, asked.dialect, (asked.model or asked.from_model).lower())
    if is_home or not (rules or replaces):
        return Filtered(body=body)
    read = read_body(body)
    if read is None:
        return Filtered(body=body, refused="unread")
    turn = Turn(asked, read)
    for rule in rules:
        rule(turn)
    if asked.strict and turn.lost and not turn.refused:
        turn.refused = f"strict:{turn.lost[0]}"
    if turn.refused:
        return Filtered(body=body, refused=turn.refused)
    if replaces:
        read.replace("model", msgspec.json.encode(asked.model))
        turn.changes.append("model_replaced")
    return Filtered(body=read.write() if turn.changes else body, changes=tuple(turn.changes))


def rules_for(kind: str, dialect: str, model: str) -> tuple[Rule, ...]:
    """What is done for a target; `model` in lower case."""
    return tuple(
        rule
        for kinds, one_dialect, models, rules in FILTERS
        if kind in kinds and dialect == one_dialect and (models is None or models.match(model))
        for rule in rules
    )


def _says_something(turn: Turn, name: str) -> bool:
    value = turn.body.value(name)
    return value is not None and value != b"null" and value not in _NOTHING.get(name, ())


def _drop(*names: str, keep: frozenset[bytes] = frozenset()) -> Rule:
    """Take members off, but for values in `keep`."""

    def rule(turn: Turn) -> None:
        present = turn.body.names
        for name in names:
            if name in present and turn.body.value(name) not in keep:
                turn.note("dropped", name, loses=_says_something(turn, name) and name not in _HARMLESS)
                turn.body.drop(name)

    return rule


def _drop_beside(name: str, other: str) -> Rule:
    """Take a member off where another one is there, too."""

    def rule(turn: Turn) -> None:
        if other in turn.body.names:
            _drop(name)(turn)

    return rule


def _ignored(*names: str) -> Rule:
    """Name what the target takes without heeding it."""

    def rule(turn: Turn) -> None:
        for name in names:
            if _says_something(turn, name):
                turn.note("ignored", name, loses=True)

    return rule


def _rename(old: str, new: str) -> Rule:
    """Call a member by the target's name for it; where it already stands under that name, that one counts."""

    def rule(turn: Turn) -> None:
        present = turn.body.names
        if old not in present:
            return
        turn.note("renamed", old)
        if new in present:
            turn.body.drop(old)
        else:
            turn.body.rename(old, new)

    return rule


def _refuse(pattern: bytes, why: str) -> Rule:
    """Refuse messages for which the target has no counterpart.

    The pattern has quotes in it: inside texts these are escaped, so that it finds members and whole values only.
    """
    found = re.compile(pattern)

    def rule(turn: Turn) -> None:
        if not turn.refused and found.search(turn.body.value("messages") or b""):
            turn.refused = why

    return rule


def _tool_choice_auto_or_none(turn: Turn) -> None:
    value = turn.body.value("tool_choice")
    if value not in {None, b"null", b'"auto"', b'"none"'}:
        turn.body.replace("tool_choice", b'"auto"')
        turn.note("approximated", "tool_choice", loses=True)


def _thinking_adaptive(turn: Turn) -> None:
    """`enabled` with a budget is refused by models that think as much as they see fit."""
    if _thinking_type(turn) == "enabled":
        turn.body.replace("thinking", b'{"type":"adaptive"}')
        turn.note("approximated", "thinking")


def _thinking_off(turn: Turn) -> None:
    """Left out, thinking is on: keep it off for an app whose own model does not think unless it is told to."""
    if turn.body.names & {"thinking", "reasoning_effort"} or _THINKS_UNASKED.search(turn.asked.from_model.lower()):
        return
    if turn.asked.from_kind != "minimax":
        turn.body.replace("thinking", b'{"type":"disabled"}')
        turn.note("added", "thinking")


def _always_thinks(turn: Turn) -> None:
    """Thinking cannot be switched off."""
    if _thinking_type(turn) == "disabled":
        turn.note("ignored", "thinking")
    elif "thinking" not in turn.body.names and not _THINKS_UNASKED.search(turn.asked.from_model.lower()):
        turn.note("approximated", "thinking")


def _no_foreign_signature(turn: Turn) -> None:
    """Thinking in the history is signed by the provider that thought it, and no other takes it."""
    if turn.asked.from_kind != turn.asked.kind:
        _refuse(_THOUGHT, "foreign_thinking")(turn)


def _no_prefill(turn: Turn) -> None:
    """The answer may not be begun by the app."""
    try:
        messages = msgspec.json.decode(turn.body.value("messages") or b"[]", type=list[_Message])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return  # no messages that anybody could take; the target says so better
    if messages and messages[-1].role == "assistant":
        turn.refused = turn.refused or "prefill"


def _thinking_type(turn: Turn) -> str:
    try:
        return msgspec.json.decode(turn.body.value("thinking") or b"{}", type=_Thinking).type
    except (msgspec.MsgspecError, ValueError):
        return ""


class _Message(msgspec.Struct):
    role: str = ""


class _Thinking(msgspec.Struct):
    type: str = ""


_THOUGHT = rb'"type"\s*:\s*"(?:redacted_)?thinking"'
_THINKS_UNASKED = re.compile(
    r"(?:^|/)(?:minimax-m|gpt-[5-9]|o[1-9]|gemini-(?:2\.5|[3-9])|deepseek-(?:reasoner|v4)|grok-4)"
)
"""Models that think where the request says nothing of it."""
_OPENAI_REASONING = re.compile(r"(?!gpt-[^/]*-chat)(?:gpt-[5-9]|o[1-9](?:$|-))")
_MINIMAX_M3 = re.compile(r"minimax-m3")
_MINIMAX_M2 = re.compile(r"minimax-m2")
_CLAUDE_ADAPTIVE = re.compile(
    r"claude-(?:opus-4-(?:[7-9]|[1-9]\d)(?!\d)|(?:opus|sonnet|haiku)-(?:[5-9]|[1-9]\d)(?!\d)|fable)"
)
"""From Opus 4.7 on; a date behind the 4 is no version."""
_CLAUDE_4_5 = re.compile(r"claude-(?:opus|sonnet|haiku)-4-[56](?!\d)")

_MINIMAX_EXTRAS = ("reasoning_split", "thinking", "mask_sensitive_info")
_OPENAI_TIERS = frozenset({b'"auto"', b'"default"', b'"flex"', b'"priority"', b'"scale"'})
_CHAT = "openai.chat"
_MESSAGES = "anthropic.messages"

FILTERS: tuple[tuple[frozenset[str], str, re.Pattern[str] | None, tuple[Rule, ...]], ...] = (
    (
        frozenset({"minimax"}),
        _CHAT,
        None,
        (
            _drop("stop", "response_format", "seed", "logprobs", "top_logprobs", "logit_bias"),
            _drop("frequency_penalty", "presence_penalty", "n", "user"),
            _tool_choice_auto_or_none,
            _thinking_adaptive,
        ),
    ),
    (frozenset({"minimax"}), _CHAT, _MINIMAX_M3, (_thinking_off,)),
    (frozenset({"minimax"}), _CHAT, _MINIMAX_M2, (_always_thinks,)),
    (
        frozenset({"minimax"}),
        _MESSAGES,
        None,
        (_ignored("top_k", "stop_sequences", "mcp_servers", "container", "context_management"), _thinking_adaptive),
    ),
    (
        frozenset({"openai", "azure"}),
        _CHAT,
        None,
        (
            _drop(*_MINIMAX_EXTRAS),
            _drop("service_tier", keep=_OPENAI_TIERS),
            _refuse(rb'"type"\s*:\s*"video_url"', "video"),
        ),
    ),
    (
        frozenset({"openai", "azure"}),
        _CHAT,
        _OPENAI_REASONING,
        (
            _rename("max_tokens", "max_completion_tokens"),
            _drop("temperature", keep=_NOTHING["temperature"]),
            _drop("top_p", keep=_NOTHING["top_p"]),
        ),
    ),
    (
        frozenset({"gemini"}),
        _CHAT,
        None,
        (
            _drop("logit_bias", "store", "metadata", "parallel_tool_calls", *_MINIMAX_EXTRAS),
            _refuse(rb'"(?:tool_call_)?id"\s*:\s*""', "empty_tool_id"),
        ),
    ),
    (frozenset({"anthropic"}), _MESSAGES, None, (_no_foreign_signature,)),
    (frozenset({"anthropic"}), _MESSAGES, _CLAUDE_4_5, (_drop_beside("top_p", "temperature"),)),
    (
        frozenset({"anthropic"}),
        _MESSAGES,
        _CLAUDE_ADAPTIVE,
        (_drop("temperature", "top_p", "top_k"), _thinking_adaptive, _no_prefill),
    ),
)
"""Kinds, dialect, models (None: all) and what is done, in this order; every line that fits applies."""
