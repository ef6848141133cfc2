"""The HTTP interface, as programs meet it; every test asks the running store."""

import gzip
import json
import socket
import struct

import pytest

from exporters.store.codecs import decoder

pytestmark = pytest.mark.real
LINES = b"".join(b'{"a":%d}\n' % number for number in range(20_000))


def running(client, mark):
    return int(
        client.sql(f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'")
    )


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_health_needs_no_password(client, path):
    answer = client.ask(method="GET", path=path, login=False)

    assert (answer.status, answer.body) == (200, b"Ok.\n")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/play", 404), ("PUT", "/", 405), ("OPTIONS", "/", 405)]
)
def test_there_is_no_console_and_no_cors(client, method, path, status):
    answer = client.ask(method=method, path=path, headers={"Origin": f"http://127.0.0.1:{client.port}"})

    assert answer.status == status
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_pages_of_other_sites_are_refused(client):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.ask("SELECT 1", headers=headers).status == 403


def test_wrong_and_missing_passwords(client):
    assert (client.ask("SELECT 1", login=False).status, client.ask("SELECT 1", login=False).code) == (401, 194)
    assert client.ask("SELECT 1", login=False, user="meter", password="x").code == 516
    assert client.ask("SELECT 1", login=False, user=client.user, password=client.password).text == "1"


def test_a_query_comes_in_the_url_in_the_body_or_in_both(client):
    assert client.sql("", query="SELECT 1") == "1"
    assert client.sql("1, 2", query="SELECT ") == "1\t2"
    assert client.ask(method="GET", query="SELECT 3").text == "3"
    assert client.ask(gzip.compress(b"SELECT 4"), headers={"Content-Encoding": "gzip"}).text == "4"
    assert client.ask("").code == 62


def test_get_reads_only(client, table):
    assert client.ask(method="GET", query=f"CREATE TABLE {table} (a UInt8) ENGINE = Memory").code == 164
    assert client.ask(method="GET", query=f"INSERT INTO {table} VALUES (1)").code == 164
    assert client.sql(f"EXISTS {table}") == "0"


def test_a_statement_at_a_time(client):
    assert client.sql("SELECT 1;") == "1"
    assert client.ask("SELECT 1; SELECT 2").code == 62
    assert client.ask("1 + 1").code == 62


@pytest.mark.parametrize(
    ("sql", "body", "form"),
    [
        ("SELECT 1 AS a FORMAT JSONEachRow", b'{"a":1}\n', "JSONEachRow"),
        ("SELECT 1 AS format", b"1\n", "TabSeparated"),
        ("SELECT number AS format FROM numbers(2) ORDER BY format DESC", b"1\n0\n", "TabSeparated"),
        ("SELECT 1 -- FORMAT CSV", b"1\n", "TabSeparated"),
        ("(SELECT 'a') UNION ALL (SELECT 'a') FORMAT CSV;", b'"a"\n"a"\n', "CSV"),
        ("SELECT 1 FORMAT TSV SETTINGS max_threads = 1", b"1\n", "TSV"),
        ("SELECT 1 AS a WHERE 0 FORMAT CSVWithNames", b'"a"\n', "CSVWithNames"),
        ("EXISTS system.one FORMAT CSV", b"1\n", "CSV"),
        ("EXPLAIN SYNTAX SELECT 1 FORMAT TSVRaw", b"SELECT 1\nFROM system.one\n", "TSVRaw"),
        ("SELECT 1 FORMAT Null", b"", "Null"),
    ],
)
def test_the_format_of_a_result(client, sql, body, form):
    answer = client.ask(sql)

    assert (answer.body, answer.headers["X-ClickHouse-Format"]) == (body, form)


def test_a_statement_without_a_result_names_no_format(client, table):
    answer = client.ask(f"CREATE TABLE {table} (a UInt8) ENGINE = Memory")

    assert (answer.status, answer.body, answer.headers["X-ClickHouse-Format"]) == (200, b"", None)


def test_what_an_answer_says_about_itself(client):
    answer = client.ask("SELECT number FROM numbers(5)", query_id="my-id", default_format="JSONEachRow")

    assert answer.headers["X-ClickHouse-Query-Id"] == "my-id"
    assert answer.headers["X-ClickHouse-Timezone"] == client.sql("SELECT timezone()") == "UTC"
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert (answer.summary["read_rows"], answer.summary["result_rows"]) == ("5", "5")


def test_parameters_arrive_as_they_are(client):
    assert client.sql("SELECT {a:String}, {b:Nullable(UInt8)}", param_a="it's\\tü", param_b="\\N") == "it\\'s\\tü\t\\N"
    assert client.ask("SELECT {a:UInt8}").code == 456


