"""What a caller may ask for by a model alone: the answer to `GET /v1/models`, and the hint where a name leads nowhere.

Listed are aliases, names that routes are for, and `provider/model` of models that generate text for a known price, as
far as there is a key of the operator's at their provider and the caller may use both.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from policies.aliases import split_model
from policies.compiled import NO_POLICIES, CompiledPolicies, ModelRate
from policies.engine import key_refusal
from policies.facts import CallFacts
from policies.match import holds
from policies.routes_compiled import Route
from proxy.call import Call
from proxy.core.facts import RequestFacts
from proxy.gate import Gate
from proxy.providers.paths import path_at
from proxy.replies import Reply, encode
from proxy.upstream.provider import Upstream

_CHAT_PATH = "/v1/chat/completions"
_DIALECTS = ("openai.chat", "openai.responses")
_MOST_SHOWN_CHARS = 120
_MOST_NAMED = 12
_MOST_COMPARED = 64
_MOST_REMEMBERED = 256


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the list, as OpenAI's clients read it."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str


class _List(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: tuple[Model, ...]


class Models:
    """What may be asked for, by the policies in force.

    Args:
        upstreams: The configured providers by name.
    """

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._policies: CompiledPolicies = NO_POLICIES
        self._remembered: dict[str, tuple[Model, ...]] = {}
        self._hints: dict[tuple[str, str], str] = {}

    def install(self, policies: CompiledPolicies) -> None:
        """Take new policies."""
        self._policies = policies
        self._remembered.clear()
        self._hints.clear()

    def for_caller(self, call: Call) -> tuple[Model, ...]:
        """What the caller may ask for: aliases, names of routes, then `provider/model`, each once."""
        listed = self._remembered.get(call.key)
        if listed is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            listed = self._remembered[call.key] = self._list(call)
        return listed

    def _list(self, call: Call) -> tuple[Model, ...]:
        found: dict[str, Model] = {}
        for name, provider, model in self._names():
            if name.lower() not in found and self._may_use(call, provider, model):
                found[name.lower()] = Model(id=name, owned_by=provider)
        return tuple(found.values())

    def unknown(self, named: str, call: Call, gate: Gate) -> Reply:
        """Why a model leads nowhere, and what there is."""
        shown = named[:_MOST_SHOWN_CHARS]
        names = [one.id for one in self.for_caller(call)] if gate.lends(call) else []
        hint = self._hint(shown, names, call.key)
        there = f"there are {', '.join(names[:_MOST_NAMED])}" if names else "nothing is listed for this caller"
        more = ", ..." if len(names) > _MOST_NAMED else ""
        return Reply(
            status=404,
            code="model_not_found",
            message=f"the model {shown!r} is no alias, no name of a route and no provider/model; {hint}{there}{more}; "
            f"any model can be asked for as provider/model at {', '.join(self._lent())}",
        )

    def tell(self, call: Call, gate: Gate) -> bytes:
        """The whole answer to a list, or to a look at one model; the call gets its status."""
        refusal = gate.recognise(call)
        listed = self.for_caller(call) if refusal is None and gate.lends(call) else ()
        wanted = call.path.removeprefix("/v1/models").strip("/")
        chosen = next((one for one in listed if one.id.lower() == wanted.lower()), None)
        if refusal is None and wanted and chosen is None:
            refusal = Reply(
                status=404,
                code="model_not_found",
                message=f"this caller may ask for no model {wanted[:_MOST_SHOWN_CHARS]!r}; GET /v1/models lists them",
            )
        close = not call.request.head.keeps or not call.request.body.is_eof()
        body_wanted = call.method != "HEAD"
        if refusal is not None:
            call.status, call.refused = refusal.status, refusal.code
            call.refusal_class = "auth" if refusal.status == 401 else "model_not_found"
            call.reasons.append(refusal.code)
            return encode(refusal, call.route.error_dialect, call.call_id, close=close, body_wanted=body_wanted)
        call.status = 200
        body = msgspec.json.encode(chosen if chosen is not None else _List(data=listed))
        lines = [
            b"HTTP/1.1 200 OK",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            b"x-taximeter-call-id: " + call.call_id.encode("ascii"),
            *([b"Connection: close"] if close else []),
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (body if body_wanted else b"")

    def _names(self) -> Iterator[tuple[str, str, str]]:
        """Name, provider and the model that rules see."""
        routing = self._policies.routing
        for alias, name in sorted(routing.aliases.items()):
            led = split_model(name, self._upstreams)
            if led is not None:
                yield alias, *led
        for route in routing.routes:
            home = next((one.provider for one in route.targets if self._is_lent(one.provider)), "")
            for name in _models_of(route):
                yield name, home, name.lower()
        for rate in self._policies.rates:
            if rate.output_nano and (model := _written(rate)):  # what is not billed for output generates no text
                yield f"{rate.provider}/{model}", rate.provider, model.lower()

    def _may_use(self, call: Call, provider: str, model: str) -> bool:
        if not self._is_lent(provider):
            return False
        rule = self._policies.keys.get(call.key) if call.key else None
        if rule is None:
            return True
        facts = CallFacts(
            provider=provider, operation="chat", request=RequestFacts(model=model), caller=call.caller, key=call.key
        )
        return key_refusal(rule, facts, time.time_ns()) is None

    def _is_lent(self, provider: str) -> bool:
        """Whether the operator has a key at a provider that the unified endpoint can send calls to."""
        upstream = self._upstreams.get(provider)
        if upstream is None or not upstream.keys.all:
            return False
        return path_at(upstream.kind.kind, "openai.chat", _CHAT_PATH) is not None

    def _lent(self) -> list[str]:
        return [name for name in sorted(self._upstreams) if self._is_lent(name)] or [
            "none yet: no provider has an api_key"
        ]

    def _hint(self, named: str, names: Sequence[str], key: str) -> str:
        """What was meant, as a question; looked for once, since an app that is set up wrongly asks again and again."""
        hint = self._hints.get((key, named))
        if hint is None:
            near = _nearest(named, names)
            if not near and (provider := self._nearest_provider(named)):
                near = f"{provider}/{named.partition('/')[2]}"
            if len(self._hints) >= _MOST_REMEMBERED:
                self._hints.clear()
            hint = self._hints[key, named] = f"did you mean {near}? " if near else ""
        return hint

    def _nearest_provider(self, named: str) -> str:
        word, slash, _ = named.partition("/")
        near = get_close_matches(word.lower(), list(self._upstreams), n=1) if slash else []
        return near[0] if near else ""


def _models_of(route: Route) -> Iterator[str]:
    """Models that a route is for by name, as its targets write them where they do."""
    written = {one.model.lower(): one.model for one in route.targets if one.model}
    dialects = [one for one in route.match.conditions if one.field == "dialect"]
    if not all(any(holds(one, dialect) for dialect in _DIALECTS) for one in dialects):
        return
    for one in route.match.conditions:
        if one.field == "model" and not one.negated:
            for name in one.values:
                yield written.get(name, name)


def _written(rate: ModelRate) -> str:
    """The model that a price is for, as its provider writes it; empty for families and for what is no model.

    Names in rates are in lower case, and some providers know no such model; the id of the entry ends with the name.
    """
    name = rate.id.split("/", 2)[-1]
    for written in (name, name.rpartition("@")[0]):
        if written and written.lower() in rate.models and ":" not in written:
            return written
    return ""


def _nearest(named: str, names: Sequence[str]) -> str:
    """The name of the list that is meant; empty where none is near. A model without its provider is found at once."""
    low = named.lower()
    for name in names:
        if name.lower().partition("/")[2] == low:
            return name
    # To compare all of a thousand takes 20 ms, in which nobody else is served; own names stand in front.
    compared = names[:_MOST_COMPARED]
    by_low = {form: name for name in reversed(compared) for form in (name.lower(), name.lower().partition("/")[2])}
    near = get_close_matches(low, [form for form in by_low if form], n=1)
    return by_low[near[0]] if near else ""
