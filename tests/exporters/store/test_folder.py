"""The folder: its lock and what is written into it."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from exporters.store.folder import (
    Folder,
    FolderInUseError,
    FolderLock,
    adopt_restored,
    default_memory_bytes,
    empty_scratch,
    write_config,
)

HOLD = """
import sys, time
from pathlib import Path
from exporters.store.folder import Folder, FolderLock
lock = FolderLock(Folder(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    folder = Folder(tmp_path / "a" / "b")
    FolderLock(folder).release()

    assert folder.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.real
def test_a_folder_belongs_to_one_process_and_the_message_says_to_which(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"

    with pytest.raises(FolderInUseError, match=rf"{tmp_path} is open in process {holder.pid}$"):
        FolderLock(Folder(tmp_path))
    holder.kill()
    holder.communicate()
    FolderLock(Folder(tmp_path)).release()


def test_the_engine_is_told_its_limits(tmp_path):
    folder = Folder(tmp_path / "it's <odd>")
    FolderLock(folder).release()
    write_config(folder, 1 << 30)
    config, profiles = ET.parse(folder.config_file), ET.parse(folder.users_file)

    assert config.findtext("max_server_memory_usage") == str(1 << 30)
    assert config.findtext("users_config") == str(folder.users_file)
    assert config.findtext("merge_tree/fsync_after_insert") == "1"
    assert profiles.findtext("profiles/default/max_memory_usage") == str(1 << 29)
    assert profiles.findtext("profiles/default/async_insert") == "0"


def test_memory_is_bounded_on_any_machine():
    assert 1 << 30 <= default_memory_bytes() <= 4 << 30


def test_scratch_is_emptied(tmp_path):
    folder = Folder(tmp_path)
    folder.scratch_dir.mkdir()
    (folder.scratch_dir / "left").write_text("over")

    assert list(empty_scratch(folder).iterdir()) == []


def test_scratch_is_elsewhere_when_the_engine_could_not_use_the_path(tmp_path):
    folder = Folder(tmp_path / "a{1..9}")
    folder.root.mkdir()
    scratch = empty_scratch(folder)

    assert tmp_path not in scratch.parents
    scratch.rmdir()


def restored(folder, text="new"):
    engine = Folder(folder.restored_dir).engine_dir
    engine.mkdir(parents=True)
    (engine / "data").write_text(text)


def test_a_restored_engine_takes_the_place_of_the_present_one_which_is_kept(tmp_path):
    folder = Folder(tmp_path)
    folder.engine_dir.mkdir()
    (folder.engine_dir / "data").write_text("old")
    restored(folder)
    former = adopt_restored(folder)

    assert (folder.engine_dir / "data").read_text() == "new"
    assert (former / "data").read_text() == "old"
    assert not folder.restored_dir.exists()
    assert adopt_restored(folder) is None


def test_a_swap_that_was_cut_short_is_gone_on_with(tmp_path):
    folder = Folder(tmp_path)
    restored(folder)  # the former engine has been moved already
    assert adopt_restored(folder) is None
    assert (folder.engine_dir / "data").read_text() == "new"
    folder.restored_dir.mkdir()  # and here the restored one too
    assert adopt_restored(folder) is None
    assert (folder.engine_dir / "data").read_text() == "new"
    assert not folder.restored_dir.exists()
