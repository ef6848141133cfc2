import re

from exporters.schema.migrations import Migration, load_migrations


def test_versions_count_from_one_without_a_gap():
    versions = [migration.version for migration in load_migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_a_statement_ends_at_the_end_of_a_line():
    migration = Migration(version=1, name="x", sql="-- about; it\nCREATE a (b; c)\n(d);\n\nALTER b;  \n")
    assert migration.statements == ("-- about; it\nCREATE a (b; c)\n(d)", "ALTER b")


def test_the_checksum_is_that_of_the_text():
    one, two = (Migration(version=1, name="x", sql=sql) for sql in ("CREATE a;\n", "CREATE b;\n"))
    assert one.checksum == Migration(version=2, name="y", sql=one.sql).checksum != two.checksum


def test_every_statement_may_be_run_again():
    for migration in load_migrations():
        for statement in migration.statements:
            code = re.sub(r"--.*", "", statement)
            if code.lstrip().startswith("INSERT"):
                assert "insert_deduplication_token = '" in code, migration.name
            else:
                assert re.search(r"\bIF (NOT )?EXISTS\b|\bOR REPLACE\b", code), migration.name


def test_every_table_remembers_the_tokens_it_has_seen():
    for migration in load_migrations():
        for statement in migration.statements:
            if "MergeTree" in statement:
                assert "non_replicated_deduplication_window = 10000" in statement, migration.name
