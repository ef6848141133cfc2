"""What a decision is made from: the facts of one call, as plain values."""

from decimal import Decimal

import msgspec

from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


class Inputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request's body holds, as far as a bound needs it; `policies.inputs` reads it."""

    text_bytes: int
    """Length of the decoded body without the base64 of its media."""
    image_bytes: tuple[int, ...] = ()
    """Length of the base64 text of each image in the body."""
    references: str = ""
    """What the body only points at, by name: `file_id`, `url` ...; empty where it holds everything itself."""
    server_tools: str = ""
    """A tool of the provider's that adds input of its own, by name; empty without."""
    best_of: int = 1
    """Completions that are made and billed where fewer are given back."""
    units: dict[str, Decimal] = {}
    """The most that the call can use of units that are not tokens, where its operation has such. A name with `*` is one
    of the units that it fits, whichever costs most."""
    unknown_units: tuple[str, ...] = ()
    """Units, or globs of them, of which nobody can tell how much the call uses."""
    counted: bool = False
    """Whether units are all that the body says of it: what stands in neither of the two is not used."""


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made from."""

    provider: str
    """Name of the provider that the app asked for by its path."""
    operation: str
    request: RequestFacts
    caller: Caller
    key: str = ""
    """Name of the virtual key; empty for a key of the app's own."""
    dialect: str = ""
    currency: str = "USD"
    """What the provider bills in."""
    billable: bool = True
    """False for calls that cost nothing by the provider's own word."""
    body_bytes: int | None = None
    """Length of the request body; None where it is not known before it has passed."""
    inputs: Inputs | None = None
    """None where nobody read the body."""
    targets: tuple[tuple[str, str | None], ...] = ()
    """Provider and model of each place that its route may send it to (None: the model that it asks for)."""
