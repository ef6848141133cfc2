"""Who called: a fingerprint of the key, and what the app attributes the call to.

Attribution comes from `x-taximeter-team`, `-project`, `-user`, `-session` and `-tags: a=b,c=d`, or from members of the
W3C `baggage` under the same names (`x-taximeter-team=search`); a header wins over a baggage member. Values are UTF-8,
percent-decoded. What is not usable is left out and its reason reported; it is never an error of the call.

The baggage goes on as it came, less the members that are ours (https://www.w3.org/TR/baggage/).

The fingerprint, `key_id`
-------------------------
It has to be the same after a restart and on every machine, so that reports of two proxies add up without a secret
shared between them; and whoever reads reports must not get a key out of it. Keys of providers are random: one round of
BLAKE2b cannot be reversed for them, with or without a salt. A key that somebody made up (`sk-team-a`) could be found by
trying, so that one goes through scrypt, which makes every try cost milliseconds and megabytes. The salt is a constant:
it keeps tables made for other systems out, and a random one would differ by machine. A key out of a list of common
words is not protected by any of this; no key should be one. Nothing of the key's text is shown, not even its end.
What looks like a virtual key is random, or nobody's: it never costs a round of scrypt, or anybody could spend our time.
"""

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from proxy.core.headers import CREDENTIALS, OWN_PREFIX, Head, websocket_key
from proxy.core.record import Caller

MAX_VALUE_CHARS = 256
"""Longest team, project, user, session or tag value; a longer one is left out, for a cut one could be another's."""
MAX_TAG_NAME_CHARS = 64
MAX_TAGS = 32

TOO_LONG = "attribution_too_long"
INVALID = "attribution_invalid"
REPEATED = "attribution_repeated"
TOO_MANY_TAGS = "attribution_too_many_tags"
UNKNOWN = "attribution_unknown"

VIRTUAL_PREFIX = b"tm-"
"""What our own virtual keys begin with: such a one is never shown to a provider."""

_FIELDS = frozenset({b"team", b"project", b"user", b"session"})
_MEMBER = re.compile(rb"[ \t]*x-taximeter-([^ \t=;]*)[ \t]*=?([^;]*)", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

_SALT = b"taximeter key_id"
_GUESSABLE_BITS = 100
"""Keys with less in them, by length and alphabet, are taken for made up. Azure's 32 hex digits have about 125."""
_SCRYPT_COST = 1 << 11
"""3.3 ms and 2 MB for one made-up key on one core; it is done once, then remembered."""
_REMEMBERED_KEYS = 4096
_MAX_REMEMBERED_BYTES = 4096


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one call, and what reading it brought to light."""

    caller: Caller
    credentials: tuple[bytes, ...] = ()
    """Every key that came with the request, each once, to be compared and forgotten; never recorded. Virtual ones come
    first, then in the order in which their places win over each other."""
    changes: dict[bytes, bytes | None] = {}
    """Header changes for the provider: the baggage without our members, where there were any."""
    reasons: tuple[str, ...] = ()
    """Why attribution was left out, each reason once."""

    @property
    def credential(self) -> bytes | None:
        """The key that counts, where there is any."""
        return self.credentials[0] if self.credentials else None

    @property
    def virtual(self) -> bool:
        """Whether it came with what looks like a virtual key."""
        return bool(self.credentials) and self.credentials[0].startswith(VIRTUAL_PREFIX)


def identify(head: Head, *query_keys: str) -> Identity:
    """Read the caller off a request's headers; `query_keys` are the keys that stand in the query."""
    credentials = _credentials(head, query_keys)
    fingerprint = key_id(credentials[0]) if credentials else ""
    if not head.own and b"baggage" not in head.values:
        return Identity(caller=Caller(key_id=fingerprint), credentials=credentials)
    attribution = _Attribution()
    attribution.read((name[len(OWN_PREFIX) :], value) for name, value in head.own)
    changes = _read_baggage(head, attribution)
    fields = attribution.fields
    caller = Caller(
        key_id=fingerprint,
        team=fields.get(b"team", ""),
        project=fields.get(b"project", ""),
        user=fields.get(b"user", ""),
        session=fields.get(b"session", ""),
        tags=attribution.tags,
    )
    return Identity(
        caller=caller, credentials=credentials, changes=changes, reasons=tuple(dict.fromkeys(attribution.reasons))
    )


def key_id(key: bytes) -> str:
    """Fingerprint of a key: `k_` and 16 hex digits, the same everywhere; see the head of this file."""
    if len(key) > _MAX_REMEMBERED_BYTES:
        return _fingerprint(key)
    return _remembered_fingerprint(key)


def _fingerprint(key: bytes) -> str:
    guessable = len(key) * math.log2(len(set(key)) or 1) < _GUESSABLE_BITS
    if guessable and not key.startswith(VIRTUAL_PREFIX):
        digest = hashlib.scrypt(key, salt=_SALT, n=_SCRYPT_COST, r=8, p=1, dklen=8)
    else:
        digest = hashlib.blake2b(key, digest_size=8, person=_SALT).digest()
    return f"k_{digest.hex()}"


_remembered_fingerprint = lru_cache(maxsize=_REMEMBERED_KEYS)(_fingerprint)


def _credentials(head: Head, query_keys: Iterable[str]) -> tuple[bytes, ...]:
    """Every key of a request without its scheme, the one that counts first."""
    found: dict[bytes, None] = {}
    for name in CREDENTIALS:
        if name not in head.values:
            continue
        # What `Connection` names does not pass, and is a key all the same.
        for field in (head.values[name], *head.all_values(name)):
            value = field.strip()
            if name == b"authorization":
                scheme, _, rest = value.partition(b" ")
                value = rest.strip() or (b"" if scheme.lower() == b"bearer" else scheme)
                if scheme.lower() == b"basic" and (virtual := _in_basic(value)):
                    found[virtual] = None
            if value:
                found[value] = None
    if (key := websocket_key(head)) is not None:
        found[key] = None
    found |= {key.encode("utf-8", "surrogateescape"): None for key in query_keys if key}
    if len(found) < 2:
        return tuple(found)
    return tuple(sorted(found, key=lambda key: not key.startswith(VIRTUAL_PREFIX)))


def _in_basic(value: bytes) -> bytes:
    """The virtual key that stands as user or as password in HTTP Basic credentials (RFC 7617); empty if none does."""
    try:
        user, _, password = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True).partition(b":")
    except binascii.Error:
        return b""
    return next((part for part in (password.strip(), user.strip()) if part.startswith(VIRTUAL_PREFIX)), b"")