def test_settings_last_for_their_query_only(client):
    for extra in ({}, {"session_id": "sticks"}):
        assert client.sql("SELECT getSetting('max_block_size')", max_block_size=77, **extra) == "77"
        assert client.sql("SELECT getSetting('max_block_size')", **extra) != "77"
    assert client.ask("SELECT 1", no_such_setting=1).code == 115


def test_settings_do_not_mix_with_what_a_session_has_set(client):
    session = {"session_id": "mixed"}
    client.sql("SET max_threads = 3, max_block_size = 1000", max_block_size=5, **session)
    client.sql("USE system", database="default", **session)
    both = "SELECT getSetting('max_threads'), getSetting('max_block_size'), currentDatabase()"

    assert client.sql(both, max_block_size=77, database="default", **session) == "3\t77\tdefault"
    assert client.sql(both, **session) == "3\t1000\tsystem"
    assert client.ask("SELECT 1", compatibility="22.3", **session).code == 36


def test_a_deduplication_token_does_not_stick_to_a_session(client, table):
    session = {"session_id": "tokens"}
    client.sql("SET max_threads = 1", **session)
    client.sql(
        f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9"
    )
    for number, token in ((1, "T"), (2, "T"), (3, None), (4, None)):
        client.insert(
            table, b'{"a":%d}' % number, **session, **({"insert_deduplication_token": token} if token else {})
        )

    assert client.sql(f"SELECT groupArray(a) FROM (SELECT a FROM {table} ORDER BY a)") == "[1,3,4]"


def test_sessions_keep_temporary_tables_and_are_checked(client):
    client.sql("CREATE TEMPORARY TABLE tmp (x UInt8)", session_id="temporary")
    assert client.insert("tmp", b'{"x":5}', session_id="temporary").status == 200

    assert client.sql("SELECT x FROM tmp", session_id="temporary", session_check=1) == "5"
    assert client.ask("SELECT x FROM tmp").code == 60
    assert client.ask("SELECT 1", session_id="unheard", session_check=1).code == 372


def test_an_insert_of_any_size_and_shape(client, table):
    client.sql(
        f"CREATE TABLE {table} (a UInt64, b String DEFAULT concat('b', toString(a))) ENGINE = MergeTree ORDER BY a"
    )
    answer = client.insert(table, LINES)

    assert (answer.status, answer.body, answer.summary["written_rows"], answer.summary["read_rows"]) == (
        200,
        b"",
        "20000",
        "20000",
    )
    assert client.ask(f"INSERT INTO {table} (a) VALUES (1), (1 + 1)").summary["written_rows"] == "2"
    assert client.ask(f"INSERT INTO {table} (a) FORMAT CSV\n3\n4\n").summary["written_rows"] == "2"
    assert client.ask("7\n", query=f"INSERT INTO {table} (a) SETTINGS max_threads = 1 FORMAT TSV").status == 200
    assert client.ask("8\n", query="INSERT INTO {t:Identifier} (a) FORMAT TSV", param_t=table).status == 200
    packed = client.ask(
        gzip.compress(LINES), headers={"Content-Encoding": "gzip"}, query=f"INSERT INTO {table} FORMAT JSONEachRow"
    )
    assert packed.summary["written_rows"] == "20000"
    assert client.sql(f"SELECT count(), countIf(b = 'b3') FROM {table}") == "40006\t3"


def test_an_insert_that_fails_says_so_and_keeps_nothing(client, table):
    client.sql(f"CREATE TABLE {table} (a UInt64, CONSTRAINT c CHECK a != 19000) ENGINE = MergeTree ORDER BY a")

    assert client.insert(table, LINES).code == 469
    assert client.insert(table, b'{"a":1}\n{"a":"x"}\n').code == 27
    assert client.insert(table, b'{"a":1}\n{"a":').code in {32, 33}
    assert client.insert(f"{table}_not", LINES).code == 60
    assert (
        client.ask(
            gzip.compress(LINES)[:-99],
            headers={"Content-Encoding": "gzip"},
            query=f"INSERT INTO {table} FORMAT JSONEachRow",
        ).code
        == 271
    )
    assert client.sql(f"SELECT count() FROM {table}") == "0"


