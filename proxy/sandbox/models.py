"""The list of models, in the shape of the provider that is asked."""

from typing import Any

from proxy.sandbox.anthropic_messages import DATED as ANTHROPIC_DATED
from proxy.sandbox.errors import Failure, anthropic_failure, openai_failure
from proxy.sandbox.exchange import Answer, Ask, plain, refuse
from proxy.sandbox.openai_chat import DATED as OPENAI_DATED
from proxy.sandbox.words import MARKER

MINIMAX_MODELS = (
    "MiniMax-M3",
    "MiniMax-M3.1-Flash",
    "MiniMax-M2.7",
    "MiniMax-M2.7-highspeed",
    "MiniMax-M2.5",
    "MiniMax-M2",
    "M2-her",
)
"""MiniMax models that are listed; any other name is answered too."""
DEEPSEEK_MODELS = ("deepseek-flash", "deepseek-v4-pro")
"""DeepSeek models that are listed."""

_OWNER = "taximeter-sandbox"
_CREATED = 1_780_000_000
_CREATED_TEXT = "2026-05-28T20:26:40Z"


def answer_models(ask: Ask) -> Answer:
    """The answer to `GET .../models`, or to `GET .../models/{id}` for one of them."""
    anthropic = ask.flavour == "anthropic" or "/anthropic/" in ask.path or "anthropic-version" in ask.headers
    wanted = ask.path.rpartition("/models")[2].strip("/")
    known = _known(ask, anthropic=anthropic)
    if wanted and wanted not in known:
        return refuse(ask, {}, _unknown(ask, wanted, anthropic=anthropic))
    describe = _anthropic_entry if anthropic else _openai_entry
    if wanted:
        return plain(200, {}, describe(wanted))
    entries = [describe(name) for name in known]
    if anthropic:
        ends = {"first_id": known[0], "last_id": known[-1]}
        return plain(200, {}, {"data": entries, "has_more": False, **ends})
    return plain(200, {}, {"object": "list", "data": entries})


def _known(ask: Ask, *, anthropic: bool) -> tuple[str, ...]:
    if ask.flavour == "minimax":
        return MINIMAX_MODELS
    if ask.flavour == "deepseek":
        return DEEPSEEK_MODELS
    dated = ANTHROPIC_DATED if anthropic else OPENAI_DATED
    return (*dated, *dated.values())


def _unknown(ask: Ask, wanted: str, *, anthropic: bool) -> Failure:
    if anthropic:
        return anthropic_failure("404", f"req_sandbox{ask.draw.fork('request_id').hex(20)}", f"model: {wanted}")
    return openai_failure("404", f"The model '{wanted}' does not exist")


def _openai_entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": _OWNER}


def _anthropic_entry(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": f"{MARKER} {name}", "created_at": _CREATED_TEXT}
