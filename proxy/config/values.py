"""The small languages inside `taximeter.yaml`: durations, sizes, addresses, URLs, references to secrets.

Every parser takes the raw YAML value and raises ValueError with a sentence that says what would be right and repeats
nothing of what was written.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from proxy.settings import Listen

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*([KMG]i?B|B)")
_SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_DURATION_S = 30 * 86400.0
MAX_RETENTION_DAYS = 7300

_SAY_DURATION = "must be a duration such as 10s, 500ms or 5m, or a number of seconds"
_SAY_SIZE = "must be a size such as 64KiB or 256MiB, or a number of bytes"
_SAY_LISTEN = "must be an address to listen on, such as 127.0.0.1:8484"
_SAY_WHOLE_URL = "must be a URL such as https://hooks.example.com/taximeter"
_SAY_REDIS = "must be a URL such as redis://redis.example.com:6379/0"
_SAY_REFERENCE = "a secret must not stand in this file; refer to it as env:NAME or file:PATH"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is to be found; never the secret."""

    source: Literal["env", "file"]
    name: str
    """Name of the environment variable, or path of the file."""


def duration_s(raw: Any) -> float:
    """`10s`, `500ms`, `5m`, `1h30m`, or a number of seconds -> seconds, above 0 and at most 30 days."""
    seconds = -1.0
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        seconds = float(raw)
    elif isinstance(raw, str) and re.fullmatch(rf"({_DURATION.pattern}\s*)+", raw.strip()):
        seconds = sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in _DURATION.findall(raw))
    else:
        raise ValueError(_SAY_DURATION)
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError("must be longer than 0 and at most 30 days")
    return seconds


def duration_or_never(raw: Any) -> float | None:
    """A duration, or None for `never`."""
    return None if raw == "never" else duration_s(raw)


def retention_s(raw: Any) -> float:
    """A duration, or 0 for "none at all"."""
    return 0.0 if raw == 0 and not isinstance(raw, bool) else duration_s(raw)


