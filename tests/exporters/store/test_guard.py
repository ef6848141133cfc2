"""What the read-only user may not do, tried on the real engine."""

import pytest

from exporters.store.errors import StoreError
from exporters.store.guard import check_settings

READS_FILES = [
    "SELECT file('{secret}')",
    "SELECT `file`('{secret}')",
    r"""SELECT "fi\x6ce"('{secret}')""",
    "SELECT /* x */ file /* y */ ('{secret}')",
    "SELECT * APPLY(file) FROM values('x String', '{secret}')",
    "SELECT * APPLY(x -> file(x)) FROM values('x String', '{secret}')",
    "SELECT * REPLACE(file(x) AS x) FROM values('x String', '{secret}')",
    "SELECT arrayMap(file, ['{secret}'])",
    "WITH file AS f SELECT arrayMap(f, ['{secret}'])",
    "SELECT '\\'', file('{secret}')",
    "SELECT '\\\\', file('{secret}') -- '",
    "SELECT $$'$$, file('{secret}'), $$'$$",
    "SELECT 1 ORDER BY file('{secret}')",
    "EXPLAIN QUERY TREE SELECT file('{secret}')",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM default.`{secret}`",
    "DESCRIBE file('{secret}')",
    "EXISTS `{secret}`",
    "SHOW CREATE TABLE default.`{secret}`",
]
REACHES_OUT = [
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "DESCRIBE URL('http://127.0.0.1:1/')",
    "DESCRIBE s3('http://127.0.0.1:1/x')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM executable('x', 'TSV', 'a String')",
    "SELECT * FROM (SELECT * FROM python(x))",
    "SELECT aiGenerate('x')",
]
CHANGES = [
    "CREATE TABLE t (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE t (a UInt8)",
    "INSERT INTO t VALUES (1)",
    "INSERT INTO t SELECT 1",
    "DROP DATABASE default",
    "ALTER TABLE t DELETE WHERE 1",
    "KILL QUERY WHERE 1",
    "SYSTEM FLUSH LOGS",
    "SET max_threads = 1",
    "SET readonly = 0",
    "USE system",
    "SELECT 1; DROP DATABASE default",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "BACKUP DATABASE default TO File('x')",
    "GRANT ALL ON *.* TO default",
]
FINE = [
    ("SELECT 1", "1"),
    ("SELECT 'file(' || x FROM values('x String', 'url(')", "file(url("),
    ("SELECT count() FROM numbers(10) WHERE number IN (SELECT number FROM view(SELECT number FROM numbers(5)))", "5"),
    ("WITH url AS (SELECT 7 AS s3) SELECT s3 FROM url", "7"),
    ("EXISTS system.one", "1"),
    ("SELECT 1 FORMAT CSV", "1"),
    ("SHOW TABLES FROM system LIKE 'one'", "one"),
    ("SELECT count() > 0 FROM system.processes", "1"),
]


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text("hunter2\n")
    return file


@pytest.mark.real
def test_the_files_could_be_read_if_there_were_no_guard(client, secret):
    assert client.sql(READS_FILES[0].replace("{secret}", str(secret))) == "hunter2\\n"


@pytest.mark.real
@pytest.mark.parametrize("sql", READS_FILES + REACHES_OUT + CHANGES)
def test_a_reader_is_refused(reader, sql, secret):
    answer = reader.ask(sql.replace("{secret}", str(secret)))

    assert answer.code in {46, 47, 60, 164}, answer.body
    assert b"hunter2" not in answer.body


@pytest.mark.real
@pytest.mark.parametrize("sql", ["SELECT 1 INTO OUTFILE '{}'", "SELECT 1 INTO/**/OUTFILE '{}' TRUNCATE FORMAT CSV"])
def test_nobody_writes_files(reader, client, sql, tmp_path):
    for one in (reader, client):
        assert one.ask(sql.format(tmp_path / "out")).code in {164, 358}

    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
@pytest.mark.parametrize(("sql", "result"), FINE)
def test_a_reader_reads(reader, sql, result):
    assert reader.sql(sql) == result


@pytest.mark.real
def test_what_is_wrong_with_a_statement_is_told_without_running_it(reader):
    assert reader.ask("SELEC 1").code == 62


@pytest.mark.real
def test_a_session_of_a_reader_keeps_working(reader):
    for _ in range(3):
        assert reader.sql("SELECT 1", session_id="r", max_threads=1) == "1"


@pytest.mark.real
def test_a_reader_chooses_looks_and_limits(reader):
    assert reader.sql("SELECT getSetting('max_block_size')", max_block_size=77) == "77"
    assert reader.ask("SELECT 1", max_memory_usage=0).code == 164


@pytest.mark.parametrize(
    "name",
    ["readonly", "max_memory_usage", "format_schema", "output_format_schema", "additional_result_filter", "allow_ddl"],
)
def test_no_setting_of_a_reader_names_a_file_holds_code_or_lifts_a_limit(name):
    with pytest.raises(StoreError, match=name):
        check_settings({"max_threads": "1", name: "1"})
