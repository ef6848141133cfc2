import pytest

from exporters.schema.expected import bare
from exporters.schema.migrate import ensure_database, migrate
from reference.columns import ABOUT, SHARED, meanings, tables, types
from tests.fakes.embedded_store import embedded_store


def test_every_column_of_every_table_has_its_meaning_in_the_order_of_the_table():
    described = {table.name: [column.name for column in table.columns] for table in tables(meanings(), types())}
    for name, columns in types().items():
        assert described[name] == list(columns)
    assert all(column.meaning and column.type for table in tables(meanings(), types()) for column in table.columns)


def test_no_meaning_is_left_of_a_column_that_is_gone():
    said, made = meanings(), types()
    for table in set(said) - {ABOUT, SHARED}:
        if table in made:
            assert set(said[table]) - set(made[table]) == set(), table
    shared = {name for table, columns in made.items() for name in columns if name not in said.get(table, {})}
    assert set(said[SHARED]) - shared == set()
    assert set(said) - {ABOUT, SHARED} <= set(said[ABOUT])


def test_a_column_that_nobody_described_is_an_error():
    with pytest.raises(KeyError, match="new"):
        tables({ABOUT: {"t": "A row."}, SHARED: {}}, {"t": {"new": "String"}})


def test_what_a_table_says_itself_comes_before_what_is_shared():
    said = {ABOUT: {"t": "A row."}, SHARED: {"a": "shared", "b": "shared"}, "t": {"a": "own"}}
    (table,) = tables(said, {"t": {"a": "String", "b": "String"}})
    assert [column.meaning for column in table.columns] == ["own", "shared"]


@pytest.mark.real
def test_the_engine_has_every_table_and_view_with_these_columns_and_types(tmp_path):
    with embedded_store(tmp_path) as store:
        server = store.client("default")
        ensure_database(server, store.settings.store.database)
        server.close()
        client = store.client()
        migrate(client)
        for table in tables(meanings(), types()):
            found = client.query(f"DESCRIBE TABLE {table.name}").result_rows
            made = [(row[0], bare(row[1])) for row in found]
            assert made == [(one.name, bare(one.type)) for one in table.columns], table.name
        client.close()
