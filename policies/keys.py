"""Virtual keys: what stands in for a provider's key in an app. PURE.

A key is `tm-` and 40 random characters (238 bits), shown once when it is made. What is kept of it is a keyed hash: who
reads the store of keys cannot use them, and cannot try guesses without the pepper either. It is looked up by that hash,
so that how long a look-up takes says nothing of any key.
"""

import hashlib
import secrets
import string
from collections.abc import Iterable
from typing import Literal

import msgspec

from proxy.core.identity import VIRTUAL_PREFIX

PREFIX = VIRTUAL_PREFIX
Mode = Literal["passthrough", "virtual", "both"]
"""`passthrough`: apps send their own provider keys. `virtual`: only virtual keys are taken. `both`: either."""

_ALPHABET = string.ascii_letters + string.digits
_SECRET_CHARS = 40
_LONGEST_KEY_BYTES = 256
_HINT_CHARS = 4


class KeySecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One secret of a key; while a key is being rotated it has two."""

    digest: str
    """Keyed hash, lower-case hex."""
    name: str
    """Of the key."""
    expires_at_ns: int | None = None
    """When a rotated secret ends; None while it is the key's own."""


class KeyRing:
    """Every secret by its hash, those that are over too: one that was ours once is never taken for a provider's."""

    __slots__ = ("_by_digest", "_pepper", "in_use", "mode")

    def __init__(self, secrets_: Iterable[KeySecret], pepper: bytes, mode: Mode) -> None:
        self.mode = mode
        self._pepper = pepper
        self._by_digest = {secret.digest: secret for secret in secrets_}
        self.in_use = mode == "virtual" or (mode == "both" and bool(self._by_digest))
        """Whether calls are looked up at all; and whether the operator's keys are for virtual ones alone."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def find(self, credential: bytes) -> KeySecret | None:
        """The secret that this is; whether it still counts is for the caller to see."""
        if len(credential) > _LONGEST_KEY_BYTES:
            return None
        return self._by_digest.get(digest(credential, self._pepper))


NO_KEYS = KeyRing((), b"", "both")
"""Where nobody made one."""


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX.decode() + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))


def new_pepper() -> str:
    """What the hashes of one installation are keyed with, as hex."""
    return secrets.token_hex(32)


def digest(key: bytes, pepper: bytes) -> str:
    """The keyed hash of a key, as hex."""
    return hashlib.blake2b(key, key=pepper[:64], digest_size=32, person=b"taximeter key").hexdigest()


def pepper_check(pepper: bytes) -> str:
    """What tells a pepper from another, and nothing else about it."""
    return hashlib.blake2b(b"", key=pepper[:64], digest_size=8, person=b"taximeter check").hexdigest()


def hint(key: str) -> str:
    """What may be shown of a key: `tm-...x7Qp`."""
    start = PREFIX.decode() if key.startswith(PREFIX.decode()) else ""
    return f"{start}...{key[-_HINT_CHARS:]}"


def is_virtual(credential: bytes | None) -> bool:
    """Whether it looks like a key of ours: such a one is never shown to a provider."""
    return credential is not None and credential.startswith(PREFIX)