def retention_days(raw: Any) -> int | None:
    """`400d` -> days, from 1 to 7300; `never` -> None: nothing is deleted."""
    if raw == "never":
        return None
    found = re.fullmatch(r"(\d{1,5})\s*d", raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError("must be a number of whole days such as 400d, or never")
    if not 1 <= int(found[1]) <= MAX_RETENTION_DAYS:
        raise ValueError(f"must be from 1d to {MAX_RETENTION_DAYS}d, or never")
    return int(found[1])


def hour_of_day(raw: Any) -> int | None:
    """An hour from 0 to 23, or None for `never`."""
    if raw == "never":
        return None
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= 23:
        return raw
    raise ValueError("must be an hour of the day in UTC, from 0 to 23, or never")


def size_bytes(raw: Any) -> int:
    """`256MiB`, `10MB`, `64KiB`, or a number of bytes -> bytes, above 0."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        size = raw
    elif isinstance(raw, str) and (found := _SIZE.fullmatch(raw.strip())):
        size = int(found[1]) * _SIZE_UNITS[found[2]]
    else:
        raise ValueError(_SAY_SIZE)
    if not 0 < size <= 2**40:
        raise ValueError("must be more than 0 bytes and at most 1024GiB")
    return size


def listen(raw: Any) -> Listen:
    """`host:port`, `[v6]:port`, or a port alone (on 127.0.0.1) -> Listen. Port 0 takes any free port."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return Listen("127.0.0.1", _port(raw))
    host, separator, port = raw.strip().rpartition(":") if isinstance(raw, str) else ("", "", "")
    if not separator or not port.isascii() or not port.isdigit():
        raise ValueError(_SAY_LISTEN)
    if not host:
        raise ValueError(f"needs a host: 127.0.0.1:{_port(int(port))} for this machine, 0.0.0.0 for every address")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare and bare == host:
        raise ValueError('an IPv6 host stands in brackets, and the whole in quotes: "[::1]:8484"')
    if not _is_host(bare):
        raise ValueError(_SAY_LISTEN)
    return Listen(bare, _port(int(port)))


def base_url(raw: Any) -> str:
    """Scheme, host, optional port and path prefix, without a trailing slash; scheme and host in lower case."""
    if not isinstance(raw, str) or re.search(r"[\x00-\x20\x7f-\uffff\\]", raw):
        raise ValueError("must be a URL such as https://api.minimax.io")
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or port is malformed") from None
    if parts.scheme.lower() not in {"http", "https"}:
        raise ValueError("must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; give the key as api_key")
    if parts.query or parts.fragment or raw.endswith(("?", "#")):
        raise ValueError("must not hold a query (?) or a fragment (#): those come from the app's own request")
    host = parts.hostname or ""
    if not _is_host(host):
        raise ValueError("needs a host, such as https://api.minimax.io")
    if any(segment in {".", ".."} for segment in parts.path.split("/")):
        raise ValueError("must not hold . or .. in its path")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{shown}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"


def redis_url(raw: Any) -> str:
    """`redis://host[:port][/database]`, `rediss://` with TLS -> the same with its port and database written out."""
    if not isinstance(raw, str) or re.search(r"[\x00-\x20\x7f-\uffff\\]", raw):
        raise ValueError(_SAY_REDIS)
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or port is malformed") from None
    if parts.scheme.lower() not in {"redis", "rediss"}:
        raise ValueError("must begin with redis:// or, with TLS, rediss://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; give them as ledger.user and ledger.password")
    host, database = parts.hostname or "", parts.path.strip("/")
    if not _is_host(host) or parts.query or parts.fragment or not re.fullmatch(r"[0-9]{0,4}", database):
        raise ValueError(_SAY_REDIS)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{shown}:{6379 if port is None else port}/{int(database or 0)}"


def secret_ref(raw: Any) -> SecretRef:
    """`env:NAME`, `file:PATH`, `{env: NAME}` or `{file: PATH}` -> SecretRef; a literal secret is refused."""
    if isinstance(raw, dict):
        if len(raw) != 1 or next(iter(raw)) not in {"env", "file"}:
            raise ValueError("must be one of {env: NAME} and {file: PATH}")
        ((source, name),) = raw.items()
    else:
        source, _, name = raw.strip().partition(":") if isinstance(raw, str) else ("", "", "")
        if source not in {"env", "file"}:
            raise ValueError(_SAY_REFERENCE)
    if not isinstance(name, str) or not name.strip():
        raise ValueError("must name an environment variable (env:NAME) or a file (file:PATH)")
    name = name.strip()
    if source == "env" and not _ENV_NAME.fullmatch(name):
        raise ValueError("env: must be followed by the name of an environment variable, not by the secret itself")
    return SecretRef("env" if source == "env" else "file", name)


def header_name(raw: Any) -> str:
    """The name of an HTTP header, in small letters."""
    if isinstance(raw, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", raw):
        return raw.lower()
    raise ValueError("must be the name of a header: letters, digits, and . _ -")


def header_value(raw: Any) -> SecretRef | str:
    """`env:NAME`, `file:PATH` -> SecretRef; any other text is the value itself."""
    if isinstance(raw, dict) or (isinstance(raw, str) and raw.strip().startswith(("env:", "file:"))):
        return secret_ref(raw)
    if isinstance(raw, str) and raw.isascii() and raw.isprintable():
        return raw.strip()
    raise ValueError("must be plain text, or refer to a secret as env:NAME or file:PATH")


def web_url(raw: Any) -> SecretRef | str:
    """A whole URL, or a reference to one: `env:NAME`, `file:PATH`."""
    if isinstance(raw, dict) or (isinstance(raw, str) and raw.strip().startswith(("env:", "file:"))):
        return secret_ref(raw)
    return whole_url(raw)


def whole_url(raw: Any) -> str:
    """A URL with any path and query, and no user, password or fragment; as it was written."""
    bare, _, query = raw.strip().partition("?") if isinstance(raw, str) else ("", "", "")
    if not bare or re.search(r"[\x00-\x20\x7f-\uffff\\#]", query):
        raise ValueError(_SAY_WHOLE_URL)
    if "@" in bare:
        raise ValueError("must not hold a user or password")
    base_url(bare)
    return f"{bare}?{query}" if query else bare


def worker_count(raw: Any) -> int | None:
    """A number of processes, or None for `auto`."""
    if raw == "auto":
        return None
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= 256:
        return raw
    raise ValueError("must be a whole number from 1 to 256, or auto")


def currency(raw: Any) -> str:
    """An ISO 4217 code."""
    if isinstance(raw, str) and re.fullmatch(r"[A-Z]{3}", raw):
        return raw
    raise ValueError("must be a currency code of three capital letters, such as USD or CNY")


def identifier(raw: Any) -> str:
    """A name that a database takes without quotes."""
    if isinstance(raw, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", raw):
        return raw
    raise ValueError("must be a name of letters, digits and underscores")


def key_name(raw: Any) -> str:
    """What one of several keys is called in records."""
    if isinstance(raw, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", raw):
        return raw
    raise ValueError("must be a name of letters, digits and . _ - inside")


def host_name(raw: Any) -> str:
    """A host name or IP address without a port, in lower case."""
    if isinstance(raw, str) and _is_host(raw):
        return raw.lower()
    raise ValueError("must be a host name without scheme and port, such as taximeter.internal")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST_NAME.fullmatch(host)) and len(host) <= 253 and not re.fullmatch(r"[\d.]+", host)
    return True


def _port(number: int) -> int:
    if not 0 <= number <= 65535:
        raise ValueError("the port must be from 1 to 65535")
    return number