def test_an_insert_that_the_engine_would_silently_drop_is_refused(client, table):
    client.sql(f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a")
    sql = f"INSERT INTO {table} SELECT a FROM input('a UInt64') FORMAT JSONEachRow"

    assert client.ask(b'{"a":1}', query=sql).code == 48
    assert client.ask(f"INSERT INTO {table} SELECT throwIf(number = 900000) FROM numbers(1000000)").code == 395


def test_an_insert_into_more_partitions_than_allowed_is_not_acknowledged(client, table):
    client.sql(f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a PARTITION BY a")

    assert client.insert(table, LINES).code == 252


def test_an_insert_whose_view_fails_is_not_acknowledged(client, table):
    client.sql(f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.sql(f"CREATE TABLE {table}_to (a UInt64, CONSTRAINT c CHECK a < 9) ENGINE = MergeTree ORDER BY a")
    client.sql(f"CREATE MATERIALIZED VIEW {table}_mv TO {table}_to AS SELECT a FROM {table}")
    answer = client.insert(table, LINES)
    for name in ("mv", "to"):
        client.sql(f"DROP TABLE {table}_{name} SYNC")

    assert answer.code == 469


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(LINES)]
)
@pytest.mark.parametrize("farewell", ["close", "reset"])
def test_an_insert_that_breaks_off_keeps_nothing(client, table, framing, farewell, eventually):
    client.sql(f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a")
    head = f"POST /?query=INSERT+INTO+{table}+FORMAT+JSONEachRow HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}\r\n"
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head.encode() + framing + LINES)
        assert eventually(lambda: running(client, f"{table} FROM"))
        if farewell == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert eventually(lambda: not running(client, f"{table} FROM"))
    assert client.sql(f"SELECT count() FROM {table}") == "0"


def test_a_query_is_stopped_when_its_client_leaves(client, eventually):
    body = b"SELECT sleepEachRow(0.1), 'leaver' FROM numbers(1000) SETTINGS max_block_size = 1"
    head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head.encode() + body)
        assert eventually(lambda: running(client, "leaver"))

    assert eventually(lambda: not running(client, "leaver"))


def test_a_failure_before_the_first_byte_has_its_own_status(client):
    answer = client.ask("SELECT throwIf(number = 3) FROM numbers(10)")

    assert (answer.status, answer.code) == (500, 395)
    assert answer.body.startswith(b"Code: 395. DB::Exception: ")
    assert b"(FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version " in answer.body


@pytest.mark.parametrize("coding", ["", "gzip", "zstd"])
def test_a_failure_in_mid_stream_is_in_the_stream_and_breaks_it_off(client, coding):
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(5000000) SETTINGS max_block_size = 10000"
    answer = client.ask(sql, headers={"Accept-Encoding": coding}, enable_http_compression=1)
    body = b"".join(decoder(answer.headers.get("Content-Encoding", "")).feed(answer.body))
    tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()

    assert (answer.status, answer.is_whole) == (200, False)
    assert body.endswith(b" " + tag + b"\r\n__exception__\r\n")
    assert b"\r\n__exception__\r\n" + tag + b"\r\nCode: 395. " in body


def test_waiting_for_the_end_turns_it_into_a_status(client):
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(5000000) SETTINGS max_block_size = 10000"

    assert client.ask(sql, wait_end_of_query=1).code == 395
    answer = client.ask("SELECT number FROM numbers(3000000)", wait_end_of_query=1)
    assert (answer.body.count(b"\n"), answer.summary["result_rows"]) == (3_000_000, "3000000")


@pytest.mark.parametrize("coding", ["zstd", "lz4", "gzip", "deflate", "br"])
@pytest.mark.parametrize("rows", [1, 300_000])
def test_answers_are_packed_as_asked(client, coding, rows):
    answer = client.ask(
        f"SELECT number FROM numbers({rows})", headers={"Accept-Encoding": coding}, enable_http_compression=1
    )
    undo = decoder(answer.headers["Content-Encoding"])

    assert b"".join(undo.feed(answer.body)).count(b"\n") == rows
    undo.finish()


@pytest.mark.parametrize("form", ["JSON", "Arrow", "ArrowStream", "Parquet", "ORC", "CSVWithNames", "Native"])
def test_a_stream_of_any_format_is_one_well_formed_whole(client, form):
    answer = client.ask(f"SELECT number FROM numbers(400000) FORMAT {form}")
    counted = client.ask(answer.body, query=f"INSERT INTO FUNCTION null('number UInt64') FORMAT {form}")

    assert counted.summary["written_rows"] == "400000"


def test_expect_continue_is_answered(client):
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {client.login['Authorization']}\r\nContent-Length: 8\r\n"
        connection.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"SELECT 1")

        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_what_is_too_large_is_refused(client):
    assert (
        client.ask(gzip.compress(b"SELECT 1 --" + b" " * (20 << 20)), headers={"Content-Encoding": "gzip"}).code == 229
    )
    assert client.ask(b"INSERT INTO t (a" + b" " * (3 << 20)).code == 229
    assert client.ask(b"SELECT " + b"1," * 200_000 + b"1").code == 62


def test_any_bytes_may_be_in_a_query(client):
    assert json.loads(client.sql(b"SELECT length('a\xff\x00b') AS n FORMAT JSONEachRow")) == {"n": 4}


def test_memory_of_a_query_is_bounded(client):
    assert client.ask("SELECT uniqExact(number) FROM numbers(100000000)").code == 241
    assert client.sql("SELECT 1") == "1"
