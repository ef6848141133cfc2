"""Unmodified client libraries against the running store."""

import asyncio
import datetime as dt
import decimal
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect import dbapi
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

pytestmark = pytest.mark.real
JS = Path(__file__).parents[2] / "integration" / "clickhouse-js"
COLUMNS = ["id", "at", "name", "cost", "maybe", "tags", "items", "flag"]
DDL = """CREATE TABLE {} (id UInt64, at DateTime64(9, 'UTC'), name LowCardinality(String), cost Decimal(38, 12),
    maybe Nullable(UInt32), tags Map(LowCardinality(String), String), items Array(String), flag Bool)
    ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100"""
ROWS = [
    [
        number,
        dt.datetime(2026, 11, 1, 12, 0, number % 60, tzinfo=dt.UTC),
        f"n{number % 7}",
        decimal.Decimal(number) / 1000,
        None if number % 3 else number,
        {"k": f"v{number}", "ü": "it's"},
        ["a", "b\t\n"],
        bool(number % 2),
    ]
    for number in range(1000)
]


@pytest.fixture
def login(client):
    return {"host": "127.0.0.1", "port": client.port, "username": client.user, "password": client.password}


@pytest.fixture
def connect(login):
    with clickhouse_connect.get_client(**login) as library:
        yield library


@pytest.fixture
def filled(connect, table):
    connect.command(DDL.format(table))
    assert connect.insert(table, ROWS, column_names=COLUMNS).written_rows == 1000
    return table


def refused(code, call):
    with pytest.raises(DatabaseError) as caught:
        call()
    assert caught.value.code == code


def test_every_type_comes_back_as_it_went(connect, filled):
    row = list(connect.query(f"SELECT * FROM {filled} WHERE id = 42").first_row)
    row[1] = row[1].replace(tzinfo=dt.UTC)

    assert row == ROWS[42]


def test_bound_parameters(connect, filled):
    values = {"a": 5, "s": "it's \\ tab\t nl\n ü", "n": None, "i": ["x'y", "z\\"]}
    sql = "SELECT {a:UInt64}, {s:String}, {n:Nullable(String)}, {i:Array(String)}"

    assert connect.query(sql, parameters=values).first_row == tuple(values.values())
    assert connect.query("SELECT count() FROM {t:Identifier}", parameters={"t": filled}).first_row == (1000,)
    many = connect.query(
        "SELECT count() FROM numbers(9) WHERE number IN {l:Array(UInt64)}", parameters={"l": list(range(20000))}
    )
    assert many.first_row == (9,)


def test_settings_ids_and_figures_of_one_query(connect):
    asked = connect.query("SELECT getSetting('max_threads')", settings={"max_threads": 1, "query_id": "mine"})

    assert (int(asked.first_row[0]), asked.query_id, asked.summary["result_rows"]) == (1, "mine", "1")
    assert list(connect.query("SELECT 1 AS a LIMIT 0").column_names) == ["a"]


def test_frames_arrays_and_streams(connect, filled):
    assert connect.query_df(f"SELECT name, sum(cost) FROM {filled} GROUP BY name").shape == (7, 2)
    assert connect.query_arrow(f"SELECT id FROM {filled}").num_rows == 1000
    with connect.query_rows_stream("SELECT number FROM numbers(300000)") as rows:
        assert sum(1 for _ in rows) == 300_000
    with connect.query_arrow_stream("SELECT number FROM numbers(200000)") as batches:
        assert sum(batch.num_rows for batch in batches) == 200_000


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip", "br", False])
def test_compression_both_ways(login, filled, codec):
    with clickhouse_connect.get_client(**login, compress=codec) as library:
        token = {"insert_deduplication_token": f"codec-{codec}"}
        if codec != "br":
            assert library.insert(filled, ROWS[:100], column_names=COLUMNS, settings=token).written_rows == 100
        assert library.query(f"SELECT * FROM {filled} ORDER BY id LIMIT 900").row_count == 900