class _Attribution:
    """Collects attribution from several sources, the most trusted first: what is set stays set."""

    __slots__ = ("fields", "reasons", "tags")

    def __init__(self) -> None:
        self.fields: dict[bytes, str] = {}
        self.tags: dict[str, str] = {}
        self.reasons: list[str] = []

    def read(self, members: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the members of one source: name without our prefix, value as on the wire."""
        seen = set()
        for name, value in members:
            if name == b"tags":
                self._read_tags(value)
            elif name not in _FIELDS:
                self.reasons.append(UNKNOWN)
            elif name in seen:
                self.reasons.append(REPEATED)
            else:
                seen.add(name)
                text = self._text(value, MAX_VALUE_CHARS)
                if text:
                    self.fields.setdefault(name, text)

    def _read_tags(self, value: bytes) -> None:
        for item in value.split(b","):
            if not item.strip():
                continue
            raw_name, equals, raw_value = item.partition(b"=")
            name = self._text(raw_name, MAX_TAG_NAME_CHARS)
            text = self._text(raw_value, MAX_VALUE_CHARS)
            if not equals or name == "":
                self.reasons.append(INVALID)
            elif name is None or text is None or name in self.tags:
                continue
            elif len(self.tags) == MAX_TAGS:
                self.reasons.append(TOO_MANY_TAGS)
                return
            else:
                self.tags[name] = text

    def _text(self, value: bytes, max_chars: int) -> str | None:
        """A percent-encoded value as text; None, with the reason noted, when it cannot be used."""
        try:
            text = unquote_to_bytes(value).decode().strip()
        except UnicodeDecodeError:
            self.reasons.append(INVALID)
            return None
        if len(text) > max_chars:
            self.reasons.append(TOO_LONG)
            return None
        if _CONTROL.search(text):
            self.reasons.append(INVALID)
            return None
        return text


def _read_baggage(head: Head, attribution: _Attribution) -> dict[bytes, bytes | None]:
    """Take our members off the baggage; the change is empty when there were none."""
    ours: list[tuple[bytes, bytes]] = []
    rest: list[bytes] = []
    for field in head.all_values(b"baggage"):
        others = []
        for member in field.split(b","):
            match = _MEMBER.match(member)
            if match is None:
                others.append(member)
                continue
            name, value = match[1].lower(), match[2].strip()
            # A list cannot stand in a baggage value as it is: it is encoded as a whole, its parts once more if need be.
            ours.append((name, unquote_to_bytes(value) if name == b"tags" else value))
        left = b",".join(others).strip()
        if left:
            rest.append(left)
    if not ours:
        return {}
    attribution.read(ours)
    return {b"baggage": b",".join(rest) or None}
