import pytest

from exporters.schema.expected import bare, expected
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.statement import StatementError


def of(*texts):
    return expected([Migration(version=n, name="x", sql=f"{sql};\n") for n, sql in enumerate(texts, 1)])


TABLE = (
    "CREATE TABLE IF NOT EXISTS t (a UInt8, b Map(String,  Decimal(38, 12)), c DEFAULT 1) ENGINE = MergeTree ORDER BY a "
    "SETTINGS non_replicated_deduplication_window = 10"
)


def test_a_table_is_what_the_migrations_leave_of_it():
    made = of(
        TABLE,
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS d Nullable(UInt8) AFTER a, DROP COLUMN IF EXISTS c, RENAME COLUMN a TO e",
        "ALTER TABLE t MODIFY COLUMN d UInt16, MODIFY SETTING non_replicated_deduplication_window = 20",
        "ALTER TABLE t ADD INDEX i d TYPE minmax",
    ).tables["t"]
    assert made.columns == {"b": "Map(String,Decimal(38,12))", "d": "UInt16", "e": "UInt8"}
    assert (made.engine, made.window) == ("MergeTree", 20)


def test_views_and_what_they_fill():
    made = of(
        TABLE,
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1 AS a",
        "CREATE OR REPLACE VIEW w AS SELECT 1",
        "CREATE VIEW IF NOT EXISTS gone AS SELECT 1",
        "DROP VIEW IF EXISTS gone",
        "INSERT INTO t SELECT 1",
    )
    assert made.views == {"v": "t", "w": ""}


def test_what_is_dropped_must_not_be_there():
    assert of(TABLE, "DROP TABLE IF EXISTS t").tables == {}


def test_an_unknown_form_is_refused():
    with pytest.raises(StatementError):
        of("OPTIMIZE TABLE t")


def test_the_money_of_ours_is_decimal_and_every_table_remembers_tokens():
    made = expected(load_migrations()).tables
    assert made["calls"].columns["cost"] == made["attempts"].columns["cost"] == "Nullable(Decimal(38,18))"
    assert all(table.window for table in made.values())


def test_types_are_compared_without_white_space():
    assert bare("Array(Tuple(\n    a UInt8, b String))") == "Array(Tuple(aUInt8,bString))"
