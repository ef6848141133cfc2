"""Decisions: a plain function from the facts of a call to what may happen to it.

Rules of this file: no I/O, no clock; a refusal is a value, never an exception; every decision carries its reasons.
"""

import msgspec

from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made from."""

    provider: str
    """Name of the provider that the app asked for by its path."""
    operation: str
    request: RequestFacts
    caller: Caller


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an attempt goes."""

    provider: str
    model: str | None = None
    """The model to ask for; None leaves the app's own."""


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """The call may go, to these targets in this order."""

    plan: tuple[Target, ...]
    reasons: tuple[str, ...] = ()


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """The call may not go."""

    status: int
    """HTTP status of the refusal."""
    code: str
    """What refused it, machine-readable."""
    message: str
    """One sentence for the app's author: why, and what to do."""
    reasons: tuple[str, ...] = ()


Decision = Allow | Deny


def decide(call: CallFacts) -> Decision:
    """Without a policy every call goes to the provider that its path names."""
    return Allow(plan=(Target(provider=call.provider),))
