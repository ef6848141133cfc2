"""Who may call: what a key that came with a call stands for, and which key goes on to the provider.

Invariants kept here:
- A virtual key never leaves: a call that came with one is refused, or goes on with the operator's key in its place.
- The operator's key is given to nobody who has no virtual key, where such keys are in use.
"""

import time
from collections.abc import Callable, Mapping

from policies.compiled import KeyRule
from policies.keys import NO_KEYS, KeyRing
from proxy.call import Call
from proxy.core.record import Caller
from proxy.replies import Reply

_UNKNOWN = Reply(status=401, code="unknown_key", message="this virtual key is not known here")
_NOT_TAKEN = Reply(
    status=401, code="virtual_keys_off", message="virtual keys are not taken here (keys.mode is passthrough)"
)
_NEEDED = Reply(
    status=401,
    code="virtual_key_needed",
    message="only virtual keys (tm-...) are taken here, where the provider's own would stand; ask the operator for one",
)
_KEY_NEEDED = Reply(
    status=401,
    code="key_needed",
    message="the call came without a key; send a virtual key (tm-...), or one of your own at the provider",
)
_LENT_TO_VIRTUAL = Reply(
    status=401,
    code="virtual_key_needed",
    message="a call that names its provider by its model goes with the operator's key, and that is for virtual keys "
    "(tm-...) alone here; ask the operator for one",
)
_OVER = {
    why: Reply(status=401, code=f"key_{why}", message=f"this virtual key {text}; ask the operator for a new one")
    for why, text in {
        "revoked": "was revoked",
        "disabled": "is disabled",
        "expired": "has expired",
        "replaced": "was replaced by a newer one of the same name",
    }.items()
}


class Gate:
    """The keys of a worker; replaced as a whole when they change.

    Args:
        keys: What is in force.
        rules: What each of them stands for, by name.
        clock: Unix time in nanoseconds.
        now_s: Of a clock that only goes forward.
    """

    def __init__(
        self,
        keys: KeyRing = NO_KEYS,
        rules: Mapping[str, KeyRule] | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._rules = rules or {}
        self._clock = clock
        self._now_s = now_s

    def identify(self, call: Call) -> Reply | None:
        """Give a call its caller and its key at the provider; the refusal where there is none for it."""
        if (refusal := self.recognise(call)) is not None:
            return refusal
        own = call.upstream.keys
        if call.key:
            call.provider_key = own.choose(self._now_s())
            return self._none_for_virtual(call) if call.provider_key is None else None
        if not self._keys.in_use:
            call.provider_key = own.choose(self._now_s()) if own.several else own.only
        elif own.all and not call.identity.credentials:
            return _KEY_NEEDED
        return None

    def recognise(self, call: Call) -> Reply | None:
        """Give a call its caller, whichever provider it will go to; the refusal where its key does not count."""
        identity, keys = call.identity, self._keys
        if keys.in_use:
            for credential in identity.credentials:
                found = keys.find(credential)
                if found is not None:
                    return self._stand_for(call, found.name, found.expires_at_ns)
        if identity.virtual:
            return _UNKNOWN if keys.mode != "passthrough" else _NOT_TAKEN
        return _NEEDED if keys.mode == "virtual" else None

    def lends(self, call: Call) -> bool:
        """Whether the operator's keys may be used for a call, at whatever provider."""
        return bool(call.key) or not self._keys.in_use

    def lend(self, call: Call) -> Reply | None:
        """Give a call that its model has sent to a provider the operator's key there; the refusal where it gets none.

        The app's own key is not looked at: nobody knows which host it was meant for.
        """
        if not self.lends(call):
            return _LENT_TO_VIRTUAL
        call.provider_key = call.upstream.keys.choose(self._now_s())
        if call.provider_key is not None:
            return None
        if call.key:
            return self._none_for_virtual(call)
        provider = call.upstream.settings.name
        message = (
            f"a call that names its provider by its model needs the operator's key (providers.{provider}.api_key); "
            f"a key of the app's own passes on the path of its provider, /{provider}/..."
        )
        return Reply(status=401, code="operator_key_needed", message=message)

    def _stand_for(self, call: Call, name: str, ends_at_ns: int | None) -> Reply | None:
        rule = self._rules.get(name)
        if rule is None:
            return _UNKNOWN
        given = call.caller
        call.key = name
        call.caller = Caller(
            key_id=name,
            team=rule.team or given.team,
            project=rule.project or given.project,
            user=rule.user or given.user,
            session=given.session,
            tags=given.tags | rule.tags if rule.tags else given.tags,
        )
        why = _why_over(rule, ends_at_ns, self._clock())
        return _OVER[why] if why else None

    def _none_for_virtual(self, call: Call) -> Reply:
        provider = call.upstream.settings.name
        return Reply(
            status=403,
            code="no_provider_key",
            message="a virtual key stands for a key of the operator's, and there is none for this provider "
            f"(providers.{provider}.api_key)",
        )


def _why_over(rule: KeyRule, ends_at_ns: int | None, now_ns: int) -> str:
    """Why a key that is known does not count; empty when it does."""
    if rule.revoked:
        return "revoked"
    if rule.disabled:
        return "disabled"
    if rule.expires_at_ns is not None and now_ns >= rule.expires_at_ns:
        return "expired"
    return "replaced" if ends_at_ns is not None and now_ns >= ends_at_ns else ""
