"""What the plugin's client sends over HTTP, clickhouse-go's own requests, is answered by the embedded store.

Written after clickhouse-go v2 (`conn_http.go`); that client itself is not run here.
"""

import gzip
import urllib.error
import urllib.parse
import urllib.request

import pytest

from exporters.store.hello import HELLO
from grafana.boards import DASHBOARDS
from grafana.macros import expand
from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import fill, ready_store
from tests.fakes.grafana_month import MONTH, with_views

VERSION = 54485
ALL = {"call_id": ["none"], "trace_id": ["none"]}
QUERIES = [expand(panel.sql, MONTH, ALL) for board in DASHBOARDS for panel in board.panels]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("plugin")) as running:
        client = ready_store(running)
        with_views(client)
        fill(client, "t", 500)
        client.close()
        yield running.settings.store


def ask(store, sql, **settings):
    """As clickhouse-go asks: settings in the URL, the SQL as the body, gzip as the plugin has it over HTTP."""
    parameters = {
        "database": store.database, "default_format": "Native", "enable_http_compression": "1", "max_execution_time": "60",
        "client_protocol_version": str(VERSION), **settings,
    }  # fmt: skip
    headers = {
        "X-ClickHouse-User": store.reader_user, "X-ClickHouse-Key": store.reader_password, "Accept-Encoding": "gzip",
        "User-Agent": "clickhouse-go/2.43.0 (lv:go/1.25; os:linux)",
    }  # fmt: skip
    request = urllib.request.Request(f"{store.url}/?{urllib.parse.urlencode(parameters)}", sql, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        body = answer.read()
        return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body


def number(body, at):
    """A varint, and where it ends."""
    value = shift = 0
    while True:
        value |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not body[at - 1] & 0x80:
            return value, at


@pytest.mark.real
def test_the_greeting_says_that_blocks_are_plain(store):
    assert b"taximeter" in ask(store, HELLO)


@pytest.mark.real
@pytest.mark.parametrize("sql", QUERIES)
def test_a_panel_is_answered_in_plain_native_blocks(store, sql):
    body = ask(store, sql.encode())
    if body:
        columns, at = number(body, 0)
        rows, at = number(body, at)
        length, at = number(body, at)
        assert columns > 0
        assert rows >= 0
        # A block of the client's own protocol version would have its block info here.
        assert body[at : at + length].decode().isprintable()


@pytest.mark.real
def test_the_plugin_cannot_write(store):
    with pytest.raises(urllib.error.HTTPError):
        ask(store, b"INSERT INTO health (metric) VALUES ('x')")
