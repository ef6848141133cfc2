"""Files of keys: what `taximeter keys import` takes and `export` writes. PURE.

A file to import is CSV with a head line, or JSON or YAML: a list of mappings, or a mapping of names. Columns: `name`,
`team`, `project`, `user`, `tags`, `providers`, `models`, `operations`, `expires`, `note`; lists stand as such or with
commas or spaces between, tags as a mapping or as `a=b,c=d`. A row with `key` takes over a secret that apps have
already; any other is a new key.

An export holds hashes, for machines that have the same pepper.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from policies import values
from policies.compiled import KeyRule
from policies.keys import digest, hint, new_key, pepper_check
from policies.keystore import StoredKey, StoredSecret

EXPORT_VERSION = 1
SHORTEST_SECRET_CHARS = 20
"""A shorter one could be found by trying."""
_LONGEST_SECRET_CHARS = 256
_LONGEST_TEXT_CHARS = 256
_COLUMNS = frozenset(
    {"name", "team", "project", "user", "tags", "providers", "models", "operations", "expires", "note", "key"}
)
_LIST = re.compile(r"[,\s]+")
_SPAN = re.compile(r"(\d{1,5})\s*(h|d|w)")
_SPAN_NS = {"h": 3_600 * 10**9, "d": 86_400 * 10**9, "w": 604_800 * 10**9}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class KeyFileError(Exception):
    """The file cannot be taken; the message names every reason, one a line."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be stored, and what its user is shown."""

    stored: StoredKey
    key: str = ""
    """The key itself where it is new; empty where the app has it already."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of an installation, without anything that could be used as one."""

    taximeter_keys: int
    """Version of this form."""
    pepper_check: str
    keys: tuple[StoredKey, ...]


def make(raw: Mapping[str, Any], pepper: bytes, now_ns: int) -> Made:
    """A key from what is said of it, by column. Raises ValueError with every reason."""
    problems = [f"there is no column {name}" for name in raw if name not in _COLUMNS]

    def read(name: str, reader: Any, nothing: Any) -> Any:
        value = raw.get(name)
        if value is None or value in ("", [], {}):
            return nothing
        try:
            return reader(value)
        except ValueError as error:
            problems.append(f"{name} {error}")
            return nothing

    rule = KeyRule(
        name=read("name", key_name, ""),
        team=read("team", _text, ""),
        project=read("project", _text, ""),
        user=read("user", _text, ""),
        tags=read("tags", _tags, {}),
        providers=read("providers", _lowered, ()),
        models=read("models", _lowered, ()),
        operations=read("operations", _lowered, ()),
        expires_at_ns=read("expires", lambda value: expiry_ns(value, now_ns), None),
    )
    given = read("key", _secret, "")
    if not rule.name and not any(problem.startswith("name ") for problem in problems):
        problems.append("needs a name")
    if problems:
        raise ValueError("; ".join(problems))
    key = given or new_key()
    stored = StoredKey(
        rule=rule, created_at_ns=now_ns, note=str(raw.get("note") or ""), secrets=(secret_of(key, pepper, now_ns),)
    )
    return Made(stored=stored, key="" if given else key)


def secret_of(key: str, pepper: bytes, now_ns: int) -> StoredSecret:
    """What is kept of a key."""
    return StoredSecret(digest=digest(key.encode(), pepper), hint=hint(key), created_at_ns=now_ns)


def read_rows(text: str, suffix: str) -> list[Mapping[str, Any]]:
    """The rows of a file to import; `suffix` (`.csv`, `.json` ...) says what it is. Raises KeyFileError."""
    if suffix == ".csv":
        try:
            return [dict(row) for row in csv.DictReader(io.StringIO(text), restkey="too many", strict=True)]
        except csv.Error as error:
            raise KeyFileError(f"is not valid CSV: {error}") from error
    try:
        value = msgspec.json.decode(text) if suffix == ".json" else msgspec.yaml.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise KeyFileError(f"is not valid {'JSON' if suffix == '.json' else 'YAML'}") from error
    if isinstance(value, Mapping):
        value = [{"name": name, **row} if isinstance(row, Mapping) else row for name, row in value.items()]
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise KeyFileError("must be a list of keys with their columns, or a mapping of names")
    return value


