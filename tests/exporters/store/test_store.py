"""Places for statements, and statements known by their query ids."""

import socket
import threading
import time

import pytest

from tests.fakes.until import comes_true

pytestmark = pytest.mark.real


def running(client, mark):
    sql = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
    return client.sql(sql) != "0"


def test_queries_queue_behind_queries_and_inserts_do_not(start, make_client):
    store = start(max_queries=1).until_ready()
    client = make_client(store.port)
    slow = threading.Thread(
        target=client.ask, args=("SELECT sleepEachRow(0.5) FROM numbers(3) SETTINGS max_block_size = 1",)
    )
    slow.start()
    assert comes_true(lambda: any((store.folder / "store" / "scratch").iterdir()))
    began = time.monotonic()
    assert client.insert("FUNCTION null('a UInt8')", b'{"a":1}').status == 200
    after_insert = time.monotonic() - began
    assert client.sql("SELECT 1") == "1"
    slow.join()

    assert after_insert < 0.5 < time.monotonic() - began


def test_query_ids_are_unique_and_can_be_killed(client, eventually):
    body = "SELECT sleepEachRow(0.1), 'victim' FROM numbers(1000)"
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        head = f"POST /?query_id=victim-1&max_block_size=1 HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}"
        connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        assert eventually(lambda: running(client, "victim"))
        assert client.ask("SELECT 1", query_id="victim-1").code == 216
        client.sql("KILL QUERY WHERE query_id = 'victim-1' SYNC")

        assert b"X-ClickHouse-Exception-Code: 394" in connection.recv(10_000)
