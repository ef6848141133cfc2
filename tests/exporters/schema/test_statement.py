from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.schema.migrations import load_migrations
from exporters.schema.statement import (
    Alter,
    CreateMaterializedView,
    CreateTable,
    CreateView,
    Drop,
    Insert,
    StatementError,
    added_column,
    has_alias,
    parse,
    quote_identifier,
    quote_text,
    tables_read,
    tokens,
)

TABLE = """\
-- About; it's (a comment, with a quote
CREATE TABLE IF NOT EXISTS things
(
    at      DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    -- What it is, with a comma
    `a b`   Map(LowCardinality(String), Decimal(38, 12)) DEFAULT map('ENGINE = (', 1),
    guessed DEFAULT 1,
    INDEX by_at at TYPE minmax GRANULARITY 1,
    PROJECTION newest (SELECT * ORDER BY at)
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toDate(at)
ORDER BY (toStartOfHour(at), `a b`, at)
SETTINGS non_replicated_deduplication_window = 10;
"""


def test_a_table_has_its_columns_engine_and_clauses():
    table = parse(TABLE)
    assert isinstance(table, CreateTable)
    assert (table.name, table.engine, table.engine_arguments) == ("things", "ReplacingMergeTree", "at")
    assert table.columns == {
        "at": "DateTime64(9, 'UTC')",
        "a b": "Map(LowCardinality(String), Decimal(38, 12))",
        "guessed": "",
    }
    assert table.order_by == ("a b", "at")
    assert table.body.startswith("(\n")
    assert table.body.endswith(")")
    assert table.clauses.startswith("PARTITION BY")
    assert table.clauses.endswith("= 10")


def test_every_statement_of_ours_can_be_read():
    for migration in load_migrations():
        for statement in migration.statements:
            parse(statement)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT a FROM b GROUP BY a",
            CreateMaterializedView(name="v", target="t", select="SELECT a FROM b GROUP BY a"),
        ),
        ("CREATE OR REPLACE VIEW v AS\nSELECT 1;", CreateView(name="v", replace=True, select="SELECT 1")),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", CreateView(name="v", replace=False, select="SELECT 1")),
        (
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS c Array(Tuple(a UInt8, b UInt8)), MODIFY TTL f(x, 1) + 2",
            Alter(
                name="t",
                commands=("ADD COLUMN IF NOT EXISTS c Array(Tuple(a UInt8, b UInt8))", "MODIFY TTL f(x, 1) + 2"),
            ),
        ),
        ("INSERT INTO t (a, b) SELECT 1, 2", Insert(name="t", rest="(a, b) SELECT 1, 2")),
        ("DROP TABLE IF EXISTS t", Drop(name="t", view=False)),
        ("drop view if exists `v`", Drop(name="v", view=True)),
    ],
)
def test_the_forms_of_statements(sql, wanted):
    assert parse(sql) == wanted


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("TRUNCATE TABLE calls", "begins with 'TRUNCATE TABLE calls'"),
        ("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", "may not hold"),
        ("CREATE TABLE IF NOT EXISTS t AS u", "columns in brackets"),
        ("CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Log", "MergeTree family"),
        ("CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = ReplicatedMergeTree ORDER BY a", "not Replicated"),
        ("CREATE TABLE IF NOT EXISTS db.t (a UInt8) ENGINE = MergeTree ORDER BY a", "must not name a database"),
        ("CREATE TABLE IF NOT EXISTS t (a UInt8", "not closed"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = MergeTree AS SELECT 1", "must write TO a table"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t", "after AS"),
        ("INSERT INTO", "A name is missing"),
        ("", "begins with ''"),
    ],
)
def test_any_other_form_is_refused_in_words(sql, words):
    with pytest.raises(StatementError, match=words):
        parse(sql)


@given(st.text(max_size=200))
def test_reading_ends_for_any_text_and_no_token_goes_missing(sql):
    seen = tokens(sql)
    assert all(one.end <= other.start for one, other in pairwise(seen))
    assert all(sql[one.start : one.end] == one.text for one in seen)
    try:
        parse(sql)
    except StatementError:
        return


def test_tables_are_what_stands_after_from_and_join():
    sql = (
        "SELECT calls, calls.x FROM calls AS c JOIN `at tempts` USING (x) "
        "WHERE y IN (SELECT y FROM (SELECT 1 FROM numbers(3))) AND z = 'FROM nowhere' -- FROM nowhere\n AND 1 IN (SELECT 1 FROM db.t)"
    )
    assert [token.name for token in tables_read(sql)] == ["calls", "at tempts"]


@pytest.mark.parametrize(
    ("sql", "alias"),
    [
        ("SELECT 1 FROM t AS a", True),
        ("SELECT 1 FROM t a", True),
        ("SELECT 1 FROM t WHERE 1", False),
        ("SELECT 1 FROM t", False),
        ("(SELECT 1 FROM t)", False),
    ],
)
def test_a_table_may_have_a_name_of_its_own(sql, alias):
    (table,) = tables_read(sql)
    assert has_alias(sql, table) is alias


@pytest.mark.parametrize(
    ("command", "column"),
    [
        (
            "ADD COLUMN IF NOT EXISTS c Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) AFTER b",
            ("c", "Nullable(Decimal(38, 18))"),
        ),
        ("MODIFY COLUMN c UInt8", ("c", "UInt8")),
        ("ADD INDEX i c TYPE minmax", None),
        ("DROP COLUMN c", None),
    ],
)
def test_the_column_that_a_command_adds(command, column):
    assert added_column(command) == column


@pytest.mark.parametrize("name", ["plain", "with `quotes`", "back\\slash", "it's"])
def test_names_and_texts_are_quoted_so_that_they_are_one_token(name):
    assert [token.name for token in tokens(quote_identifier(name))] == [name]
    assert len(tokens(quote_text(name))) == 1
