"""Aiming a call at one target of its plan: which host, path, body and key it gets there, or why it cannot go.

Invariants kept here:
- A key of the app's own never goes to another provider than the one that it was sent for.
- The operator's key is used for nobody who may not use it (`Gate.lends`).
- What is changed for the target has a name, and everything else stays as it came.
"""

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from policies.parameter_filter import Asked, filter_parameters
from policies.routes_compiled import RouteTarget
from proxy.call import Call
from proxy.core.headers import changed, credential_changes
from proxy.core.usage_request import ask_for_usage
from proxy.providers.paths import path_at
from proxy.upstream.keys import UpstreamKey
from proxy.upstream.provider import Upstream

_MARK = "/models/"
_MOST_MADE = 64
"""Starts of heads that are kept with a place: paths that name models could be many."""
OF_ONE_PROVIDER: dict[bytes, bytes | None] = dict.fromkeys((b"cookie", b"openai-organization", b"openai-project"))
"""Headers that mean something to the provider that the app itself asked, and to no other."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """One target, ready to be sent to."""

    target: RouteTarget
    upstream: Upstream
    key: UpstreamKey | None
    """The operator's; None lets the app's own pass."""
    raw_path: bytes
    path: str
    query: bytes
    """With its question mark."""
    body: bytes
    model: str
    """That is asked for there."""
    changes: tuple[str, ...] = ()

    @property
    def billing(self) -> str:
        """How the call is paid for there, as far as the key tells."""
        return self.key.billing if self.key is not None else ""


def aim_at(
    target: RouteTarget, call: Call, body: bytes, upstreams: Mapping[str, Upstream], *, lent: bool, now_s: float
) -> Aim | str:
    """The call as this target gets it, or a word on why it does not.

    Args:
        target: Of the call's plan.
        call: Identified, its body read.
        body: As it is to be sent, without content coding.
        upstreams: The configured providers by name.
        lent: Whether the operator's keys may be used for the caller.
        now_s: Of the clock that keys are put aside by.
    """
    upstream = upstreams.get(target.provider)
    if upstream is None:
        return "unknown_provider"
    if target.translate and target.translate != call.dialect_name:
        return "translation"
    key = _key(target, upstream, call, lent=lent, now_s=now_s)
    if isinstance(key, str):
        return key
    is_home = upstream is call.upstream
    path = _path(target, upstream, call, is_home=is_home)
    if path is None:
        return "no_such_path"
    asked = Asked(
        dialect=call.dialect_name,
        kind=upstream.kind.kind,
        model=target.model,
        model_in_body=call.route.model is None,
        from_kind=call.upstream.kind.kind,
        from_model=call.model_requested,
        strict=target.strict,
    )
    if call.place.shared.content_encoding and not (is_home and target.model in {None, call.model_requested}):
        return "compressed_body"
    filtered = filter_parameters(body, asked)
    if filtered.refused:
        return filtered.refused
    query = call.place.query if key is None else call.place.bare_query
    if not is_home:
        # What stands in a query is said to a kind of provider; the app's key is never among it.
        query = call.place.bare_query if upstream.kind.kind == call.upstream.kind.kind else b""
    changes = filtered.changes
    if path != call.path and call.route.model is not None and target.model not in {None, call.model_requested}:
        changes = (*changes, "model_replaced")
    return Aim(
        target=target,
        upstream=upstream,
        key=key,
        raw_path=call.place.raw_path if path == call.path else path.encode("utf-8"),
        path=path,
        query=query,
        body=filtered.body,
        model=target.model or call.model_requested,
        changes=changes,
    )


def as_asked(target: RouteTarget, call: Call, body: bytes) -> Aim | None:
    """The first try at what the app itself asks for, of which nothing changes; None for any other (`aim_at`)."""
    if target.provider != call.upstream.settings.name or target.key or target.translate or call.attempts:
        return None
    if target.model is not None and target.model != call.model_requested:
        return None
    place, key = call.place, call.provider_key
    return Aim(
        target=target,
        upstream=call.upstream,
        key=key,
        raw_path=place.raw_path,
        path=call.path,
        query=place.query if key is None else place.bare_query,
        body=body,
        model=call.model_requested,
    )


def start_at(call: Call, aim: Aim) -> bytes:
    """Request line and common header lines for a target; for the app's own provider what they are without routes."""
    place, upstream = call.place, aim.upstream
    if upstream is call.upstream and aim.path == call.path:
        return place.start(aim.key)
    name = f"{upstream.settings.name} {aim.path} {aim.key.name if aim.key is not None else ''}"
    start = place.made.get(name)
    if start is None:
        changes = dict(place.shared.identity.changes)
        if aim.key is not None:
            changes |= credential_changes(place.shared.head, *upstream.kind.credential(aim.path, aim.key.secret))
        if upstream is not call.upstream:
            changes |= OF_ONE_PROVIDER
        origin = upstream.origin
        line = b"%b %b%b%b HTTP/1.1\r\n" % (call.method.encode("ascii"), origin.prefix, aim.raw_path, aim.query)
        lines = b"".join(b"%b: %b\r\n" % field for field in changed(place.shared.head, changes))
        start = b"%bHost: %b\r\n%b" % (line, origin.host_header, lines)
        if len(place.made) < _MOST_MADE:
            place.made[name] = start
    return start


def body_with_usage(call: Call, aim: Aim) -> bytes | None:
    """The body with the option that makes a stream tell its usage; None where it is not to be asked for."""
    facts = call.facts
    if not facts.streaming or facts.include_usage or call.place.shared.content_encoding:
        return None
    query = str(aim.query[1:], "latin-1")
    return ask_for_usage(aim.body, facts) if aim.upstream.asks_usage(aim.path, query, aim.model) else None


def _key(target: RouteTarget, upstream: Upstream, call: Call, *, lent: bool, now_s: float) -> UpstreamKey | str | None:
    if upstream is call.upstream and not target.key:
        if call.provider_key is None or not call.attempts:
            return call.provider_key
        return upstream.keys.choose(now_s)  # one that was refused a moment ago is aside by now
    if not upstream.keys.all:
        return "no_provider_key"
    if not lent:
        return "own_key_stays"
    if not target.key:
        return upstream.keys.choose(now_s)
    return next((key for key in upstream.keys.all if key.name == target.key), "unknown_key")


def _path(target: RouteTarget, upstream: Upstream, call: Call, *, is_home: bool) -> str | None:
    """The path there; where the path names the model, with the target's model in it."""
    same_kind = upstream.kind.kind == call.upstream.kind.kind
    model, named = target.model, call.route.model
    if named is not None and model is not None and model != named:
        return _with_model(call.path, named, model) if same_kind else None
    if is_home or (same_kind and upstream.origin.prefix == call.upstream.origin.prefix):
        return call.path
    return path_at(upstream.kind.kind, call.dialect_name, call.path, upstream.origin.prefix.decode("ascii", "replace"))


def _with_model(path: str, named: str, model: str) -> str | None:
    for old in (quote(named, safe=""), named):
        for before in (_MARK, "/deployments/"):
            if before + old in path:
                return path.replace(before + old, before + quote(model, safe=""), 1)
    return None
