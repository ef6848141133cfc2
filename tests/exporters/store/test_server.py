"""The process: what it survives, whom it waits for, how it ends."""

import http.client
import signal
import socket
import threading
import time

import pytest

from exporters.store.errors import StartError
from exporters.store.server import _address
from tests.fakes.until import comes_true

pytestmark = pytest.mark.real
ROWS = 2_000
TABLE = "CREATE TABLE t (a UInt64, batch UInt32) ENGINE = MergeTree ORDER BY a PARTITION BY a % 3"
WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"


def batch(number):
    return b"".join(b'{"a":%d,"batch":%d}\n' % (number * ROWS + row, number) for row in range(ROWS))


def insert_until_killed(client, acknowledged, first=0):
    """Insert batch after batch, each under its token, until the store is gone."""
    for number in range(first, 10_000):
        try:
            answer = client.insert("t", batch(number), insert_deduplication_token=f"batch-{number}")
        except (OSError, http.client.HTTPException):
            return
        assert answer.status == 200, answer.body
        acknowledged.append(number)


def test_a_killed_store_has_every_acknowledged_row_and_a_replay_doubles_none(start, make_client):
    store = start().until_ready()
    client = make_client(store.port)
    client.sql(f"{TABLE} {WINDOW}")
    client.sql(
        f"CREATE TABLE m (batch UInt32, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY batch {WINDOW}"
    )
    client.sql("CREATE MATERIALIZED VIEW mv TO m AS SELECT batch, count() AS n FROM t GROUP BY batch")
    acknowledged = []
    for kill in range(4):
        inserting = threading.Thread(target=insert_until_killed, args=(client, acknowledged, len(acknowledged)))
        inserting.start()
        wanted = len(acknowledged) + 3 + kill
        assert comes_true(lambda wanted=wanted: len(acknowledged) >= wanted, 60)
        store.stop(signal.SIGKILL)
        inserting.join()
        store = start(port=store.port).until_ready()
        whole = set(client.sql("SELECT batch FROM t GROUP BY batch HAVING count() = 2000").split("\n"))
        assert {str(number) for number in acknowledged} <= whole

    for number in range(len(acknowledged) + 1):
        assert client.insert("t", batch(number), insert_deduplication_token=f"batch-{number}").status == 200
    expected = str((len(acknowledged) + 1) * ROWS)
    assert client.sql("SELECT count(), uniqExact(a), (SELECT sum(n) FROM m) FROM t") == "\t".join([expected] * 3)


def test_a_second_store_on_the_same_folder_says_who_has_it(start, tmp_path):
    first = start().until_ready()
    second = start(wait_s=0.3)
    said = second.until("StartError")

    assert f"the store's folder {tmp_path}/store is open in process {first.popen.pid}, and was not given up" in said
    assert second.popen.wait(10) == 1
    assert first.popen.poll() is None


def test_a_successor_waits_for_the_folder_and_serves_the_same_rows(start, make_client):
    first = start().until_ready()
    make_client(first.port).sql("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a AS SELECT 7 AS a")
    second = start(port=first.port)
    second.until("store waits")
    assert first.stop() == 0
    second.until_ready()

    assert make_client(first.port).sql("SELECT a FROM t") == "7"


def test_a_successor_waits_for_the_port_and_says_so_when_it_is_not_given_up(start):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        patient = start(port=port)
        patient.until(f"127.0.0.1:{port} is in use by another process")
        assert patient.popen.poll() is None
    patient.until_ready()


def test_stopping_while_waiting_is_no_failure(start):
    start().until_ready()
    second = start()
    second.until("store waits")

    assert second.stop() == 0


def test_a_stop_lets_statements_end_and_leaves_nothing_behind(start, make_client, tmp_path):
    store = start().until_ready()
    client, answers = make_client(store.port), []
    client.sql(f"{TABLE} {WINDOW}")
    asking = threading.Thread(
        target=lambda: answers.append(client.ask("SELECT sleepEachRow(0.2) FROM numbers(5)", max_block_size=1))
    )
    asking.start()
    assert comes_true(lambda: client.sql("SELECT count() FROM system.processes") == "2")
    assert store.stop() == 0
    asking.join()

    assert answers[0].text == "\n".join("0" * 5)
    assert not (tmp_path / "store" / "scratch").exists()
    assert (tmp_path / "store" / "lock").read_text() == ""
    assert "Traceback" not in "".join(store.said)


def test_a_stop_does_not_wait_for_ever(start, make_client):
    store = start().until_ready()
    client = make_client(store.port)
    broken = []

    def ask():
        try:
            client.ask("SELECT sleepEachRow(0.1) FROM numbers(9999)", max_block_size=1)
        except OSError as error:
            broken.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert comes_true(lambda: client.sql("SELECT count() FROM system.processes") == "2")
    began = time.monotonic()

    assert store.stop() == 0
    assert time.monotonic() - began < 10.0
    asking.join()
    assert broken


def test_bad_folders_are_told(start, tmp_path):
    (tmp_path / "file").write_text("")
    store = start(folder=tmp_path / "file")

    assert "cannot be used: Not a directory" in store.until("StartError")


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://127.0.0.1", "http://:1", "http://h:99999", "h:1"])
def test_a_url_that_cannot_be_listened_on_is_told(url):
    with pytest.raises(StartError, match="http://host:port"):
        _address(url)


def test_the_message_of_the_engine_is_on_standard_error_and_ours_names_the_folder(start, tmp_path):
    (tmp_path / "store" / "engine" / "status").mkdir(parents=True)
    store = start()

    assert f"{tmp_path}/store: the engine could not open it" in store.until("StartError")
    assert "Is a directory" in "".join([*store.said, *(line.decode() for line in store.popen.stdout)])
