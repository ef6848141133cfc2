"""Folders of files, copied and synced."""

import errno
import os

import pytest

from exporters.store.files import copy_folder, reason, sync_folder, sync_path


def test_a_folder_is_copied_with_all_that_is_in_it_for_its_owner_alone(tmp_path):
    source = tmp_path / "a"
    (source / "b" / "c").mkdir(parents=True)
    (source / "x").write_bytes(b"12")
    (source / "b" / "c" / "y").write_bytes(b"345")
    sizes = []
    copy_folder(source, tmp_path / "z", sizes.append)
    sync_folder(tmp_path / "z")

    assert (tmp_path / "z" / "b" / "c" / "y").read_bytes() == b"345"
    assert sorted(sizes) == [2, 3]
    assert (tmp_path / "z").stat().st_mode & 0o777 == 0o700


def test_nothing_is_copied_over_what_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileExistsError):
        copy_folder(tmp_path / "a", tmp_path / "a")


def test_what_is_not_there_cannot_be_synced(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync_path(tmp_path / "nothing")


def test_a_full_disk_is_said_in_words():
    assert reason(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == "the disk is full"
    assert reason(OSError(errno.EACCES, "Permission denied")) == "Permission denied"
    assert reason(OSError("odd")) == "odd"
