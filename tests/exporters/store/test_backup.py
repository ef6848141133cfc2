"""Backups of a store that runs."""

import shutil
import subprocess
import threading

import pytest

from exporters.store import backup as module
from exporters.store.backup import take_backup
from exporters.store.folder import Folder, FolderLock
from exporters.store.manifest import BackupError, check_files, read_manifest
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.filled_store import counted, fill, ready_store

pytestmark = pytest.mark.real


def silent(_stage, _done, _total):
    pass


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = EmbeddedStore(tmp_path_factory.mktemp("data"))
    store.start()
    client = ready_store(store)
    fill(client, "first", 20_000)
    client.close()
    yield store
    store.stop()


@pytest.fixture
def client(store):
    client = store.client()
    yield client
    client.close()


def left_behind(store):
    folder = Folder(store.settings.store_dir)
    drafts = [path for path in folder.backup_dir.iterdir() if path.name != "lock"]
    logs = list(folder.snapshots_dir.iterdir()) if folder.snapshots_dir.exists() else []
    client = store.client("default")
    snapshots = client.query("SELECT name FROM system.databases WHERE startsWith(name, '_snapshot')").result_rows
    client.close()
    return [*drafts, *logs, *snapshots]


@pytest.mark.parametrize("compress", [False, True])
def test_a_backup_says_what_is_in_it_and_leaves_nothing_else(store, client, tmp_path, compress):
    manifest = take_backup(store.settings, tmp_path / "deep" / "b", compress=compress, progress=silent)
    calls, _, attempts, _ = counted(client)

    assert (manifest.tables["calls"].rows, manifest.tables["attempts"].rows) == (calls, attempts)
    assert manifest.tables["calls"].sums["cost"].keys() == {"CNY", "USD"}
    assert manifest.schema_version > 0
    assert read_manifest(tmp_path / "deep" / "b") == manifest
    check_files(tmp_path / "deep" / "b", manifest, silent)
    assert (tmp_path / "deep" / "b").stat().st_mode & 0o777 == 0o700
    assert left_behind(store) == []
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b"]


def test_rows_come_in_while_it_is_made_and_it_has_whole_inserts(store, client, tmp_path):
    over, refused = threading.Event(), []

    def insert():
        connection, number = store.client(), 0
        while not over.is_set():
            number += 1
            try:
                fill(connection, f"busy-{number}", 1_000)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
                refused.append(error)
                return
        connection.close()

    thread = threading.Thread(target=insert)
    before = counted(client)[0]
    thread.start()
    rows = [
        take_backup(store.settings, tmp_path / str(n), compress=False, progress=silent).tables["calls"].rows
        for n in range(4)
    ]
    over.set()
    thread.join()

    assert refused == []
    assert rows == sorted(rows)
    assert all((count - before) % 1_000 == 0 for count in rows)
    assert counted(client)[0] > rows[0]


def test_nothing_is_overwritten(store, tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(BackupError, match="is there already"):
        take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)


def test_one_at_a_time(store, tmp_path):
    lock = FolderLock(Folder(Folder(store.settings.store_dir).backup_dir))
    with pytest.raises(BackupError, match="another backup"):
        take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
    lock.release()


def test_what_a_killed_backup_left_is_removed_by_the_next(store, tmp_path):
    draft = Folder(store.settings.store_dir).backup_dir / ".left.new"
    draft.mkdir()
    (draft / "data.tar").write_text("half")
    take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
    assert left_behind(store) == []


def test_a_store_that_does_not_run_is_told_in_one_sentence(tmp_path):
    store = EmbeddedStore(tmp_path / "data")
    with pytest.raises(BackupError, match="cannot be reached"):
        take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
    assert not (tmp_path / "b").exists()


def test_a_disk_that_is_seen_to_be_too_small_is_refused_beforehand(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(BackupError, match="there is no room for a backup of about"):
        take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
    assert not (tmp_path / "b").exists()
    assert left_behind(store) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for almost nothing."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_in_the_middle_keeps_nothing_half(store, small_disk, monkeypatch):
    monkeypatch.setattr(module, "_check_room", lambda *_: None)
    with pytest.raises(BackupError, match="the disk is full; nothing of the backup was kept"):
        take_backup(store.settings, small_disk / "b", compress=False, progress=silent)
    assert list(small_disk.iterdir()) == []
    assert left_behind(store) == []


def test_the_stores_own_disk_filling_up_is_told_the_same_way(tmp_path, small_disk, monkeypatch):
    subprocess.run(["mount", "-o", "remount,size=96m", str(small_disk)], check=True)
    monkeypatch.setattr(module, "_check_room", lambda *_: None)
    store = EmbeddedStore(small_disk)
    store.start()
    try:
        client = ready_store(store)
        fill(client, "much", 60_000)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 512 * 1024))
        with pytest.raises(BackupError, match="disk is full"):
            take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
        filler.unlink()
        assert left_behind(store) == []
        assert counted(client)[:2] == (60_000, 60_000)
        manifest = take_backup(store.settings, tmp_path / "b", compress=False, progress=silent)
        client.close()
    finally:
        store.stop()
    assert manifest.tables["calls"].rows == 60_000