def make_all(rows: Iterable[Mapping[str, Any]], pepper: bytes, now_ns: int) -> list[Made]:
    """The keys of all rows. Raises KeyFileError with every mistake."""
    made: list[Made] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        try:
            one = make(row, pepper, now_ns)
        except ValueError as error:
            problems.append(f"key {number}: {error}")
            continue
        if one.stored.rule.name in seen:
            problems.append(f"key {number}: the name {one.stored.rule.name} stands twice")
        seen.add(one.stored.rule.name)
        made.append(one)
    if problems:
        raise KeyFileError("\n".join(problems))
    return made


def export(keys: Iterable[StoredKey], pepper: bytes) -> bytes:
    """All keys as a file for other machines."""
    made = Export(taximeter_keys=EXPORT_VERSION, pepper_check=pepper_check(pepper), keys=tuple(keys))
    return msgspec.json.format(msgspec.json.encode(made)) + b"\n"


def read_export(text: str, pepper: bytes) -> tuple[StoredKey, ...] | None:
    """The keys of an export; None for any other file. Raises KeyFileError."""
    try:
        version = msgspec.json.decode(text).get("taximeter_keys")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return None
    if version is None:
        return None
    if version != EXPORT_VERSION:
        raise KeyFileError("is an export of another version of Taximeter")
    try:
        made = msgspec.json.decode(text, type=Export)
    except msgspec.ValidationError as error:
        raise KeyFileError(f"is a damaged export: {error}") from error
    if made.pepper_check != pepper_check(pepper):
        raise KeyFileError("was exported under another pepper, and none of its keys would be known: see keys.pepper")
    return made.keys


def key_name(raw: Any) -> str:
    """The name of a key. `k_` begins the fingerprints of keys that are not ours. Raises ValueError."""
    name = values.name(str(raw) if isinstance(raw, int) else raw)
    if name.startswith("k_"):
        raise ValueError("must not begin with k_, as fingerprints do")
    return name


def span_ns(raw: str) -> int:
    """`90d`, `12h`, `2w` -> nanoseconds. Raises ValueError."""
    found = _SPAN.fullmatch(raw.strip())
    if found is None:
        raise ValueError("must be a span such as 12h, 90d or 2w")
    return int(found[1]) * _SPAN_NS[found[2]]


def expiry_ns(raw: Any, now_ns: int) -> int:
    """`90d`, `12h`, `2w`, a date or an instant -> Unix time. Raises ValueError."""
    is_span = isinstance(raw, str) and _SPAN.fullmatch(raw.strip())
    at_ns = now_ns + span_ns(raw) if is_span else values.day_ns(raw)
    if at_ns <= now_ns:
        raise ValueError("lies in the past; say 90d, 12h, or a day to come")
    return at_ns


def _secret(raw: Any) -> str:
    text = str(raw)
    if not SHORTEST_SECRET_CHARS <= len(text) <= _LONGEST_SECRET_CHARS or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"must be {SHORTEST_SECRET_CHARS} to {_LONGEST_SECRET_CHARS} characters of ASCII, no blanks")
    return text


def _text(raw: Any) -> str:
    text = str(raw).strip()
    if len(text) > _LONGEST_TEXT_CHARS or _CONTROL.search(text):
        raise ValueError(f"must be at most {_LONGEST_TEXT_CHARS} characters, without line breaks")
    return text


def _lowered(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list | tuple) else _LIST.split(str(raw).strip())
    return tuple(_text(item).lower() for item in items if str(item).strip())


def _tags(raw: Any) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        pairs = [part.partition("=") for part in str(raw).split(",") if part.strip()]
        if not all(equals and name.strip() for name, equals, _ in pairs):
            raise ValueError("must be written as a=b,c=d")
        raw = {name.strip(): value for name, _, value in pairs}
    return {_text(name): _text(value) for name, value in raw.items()}
