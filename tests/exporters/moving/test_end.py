import threading

import pytest

from exporters.clickhouse.client import connect
from exporters.moving import end as module
from exporters.moving.end import MARK, End
from exporters.moving.errors import CopyError, UnavailableError
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.until import comes_true

pytestmark = pytest.mark.real

PIECE = "SELECT number AS n FROM numbers(3)"


@pytest.fixture
def table(sides):
    here, _ = sides
    here.client.command(
        "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 9"
    )
    return here


def test_a_piece_arrives_once_under_its_token(table):
    data = table.end.native(PIECE)
    for token in ("a", "a", "b"):
        table.end.insert("t", ["n"], data, token)
    assert table.end.rows("SELECT toString(count()), toString(sum(n)) FROM t") == [["6", "6"]]


def test_keys_are_there_as_a_table(table):
    keys = [("it's \t\\", 1), ("b", 200)]
    assert table.end.rows("SELECT call_id, attempt FROM keys ORDER BY attempt", keys) == [["it's \t\\", 1], ["b", 200]]
    assert table.end.rows("SELECT 1 WHERE ('b', 200) IN keys AND ('b', 1) NOT IN keys", keys) == [[1]]


def test_a_refusal_is_told_from_an_end_that_is_not_there(table):
    with pytest.raises(CopyError, match="refuses"):
        table.end.rows("SELECT nothing")
    with pytest.raises(UnavailableError):
        table.end.rows("SELECT 1 FROM _snapshot_gone.t")


def test_an_end_that_dies_is_unavailable_whatever_it_is_asked(tmp_path):
    store = EmbeddedStore(tmp_path)
    store.start()
    client = connect(store.settings.store, database="default")
    end = End(client, "default", "it")
    data = end.native(PIECE)
    store.kill()
    for call in (
        lambda: end.rows("SELECT 1"),
        lambda: end.native(PIECE),
        lambda: end.insert("t", ["n"], data, "a"),
        end.wait_for_inserts,
    ):
        with pytest.raises(UnavailableError, match=r"^it: "):
            call()
    client.close()


def test_an_insert_of_an_earlier_copy_is_waited_for(table, monkeypatch):
    slow = "INSERT INTO t SELECT number + sleepEachRow(0.2) FROM numbers(15) SETTINGS max_block_size = 1"
    other = table.server.client(table.database)
    thread = threading.Thread(target=other.command, args=(slow,), kwargs={"settings": {"log_comment": MARK}})
    thread.start()
    running = (
        "SELECT toString(count()) FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%pro%'"
    )
    assert comes_true(lambda: table.end.rows(running) == [["1"]])
    monkeypatch.setattr(module, "_UNDER_WAY_S", 0.0)
    with pytest.raises(CopyError, match="another copy"):
        table.end.wait_for_inserts()
    monkeypatch.setattr(module, "_UNDER_WAY_S", 60.0)
    table.end.wait_for_inserts()
    assert table.end.rows("SELECT toString(count()) FROM t") == [["15"]]
    thread.join()
    other.close()
