"""Keys in query strings: found, replaced and made unreadable, with every other byte of the query left as it came.

Gemini takes its key as `?key=`; Azure gateways take `subscription-key`, signed links carry `sig`. A query is `str` as
it stood on the request line, percent-encoding untouched.
"""

from urllib.parse import unquote_plus

REDACTED = "[redacted]"

_SECRETS = frozenset(
    {
        "key",
        "api_key",
        "api-key",
        "apikey",
        "x-api-key",
        "x-goog-api-key",
        "subscription-key",
        "access_token",
        "auth",
        "authorization",
        "token",
        "secret",
        "client_secret",
        "password",
        "sig",
        "signature",
        "x-amz-signature",
        "x-goog-signature",
    }
)


def query_value(query: str, name: str) -> str | None:
    """Decoded value of the first parameter of that name, or None."""
    for part in query.split("&"):
        raw_name, _, raw_value = part.partition("=")
        if _is_named(raw_name, name):
            return unquote_plus(raw_value)
    return None


def without_parameter(query: str, name: str) -> str:
    """The query less every parameter of that name; the rest byte for byte."""
    return "&".join(part for part in query.split("&") if not _is_named(part.partition("=")[0], name))


def keys_of(query: str, name: str, prefix: str) -> tuple[str, ...]:
    """Decoded keys of a query: every parameter of that name, and whatever begins with the prefix where a key may stand.

    Args:
        query: As it came, without its question mark.
        name: Of the parameter that the provider takes its key in; empty where there is none.
        prefix: Of keys that are told by how they begin.
    """
    return tuple(key for part in query.split("&") if (key := _key_in(part, name, prefix)))


def without_keys(query: str, name: str, prefix: str) -> str:
    """The query less what `keys_of` finds in it; the rest byte for byte."""
    return "&".join(part for part in query.split("&") if not _key_in(part, name, prefix))


def redacted(query: str) -> str:
    """The query for logs and records: values of parameters that hold secrets are replaced, however they are encoded."""
    if "=" not in query:
        return query
    return "&".join(_redacted_part(part) for part in query.split("&"))


def _redacted_part(part: str) -> str:
    raw_name, equals, _ = part.partition("=")
    if equals and unquote_plus(raw_name).strip().lower() in _SECRETS:
        return f"{raw_name}={REDACTED}"
    return part


def _key_in(part: str, name: str, prefix: str) -> str:
    raw_name, _, raw_value = part.partition("=")
    value = unquote_plus(raw_value)
    if name and _is_named(raw_name, name):
        return value
    return value if value.startswith(prefix) and unquote_plus(raw_name).strip().lower() in _SECRETS else ""


def _is_named(raw_name: str, name: str) -> bool:
    return raw_name == name or ("%" in raw_name and unquote_plus(raw_name) == name)
