"""Backups back into a data folder, each restore in a process of its own."""

import shutil
import threading
import time
from contextlib import contextmanager

import msgspec
import pytest

from exporters.journal.names import shipped_dir
from exporters.journal.reader import add_segment
from exporters.store.backup import take_backup
from exporters.store.folder import Folder, FolderLock
from exporters.store.manifest import FILE_NAME, read_manifest, write_manifest
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.filled_store import counted, fill, ready_store
from tests.fakes.records import call
from tests.fakes.restoring import RestoreRefusedError, restoring

pytestmark = pytest.mark.real

FIRST, SECOND = 3_000, 500


@contextmanager
def running(store):
    """The store of a Taximeter, with a connection to it."""
    store.start()
    bare = store.client("default")
    bare.command(f"CREATE DATABASE IF NOT EXISTS {store.settings.store.database}")
    bare.close()
    client = store.client()
    try:
        yield client
    finally:
        client.close()
        store.stop()


def silent(_stage, _done, _total):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A backup of calls under the token `first`, and the store that was filled further with `second`."""
    folder = tmp_path_factory.mktemp("made")
    store = EmbeddedStore(folder / "data")
    store.start()
    client = ready_store(store)
    client.command(
        "CREATE TABLE spent (model String, currency String, cost SimpleAggregateFunction(sum, Decimal(38, 18))) "
        "ENGINE = AggregatingMergeTree ORDER BY (model, currency) SETTINGS non_replicated_deduplication_window = 10000"
    )
    client.command(
        "CREATE MATERIALIZED VIEW spent_of TO spent AS "
        "SELECT model, currency, sum(assumeNotNull(cost)) AS cost FROM attempts GROUP BY model, currency"
    )
    fill(client, "first", FIRST)
    take_backup(store.settings, folder / "backup", compress=False, progress=silent)
    fill(client, "second", SECOND)
    client.close()
    store.stop()
    return folder / "backup"


@pytest.fixture
def fresh(tmp_path):
    """A Taximeter that has never run."""
    return EmbeddedStore(tmp_path / "data")


def rolled_up(client):
    sql = "SELECT (SELECT sum(cost) FROM spent) = (SELECT sum(cost) FROM attempts)"
    return client.query(sql).result_rows[0][0]


def test_into_an_empty_folder_with_views_that_go_on_working(fresh, made):
    left = Folder(Folder(fresh.settings.store_dir).restoring_dir).engine_dir / "of a restore that was killed"
    left.mkdir(parents=True)
    told = restoring(fresh.settings, made)
    assert (told["former"], told["restarted"]) == ("", False)
    assert told["manifest"]["tables"]["calls"]["rows"] == FIRST

    with running(fresh) as client:
        assert counted(client) == (FIRST,) * 4
        assert rolled_up(client)
        fill(client, "third", 10)
        assert counted(client) == (FIRST + 10,) * 4
        assert rolled_up(client)


def test_tokens_are_those_of_the_backup_so_that_nothing_is_refused_that_is_not_there_or_doubled(fresh, made):
    restoring(fresh.settings, made)
    with running(fresh) as client:
        fill(client, "first", FIRST)
        assert counted(client) == (FIRST,) * 4
        fill(client, "second", SECOND)
        assert counted(client) == (FIRST + SECOND,) * 4
        assert rolled_up(client)


def test_data_are_overwritten_only_by_force_and_are_kept(fresh, made):
    with running(fresh) as client:
        ready_store(fresh)
        fill(client, "other", 7)
    with pytest.raises(RestoreRefusedError, match="holds a store already; with --force"):
        restoring(fresh.settings, made)
    with running(fresh) as client:
        assert counted(client) == (7,) * 4
    former = restoring(fresh.settings, made, force=True)["former"]

    assert (fresh.settings.store_dir / former).is_dir()
    with running(fresh) as client:
        assert counted(client) == (FIRST,) * 4


def test_a_running_store_is_told_to_start_again_on_it(fresh, made):
    with running(fresh) as client:
        ready_store(fresh)
        fill(client, "other", 7)
        # What the supervisor does: start it again when it has ended.
        keeper = threading.Thread(target=lambda: (fresh.wait(), fresh.start()))
        keeper.start()
        told = restoring(fresh.settings, made, force=True)
        keeper.join()
        assert told["restarted"]
        assert (fresh.settings.store_dir / told["former"]).is_dir()
        again = fresh.client()
        assert counted(again) == (FIRST,) * 4
        again.close()


@pytest.mark.parametrize("harm", ["data", "token", "sum"])
def test_a_backup_that_is_not_good_changes_nothing(fresh, made, tmp_path, harm):
    bad = tmp_path / "bad"
    shutil.copytree(made, bad)
    if harm == "sum":
        manifest = read_manifest(bad)
        calls = msgspec.structs.replace(manifest.tables["calls"], rows=FIRST + 1)
        write_manifest(bad, msgspec.structs.replace(manifest, tables={**manifest.tables, "calls": calls}))
    else:
        path = bad / ("data.tar" if harm == "data" else "tokens/calls/deduplication_log_1.txt")
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RestoreRefusedError, match="is not what was backed up" if harm == "sum" else "is damaged"):
        restoring(fresh.settings, bad)

    folder = Folder(fresh.settings.store_dir)
    assert not folder.engine_dir.exists()
    assert not folder.restoring_dir.exists()
    assert not folder.restored_dir.exists()


def test_a_backup_of_a_newer_schema_is_refused_before_anything_is_done(fresh, made, tmp_path):
    (tmp_path / "newer").mkdir()
    write_manifest(tmp_path / "newer", msgspec.structs.replace(read_manifest(made), schema_version=9_999))
    with pytest.raises(RestoreRefusedError, match="knows only up to"):
        restoring(fresh.settings, tmp_path / "newer")
    assert not fresh.settings.store_dir.exists()


def test_no_backup_no_restore(fresh, tmp_path):
    with pytest.raises(RestoreRefusedError, match=f"no backup: {FILE_NAME} cannot be read"):
        restoring(fresh.settings, tmp_path)


def test_one_restore_at_a_time(fresh, made):
    lock = FolderLock(Folder(Folder(fresh.settings.store_dir).restoring_dir))
    with pytest.raises(RestoreRefusedError, match="another restore"):
        restoring(fresh.settings, made)
    lock.release()


def test_the_database_may_be_called_otherwise_here(fresh, made):
    store = msgspec.structs.replace(fresh.settings.store, database="billing")
    fresh.settings = msgspec.structs.replace(fresh.settings, store=store)
    restoring(fresh.settings, made)
    with running(fresh) as client:
        assert counted(client) == (FIRST,) * 4
        fill(client, "third", 10)
        assert rolled_up(client)


def test_calls_that_the_archive_has_and_the_backup_has_not_are_told(fresh, made):
    hour = time.strftime("%Y%m%dT%H", time.gmtime(read_manifest(made).at_ns / 1e9))
    (shipped_dir(fresh.settings.journal_dir) / hour / "worker-0-x").mkdir(parents=True)
    add_segment(shipped_dir(fresh.settings.journal_dir) / hour, "worker-0-x", 1, [call(1), call(2)])
    gap = restoring(fresh.settings, made)["gap"]
    assert (gap["archived_calls"], gap["archived_segments"], gap["reaches_back"]) == (2, 1, True)