def test_errors_have_their_codes(connect, login):
    refused(60, lambda: connect.query("SELECT * FROM nope"))
    refused(62, lambda: connect.query("SELEC 1"))
    refused(115, lambda: connect.query("SELECT 1", settings={"no_such": 1}))
    refused(395, lambda: connect.query("SELECT throwIf(number = 1) FROM numbers(2)"))
    refused(516, lambda: clickhouse_connect.get_client(**{**login, "password": "wrong"}))
    slow = "SELECT sleepEachRow(0.1) FROM numbers(50) SETTINGS max_block_size = 1"
    refused(159, lambda: connect.query(slow, settings={"max_execution_time": 0.3}))


def test_an_error_in_mid_stream_is_raised(connect):
    sql = "SELECT throwIf(number = 3000000) FROM numbers(5000000) SETTINGS max_block_size = 10000"
    with pytest.raises(StreamFailureError, match="395"), connect.query_row_block_stream(sql) as blocks:
        for _ in blocks:
            pass


def test_a_token_makes_an_insert_repeatable_and_does_not_stick(connect, filled):
    for _ in range(2):
        connect.insert(filled, ROWS[:10], column_names=COLUMNS, settings={"insert_deduplication_token": "T"})
    connect.insert(filled, ROWS[10:20], column_names=COLUMNS)

    assert connect.command(f"SELECT count() FROM {filled}") == 1020


def test_raw_inserts(connect, filled):
    line = b'{"id":1,"at":"2026-11-02 00:00:00.5","cost":"0.000000000001"}\n'
    done = connect.raw_insert(
        filled, insert_block=line * 10, fmt="JSONEachRow", settings={"insert_deduplication_token": "r"}
    )

    assert done.written_rows == 10
    assert connect.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'


def test_a_session_keeps_temporary_tables_also_when_the_program_is_run_again(login):
    script = f"""
import clickhouse_connect
library = clickhouse_connect.get_client(**{login!r}, session_id="named")
library.command("CREATE TEMPORARY TABLE tmp (x UInt8)")
library.insert("tmp", [[1]], column_names=["x"])
print(library.command("SELECT count() FROM tmp"))
"""
    for _ in range(2):
        assert (
            subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"
        )


def test_external_data(connect):
    data = ExternalData(file_name="e.csv", data=b"1,a\n", fmt="CSV", structure="x UInt8, y String")

    assert connect.query("SELECT * FROM e", external_data=data).result_rows == [(1, "a")]


def test_many_threads_and_the_db_api(login, filled):
    errors = []

    def work():
        try:
            with clickhouse_connect.get_client(**login, autogenerate_session_id=False) as library:
                for _ in range(5):
                    assert library.query(f"SELECT count() FROM {filled}").first_row == (1000,)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cursor = dbapi.connect(**login).cursor()
    cursor.execute("SELECT 1")

    assert (errors, cursor.fetchone()[0]) == ([], 1)


async def test_the_asynchronous_client(login, filled):
    library = await clickhouse_connect.get_async_client(**login)
    try:
        await library.insert(filled, ROWS[:50], column_names=COLUMNS, settings={"insert_deduplication_token": "async"})
        async with await library.query_rows_stream("SELECT number FROM numbers(100000)") as rows:
            assert len([1 async for _ in rows]) == 100_000
        asked = [library.query("SELECT sleep(0.1), {i:UInt8}", parameters={"i": number}) for number in range(4)]
        assert [answer.first_row[1] for answer in await asyncio.gather(*asked)] == [0, 1, 2, 3]
    finally:
        await library.close()


def test_the_reader_reads(reader):
    login = {"host": "127.0.0.1", "port": reader.port, "username": reader.user, "password": reader.password}
    with clickhouse_connect.get_client(**login) as library:
        assert library.query("SELECT number FROM numbers(3)").row_count == 3
        refused(164, lambda: library.command("CREATE TABLE t (a UInt8) ENGINE = Memory"))


def test_the_javascript_client(client, reader):
    node = shutil.which("node")
    if node is None or not (JS / "node_modules" / "@clickhouse" / "client").exists():
        pytest.skip(f"needs node, and `npm ci` in {JS.name}")
    command = [node, "check.mjs", f"http://127.0.0.1:{client.port}", client.user, client.password, reader.password]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok ") > 30
