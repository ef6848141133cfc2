import json

import msgspec
import pytest

from exporters.clickhouse.client import connect
from proxy.app_store import StoreRefusedError, check_whole_store, migrate_store, state_of_store
from proxy.settings import StoreSettings
from tests.fakes.embedded_store import embedded_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def settings(store, request):
    """Of a server that is not ours, with a database of the test's own that is not there yet."""
    kept = msgspec.structs.replace(
        store.settings.store, embedded=False, database=f"test_{abs(hash(request.node.name))}"
    )
    return msgspec.structs.replace(store.settings, store=kept)


def with_store(settings, **changes):
    return msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, **changes))


@pytest.mark.real
def test_without_a_database_everything_would_be_made_and_there_is_nothing_to_tell(settings):
    told = migrate_store(settings, dry_run=True)
    assert told.statements[0].startswith("CREATE DATABASE")
    assert any("CREATE TABLE IF NOT EXISTS calls" in one for one in told.statements)
    for look in (state_of_store, check_whole_store):
        with pytest.raises(StoreRefusedError, match=r"there is no database .* yet: taximeter store migrate makes it"):
            look(settings)


@pytest.mark.real
def test_migrate_makes_the_schema_and_the_retention_and_check_agrees(settings):
    kept = with_store(settings, retention={"calls": 400})
    done = migrate_store(kept)
    assert done.applied[:2] == (1, 2)
    assert done.retention == ("calls: kept for 400 days, where it was never deleted; 0 rows are older and will go",)
    assert migrate_store(kept) == type(done)()
    assert migrate_store(kept, dry_run=True).retention == ()
    found = check_whole_store(kept)
    assert found.ok
    assert found.differences == ()
    assert found.self_check.ok
    assert check_whole_store(kept, rows=False).self_check is None
    assert state_of_store(kept).database == kept.store.database


@pytest.mark.real
def test_a_doubled_row_makes_the_check_fail(settings):
    migrate_store(settings)
    client = connect(settings.store, database=settings.store.database)
    row = json.dumps({"call_id": "a", "attempt": 1, "started_at": "1790000000.5"}).encode()
    for token in ("one", "two"):
        client.raw_insert(
            "attempts",
            insert_block=row,
            fmt="JSONEachRow",
            settings={"insert_deduplication_token": token, "async_insert": 0},
        )
    client.close()
    seen = []
    found = check_whole_store(settings, progress=lambda done, all_: seen.append((done, all_)))
    assert not found.ok
    assert found.self_check.findings == ["2026-09-21: 1 doubled rows in attempts"]
    assert seen == [(1, 1)]


@pytest.mark.real
def test_a_reader_that_is_not_let_in_makes_the_check_fail(settings):
    migrate_store(settings)
    found = check_whole_store(with_store(settings, reader_password="wrong"), rows=False)
    assert not found.ok
    assert [one.about for one in found.differences] == ["reader"]


@pytest.mark.real
def test_an_embedded_store_that_does_not_run_is_started_for_the_question(tmp_path):
    with embedded_store(tmp_path) as other:
        stopped = msgspec.structs.replace(other.settings, data_dir=tmp_path / "mine")
    with pytest.raises(StoreRefusedError, match=r"there is no store in .* yet: taximeter serve makes it"):
        state_of_store(stopped)
    assert migrate_store(stopped).applied
    assert check_whole_store(stopped).ok


def test_a_server_that_is_not_there_is_named(tmp_path, store):
    gone = msgspec.structs.replace(
        store.settings,
        data_dir=tmp_path,
        store=StoreSettings(url="http://127.0.0.1:1", user="u", password="", embedded=False),
    )
    for ask in (state_of_store, migrate_store, check_whole_store):
        with pytest.raises(StoreRefusedError, match=r"the store at http://127\.0\.0\.1:1: "):
            ask(gone)
