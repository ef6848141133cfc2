import os

import pytest

from exporters.journal.files import FileLock, is_locked, sync_dir, write_whole


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    first = FileLock.take(tmp_path / "lock")
    assert first is not None
    assert FileLock.take(tmp_path / "lock") is None
    first.release()
    with FileLock.take(tmp_path / "lock") as again:
        assert FileLock.take(tmp_path / "lock") is None
    assert again.path.exists()


def test_a_lock_may_be_released_twice(tmp_path):
    lock = FileLock.take(tmp_path / "lock")
    lock.release()
    lock.release()
    assert FileLock.take(tmp_path / "lock") is not None


def test_a_lock_is_not_inherited_by_programs_we_start(tmp_path):
    lock = FileLock.take(tmp_path / "lock")
    assert not os.get_inheritable(lock._descriptor)
    lock.release()


def test_a_file_is_there_whole_and_its_scaffold_gone(tmp_path):
    write_whole(tmp_path / "a", b"one")
    write_whole(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "a", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_gone_cannot_be_synced(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync_dir(tmp_path / "gone")


def test_whether_a_lock_is_held_can_be_seen_without_taking_it_or_making_a_file(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    lock = FileLock.take(path)
    assert is_locked(path)
    lock.release()
    path.chmod(0o400)
    assert not is_locked(path)
    assert FileLock.take(tmp_path / "other") is not None
