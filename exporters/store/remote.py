"""The running store as our own commands see it: statements in, rows out, over its HTTP interface."""

import base64
import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from exporters.store.snapshots import SNAPSHOT_PATH, Snapshot
from proxy.settings import StoreSettings
from proxy.store_http import StoreError, ask

Ask = Callable[[str], list[list[Any]]]
"""Runs one statement and gives its rows as decoded JSON. Numbers that must be exact are asked for as text."""

_ANSWER_S = 3600.0
"""A statement over everything there is may take its time; a store that dies is noticed at once."""


def asker(store: StoreSettings) -> Ask:
    """Statements to a running store, as the user who may write. They raise proxy.store_http.StoreError."""

    def run(sql: str) -> list[list[Any]]:
        form = "JSONCompactEachRow"
        with ask(store, sql, answer_format=form, write=True, anywhere=True, timeout_s=_ANSWER_S) as answer:
            return [msgspec.json.decode(line) for line in answer.read().splitlines()]

    return run


def take_snapshot(store: StoreSettings, name: str) -> Snapshot:
    """Have the running store take a snapshot of its database; a former one of that name goes.

    The caller drops it. Raises proxy.store_http.StoreError.
    """
    url = urlsplit(store.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=_ANSWER_S)
    login = base64.b64encode(f"{store.user}:{store.password}".encode()).decode()
    target = f"{SNAPSHOT_PATH}?{urlencode({'database': store.database, 'name': name})}"
    try:
        connection.request("POST", target, headers={"Authorization": f"Basic {login}"})
        response = connection.getresponse()
        said = response.read()
        if response.status != http.HTTPStatus.OK:
            code = response.getheader("X-ClickHouse-Exception-Code", "")
            message = said.decode("utf-8", "replace").strip() or f"the store answered with status {response.status}"
            raise StoreError(message, int(code) if code.isdigit() else None)
        return msgspec.json.decode(said, type=Snapshot)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise StoreError(f"the store at {store.url} cannot be reached: {error or type(error).__name__}") from error
    finally:
        connection.close()


def literal(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def name_of(*parts: str) -> str:
    """A name of several parts, such as database and table, that can be nothing else."""
    return ".".join("`" + part.replace("\\", "\\\\").replace("`", "\\`") + "`" for part in parts)
