"""The endpoint where the model says where a call goes: `/v1`, and `/anthropic`.

`/v1` names no provider: a route names the model, an alias stands for it, or it is `provider/model`. `/anthropic` is the
path of a provider, too: a model that is neither an alias nor `provider/model` goes there as ever. Once the provider is
known a call goes on as if the app had asked on that provider's path for that model; of its body the model alone has
changed.

Invariant kept here: the app's own key goes to no provider that the model has named. The operator's does, or the call is
refused.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from policies.naming import meaning_of
from policies.parameter_edit import with_model
from policies.permitted import permitted
from policies.routes_compiled import RetryRule, Route, RouteTarget
from proxy.aiming import OF_ONE_PROVIDER
from proxy.blanks import blanks
from proxy.call import Call
from proxy.downstream.known_heads import KnownHead
from proxy.gate import Gate
from proxy.place import Place, Places, place_at
from proxy.providers import find_provider
from proxy.providers.paths import path_at
from proxy.replies import Reply
from proxy.routing import Journey, Routes
from proxy.unified_models import Models
from proxy.upstream.provider import Upstream

MODELS_PATH = "/v1/models"
_CHAT_PATHS = frozenset({"/v1/chat/completions", "/v1/responses"})
_MESSAGES_HOME = "anthropic"
"""Name of the provider on whose path the model may name another one."""
_MESSAGES = "anthropic.messages"
_ROUTE = find_provider("openai_compatible").route
_REPLACED = ("model_replaced",)
_MOST_SHOWN_CHARS = 120
_DIRECT_KEPT = 256
"""Ways that are made once; models are the app's words."""
_ONCE = RetryRule(tries_each=1, tries_most=1)
_COMPRESSED = Reply(
    status=415,
    code="compressed_body",
    message="the model in this body is to be replaced, and a compressed body cannot be changed; send it uncompressed",
)
_UNREAD = Reply(
    status=400,
    code="unread_body",
    message="the model says where a call goes here, and this body cannot be read; it has to be a JSON object",
)
_NO_MODEL = Reply(
    status=400,
    code="model_missing",
    message="the model says where a call goes here, and this body has none; it may be an alias or provider/model, such "
    f"as minimax/MiniMax-M3 (GET {MODELS_PATH} lists them)",
)


class Way(msgspec.Struct, frozen=True):
    """Where a call goes that its model has sent somewhere."""

    body: bytes
    """With the model that is asked for there."""
    journey: Journey


