"""The files by which workers and people tell how targets are."""

from policies.health import Snapshot
from proxy.target_files import STALE_S, Notes, read_notes, read_orders, write_notes, write_order

NOTES = Notes(worker="w", written_at_s=1.0, targets={"a/m": Snapshot(worker="w", version=1)})


def test_what_a_worker_wrote_the_others_read_and_not_itself(tmp_path):
    assert write_notes(tmp_path, NOTES)

    assert read_notes(tmp_path) == [NOTES]
    assert read_notes(tmp_path, but="w") == []


def test_what_a_worker_said_that_is_gone_for_long_is_cleared_away(tmp_path):
    write_notes(tmp_path, NOTES)
    file = tmp_path / "targets" / "w.json"
    written_s = file.stat().st_mtime

    assert read_notes(tmp_path, now_s=written_s + STALE_S + 1) == []
    assert not file.exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "targets").write_bytes(b"")

    assert not write_notes(tmp_path, NOTES)
    assert read_notes(tmp_path) == []


def test_of_several_orders_for_a_target_the_last_one_stands(tmp_path):
    write_order(tmp_path, "a/m", "drain", 1)
    write_order(tmp_path, "b/m", "drain", 2)
    write_order(tmp_path, "a/m", "restore", 3)

    assert {name: (one.order, one.at_ns) for name, one in read_orders(tmp_path).items()} == {
        "a/m": ("restore", 3),
        "b/m": ("drain", 2),
    }
