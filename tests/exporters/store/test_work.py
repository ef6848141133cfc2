"""Everything that a statement took is given back, however it ends."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.real


def leave(client, body, seconds):
    """Send a request and go away without waiting for the answer."""
    head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head.encode() + body)
        threading.Event().wait(seconds)


@pytest.fixture
def proc(store):
    path = Path(f"/proc/{store.popen.pid}")
    if not path.exists():
        pytest.skip("no /proc on this system")
    return path


def test_places_connections_and_pipes_come_back_after_clients_who_leave(client, store, proc, eventually):
    def pipes_in_use():
        return [file for file in (proc / "fd").iterdir() if "/scratch/" in str(file.resolve())]

    for number in range(30):
        leave(client, b"SELECT sleepEachRow(0.1), 'gone' FROM numbers(1000) SETTINGS max_block_size = 1", number / 500)
        leave(client, b"INSERT INTO FUNCTION null('a UInt8') FORMAT TSV\n1\n", number / 1000)
        leave(client, b"SELECT number FROM numbers(1000000000000)", number / 500)

    assert eventually(lambda: client.sql("SELECT count() FROM system.processes") == "1", 30.0)
    assert eventually(lambda: not pipes_in_use())
    assert eventually(lambda: not list((store.folder / "store" / "scratch").iterdir()))
    with ThreadPoolExecutor(16) as many:
        assert set(many.map(lambda _: client.sql("SELECT sleep(0.01)"), range(64))) == {"0"}


def test_a_session_is_as_it_was_after_a_query_that_failed_or_was_left(client):
    session = {"session_id": "unharmed"}
    client.sql("CREATE TEMPORARY TABLE kept (a UInt8)", **session)
    assert client.ask("SELECT throwIf(1)", max_block_size=77, database="system", **session).code == 395
    assert client.ask("SELEC", max_block_size=77, **session).code == 62
    assert client.ask("SELECT 1", no_such=1, **session).code == 115

    both = "SELECT (SELECT count() FROM kept), getSetting('max_block_size') = 77, currentDatabase()"
    assert client.sql(both, **session) == "0\t0\tdefault"


def test_a_slow_reader_holds_up_nobody_and_costs_no_memory(client, proc):
    def anonymous_kib():
        return int((proc / "status").read_text().split("RssAnon:")[1].split()[0])

    body = b"SELECT number, toString(number) FROM numbers(1000000000) FORMAT JSONEachRow"
    head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    before = anonymous_kib()
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head.encode() + body)
        connection.recv(1000)
        assert client.sql("SELECT 1") == "1"
        threading.Event().wait(0.5)

        assert anonymous_kib() - before < 100 * 1024


def test_queries_run_beside_each_other(client):
    started = time.monotonic()
    with ThreadPoolExecutor(4) as many:
        assert set(many.map(lambda _: client.sql("SELECT sleep(0.5)"), range(4))) == {"0"}

    assert time.monotonic() - started < 1.5
