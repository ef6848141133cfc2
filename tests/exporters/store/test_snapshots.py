"""A moment of a database, taken while rows come in."""

import json
import threading

import pytest

from exporters.store.errors import StoreError
from exporters.store.snapshots import log_folder, snapshot_database

ROLLED_UP = (
    "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n",
    "CREATE TABLE `s/um` (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k",
    "CREATE MATERIALIZED VIEW v TO `s/um` AS SELECT 0 AS k, sum(n) AS n FROM t GROUP BY k",
)


@pytest.mark.parametrize("name", ["", "a b", "a`; DROP", "../a", "A", "a" * 41])
def test_a_snapshot_cannot_be_called_anything(name):
    with pytest.raises(StoreError):
        snapshot_database(name)


def test_the_log_of_a_table_lies_in_one_folder_whatever_it_is_called(tmp_path):
    assert log_folder(tmp_path, "a/../b").parent == tmp_path


@pytest.fixture
def busy(client):
    """A database into which a thread inserts without a pause."""
    client.sql("CREATE DATABASE busy")
    for sql in ROLLED_UP:
        client.sql(sql, database="busy")
    over = threading.Event()

    def insert():
        while not over.is_set():
            assert client.insert("t", b'{"n":1}\n' * 50, database="busy").status == 200

    threads = [threading.Thread(target=insert) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()
    client.sql("DROP DATABASE busy SYNC")
    client.sql("DROP DATABASE IF EXISTS _snapshot_x SYNC")


@pytest.mark.real
def test_a_snapshot_has_every_insert_whole_with_what_views_made_of_it(client, busy):
    seen = []
    for _ in range(8):
        answer = client.ask(path="/snapshot", database="busy", name="x")
        assert answer.status == 200, answer.body
        taken = json.loads(answer.body)
        assert taken["tables"] == ["s/um", "t"]
        rows = int(client.sql("SELECT count() FROM t", database=taken["database"]))
        assert rows == int(client.sql("SELECT sum(n) FROM `s/um`", database=taken["database"]))
        assert rows == int(client.sql("SELECT count() FROM t", database=taken["database"]))
        seen.append(rows)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
    assert all(rows % 50 == 0 for rows in seen)


@pytest.mark.real
def test_a_snapshot_is_for_the_writer_and_of_a_database_that_has_tables(client, reader):
    assert reader.ask(path="/snapshot", database="default", name="x").code == 164
    assert client.ask(path="/snapshot", database="default", name="x", login=False).status == 401
    assert client.ask(path="/snapshot", database="nothing_there", name="x").code == 36
    assert client.ask(path="/snapshot", database="default", name="../x").code == 36
    assert client.ask(path="/snapshot", method="GET", database="default", name="x").status == 404


@pytest.mark.real
def test_a_snapshot_ends_with_the_store(start, make_client):
    store = start().until_ready()
    client = make_client(store.port)
    client.sql("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    assert client.ask(path="/snapshot", database="default", name="x").status == 200
    assert (store.folder / "store" / "snapshots" / "x").is_dir()
    store.popen.kill()
    store.popen.wait()

    again = start().until_ready()
    assert "_snapshot_x" not in make_client(again.port).sql("SHOW DATABASES")
    assert not (again.folder / "store" / "snapshots").exists()