class Unified:
    """Finds where requests go; one for each worker.

    Args:
        upstreams: The configured providers by name.
    """

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self.models = Models(upstreams)
        """What may be asked for."""
        self._upstreams = upstreams
        self._places = Places(upstreams)
        self.bare = Routes(upstreams)
        """For calls that name a provider where nobody wrote a route."""

    def find(self, head: KnownHead) -> Place | Reply:
        """The place of a request, or why there is none; `Place.by_model` says whether it is only the place to begin."""
        place = self._places.find(head)
        if isinstance(place, Reply):
            is_unified = place.code == "unknown_provider" and head.target.startswith(b"/v1/")
            return self._begin(head) if is_unified else place
        if place.upstream.settings.name == _MESSAGES_HOME and place.dialect_name == _MESSAGES:
            return replace(place, by_model="may")
        return place

    def choose(self, call: Call, body: bytes, routes: Routes | None, gate: Gate) -> Way | Reply | None:
        """Send a call to where its model says, with the key for there.

        Args:
            call: Recognised, at a place where the model may say it.
            body: As the app sent it.
            routes: In force.
            gate: Lends keys.

        Returns:
            The way; the refusal where the model leads nowhere; None for a call that goes where its path says, and has
            its key there now.
        """
        by_model, named = call.place.by_model, call.facts.model or ""
        routes = routes or self.bare
        if by_model == "no":
            return None
        if by_model == "must" and (problem := _problem(call, named)):
            return problem
        facts = routes.facts(call)
        route = routes.find(replace(facts, provider="") if by_model == "must" else facts)
        meaning = meaning_of(named, route, routes.routing.aliases, self._upstreams)
        leads, route = meaning.stands_for, meaning.route
        if by_model != "must" and (route is not None or leads is None):
            return self._as_ever(call, gate)
        if route is not None:
            return self._on(route, leads[1] if leads is not None else None, call, body, routes, gate)
        if leads is not None:
            return self._to(leads, call, body, routes, gate)
        return self.models.unknown(named, call, gate)

    def _begin(self, head: KnownHead) -> Place | Reply:
        raw_path, _, _ = head.target.partition(b"?")
        path = str(raw_path, "utf-8", "replace")
        chats = head.method == "POST" and path in _CHAT_PATHS
        lists = head.method in {"GET", "HEAD"} and (path == MODELS_PATH or path.startswith(f"{MODELS_PATH}/"))
        if not chats and not lists:
            message = (
                "without a provider there are POST /v1/chat/completions, POST /v1/responses and GET /v1/models; "
                "everything else is on the path of its provider, such as /openai" + path[:_MOST_SHOWN_CHARS]
            )
            return Reply(status=404, code="unknown_endpoint", message=message)
        route = _ROUTE(head.method, path)
        dialect_name = route.dialect.name if route.dialect is not None else ""
        # Whichever provider: a call does not stay here.
        place = place_at(next(iter(self._upstreams.values())), head.method, raw_path, b"", head.fields)
        return replace(
            place,
            route=route,
            dialect_name=dialect_name,
            billing="",
            by_model="must",
            lists_models=lists,
            blanks=blanks(
                provider="",
                kind="",
                host="",
                dialect=dialect_name,
                operation=route.operation,
                method=head.method,
                path=path,
                billable=route.billable,
            ),
        )

    def _as_ever(self, call: Call, gate: Gate) -> Reply | None:
        return gate.identify(call) if call.place.by_model == "may" else None

    def _to(self, stands_for: tuple[str, str], call: Call, body: bytes, routes: Routes, gate: Gate) -> Way | Reply:
        """To one provider and model, or on the route of that model."""
        provider, model = stands_for
        if call.place.shared.content_encoding:
            return _COMPRESSED
        changed = with_model(body, model)
        if changed is None:
            return _UNREAD
        named = call.facts.model or ""
        refusal = self._move(call, self._upstreams[provider], gate)
        if refusal is not None:
            return refusal
        call.learn(replace(call.facts, model=model))
        call.reasons.append(f"model:{named[:_MOST_SHOWN_CHARS]}")
        facts = routes.facts(call)
        route = routes.find(facts) or direct(provider, model)
        return Way(changed, routes.journey_on(route, facts, call, _REPLACED))

    def _on(self, route: Route, model: str | None, call: Call, body: bytes, routes: Routes, gate: Gate) -> Way | Reply:
        """On a route that is for the call as it is written; `model` is for targets that name none."""
        if model is not None:
            route = replace(route, targets=tuple(replace(one, model=one.model or model) for one in route.targets))
        # Where the caller's key may use none of them the policies refuse it, in their own words.
        may_use = permitted(route, routes.facts(call), routes.keys, routes.clock())[0].targets or route.targets
        able = [
            upstream
            for target in may_use
            if (upstream := self._upstreams.get(target.provider)) is not None
            and _path(upstream, call.dialect_name, call.path) is not None
        ]
        home = next((upstream for upstream in able if upstream.keys.all), able[0] if able else None)
        if home is None:
            message = f"route {route.name} has no target that speaks {call.dialect_name}"
            return Reply(status=400, code="dialect_not_spoken", message=message)
        if (refusal := self._move(call, home, gate)) is not None:
            return refusal
        return Way(body, routes.journey_on(route, routes.facts(call), call))

    def _move(self, call: Call, upstream: Upstream, gate: Gate) -> Reply | None:
        """Make it a call to this provider, with a key there; the refusal where that cannot be."""
        begun = call.place
        if begun.by_model != "must" and upstream is call.upstream:
            return self._as_ever(call, gate)
        name = upstream.settings.name
        place = begun.moved.get(name)
        if place is None:
            path = _path(upstream, call.dialect_name, call.path)
            if path is None:
                message = f"provider {name} takes no {call.dialect_name} calls of {call.path[:_MOST_SHOWN_CHARS]}"
                return Reply(status=400, code="dialect_not_spoken", message=message)
            fields = tuple([one for one in call.request.head.fields if one[0].lower() not in OF_ONE_PROVIDER])
            place = begun.moved[name] = place_at(upstream, call.method, path.encode("utf-8"), b"", fields)
        call.place, call.upstream, call.route = place, upstream, place.route
        call.path, call.operation, call.dialect_name = place.path, place.route.operation, place.dialect_name
        return gate.lend(call)


@lru_cache(_DIRECT_KEPT)
def direct(provider: str, model: str) -> Route:
    """The way to one model where no route is for it: one try, as on the path of its provider."""
    target = RouteTarget(id=f"{provider}/{model}", provider=provider, model=model)
    return Route(name="model", targets=(target,), sticky="", retry=_ONCE, hold_head=False)


def _path(upstream: Upstream, dialect: str, path: str) -> str | None:
    return path_at(upstream.kind.kind, dialect, path, str(upstream.origin.prefix, "ascii", "replace"))


def _problem(call: Call, named: str) -> Reply | None:
    """Why nothing can be told from a body."""
    if call.place.shared.content_encoding:
        return _COMPRESSED
    if call.facts.unread:
        return _UNREAD
    return None if named else _NO_MODEL
