import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.journal import reader
from exporters.journal.encode import encode_line
from exporters.journal.files import FileLock
from exporters.journal.names import SegmentName, open_name
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import (
    add_segment,
    claim_dead,
    instances,
    last_number,
    list_segments,
    read_segment,
    recover,
    remove_abandoned,
    remove_instance,
)
from tests.fakes.records import any_call, call, loss, opened

SHA256 = "0" * 64


def line(record):
    buffer = bytearray()
    encode_line(record, buffer)
    return bytes(buffer)


def dead_with(journal_dir, number, data, instance="w"):
    """A dead instance that left an open segment with these bytes."""
    folder = journal_dir / instance
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:08d}.open").write_bytes(data)
    return folder


def recovered(journal_dir, instance="w"):
    """Contents by segment number after recovery."""
    with claim_dead(journal_dir, instance):
        recover(journal_dir, instance, Quarantine(journal_dir))
    sealed = list_segments(journal_dir, instance).sealed
    return {number: read_segment(sealed[number]) for number in sorted(sealed)}


@given(
    st.lists(
        st.one_of(any_call, st.builds(opened, st.integers(0, 99)), st.builds(loss, odd=st.integers(0, 9))), max_size=5
    ),
    st.data(),
)
def test_a_segment_torn_at_any_byte_gives_exactly_the_complete_lines(written, data):
    lines = [line(record) for record in written]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    complete = whole[:cut].count(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        journal_dir = Path(folder)
        dead_with(journal_dir, 1, whole[:cut])
        content = recovered(journal_dir)[1]
        torn = cut > sum(map(len, lines[:complete]))
        # Compared as text: a NaN among the figures is not equal to itself.
        assert [line(record) for record in content.records] == [line(record) for record in written[:complete]]
        assert content.intact
        assert content.bad == []
        assert Quarantine(journal_dir).counts() == ({"torn": 1} if torn else {})


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_byte_that_rots_costs_at_most_the_lines_it_stands_in(position, value):
    lines = [line(opened(number)) for number in (1, 2, 3)]
    whole = bytearray(b"".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        journal_dir = Path(folder)
        dead_with(journal_dir, 1, bytes(whole))
        (content,) = recovered(journal_dir).values()
        path = next((journal_dir / "w").glob("*.jsonl"))
        rotten = whole[position] != value
        whole[position] = value
        path.write_bytes(whole)
        content = read_segment(list_segments(journal_dir, "w").sealed[1])
        assert content.intact is not rotten
        # A byte that becomes a line feed makes two lines of one, and one that was a line feed one of two.
        assert len(content.records) >= 1
        assert len(content.records) + len(content.bad) + content.missing >= 3
        assert opened(3) in content.records or position >= len(lines[0]) + len(lines[1]) - 1


def test_a_tail_without_a_line_feed_is_torn_even_if_it_reads(tmp_path):
    dead_with(tmp_path, 1, line(call(1)) + line(call(2))[:-1])
    assert recovered(tmp_path)[1].records == [call(1)]
    assert Quarantine(tmp_path).counts() == {"torn": 1}


def test_recovery_keeps_the_order_and_the_numbers(tmp_path):
    dead_with(tmp_path, 2, line(call(2)))
    dead_with(tmp_path, 3, line(call(3))[:20])
    add_segment(tmp_path, "w", 1, [call(1)])
    contents = recovered(tmp_path)
    assert [content.records for content in contents.values()] == [[call(1)], [call(2)], []]
    assert list(contents) == [1, 2, 3]


@pytest.mark.parametrize("step", range(6))
def test_a_recovery_that_is_cut_short_is_done_again(tmp_path, monkeypatch, step):
    dead_with(tmp_path, 1, line(call(1)) + b'{"line":"call"')
    steps = 0

    def counting(function):
        def counted(*args, **more):
            nonlocal steps
            steps += 1
            if steps > step:
                raise OSError("killed")
            return function(*args, **more)

        return counted

    with monkeypatch.context() as patched:
        for name in ("fdatasync", "fsync", "rename"):
            patched.setattr(os, name, counting(getattr(os, name)))
        patched.setattr(Path, "rename", counting(Path.rename))
        with contextlib.suppress(OSError):
            recovered(tmp_path)
    content = recovered(tmp_path)[1]
    assert content.records == [call(1)]
    assert content.intact
    assert Quarantine(tmp_path).counts() == {"torn": 1}


def test_a_living_instance_is_not_claimed(tmp_path):
    dead_with(tmp_path, 1, b"")
    with FileLock.take(tmp_path / "w" / "lock"):
        assert claim_dead(tmp_path, "w") is None
    assert claim_dead(tmp_path, "gone") is None


def test_lines_that_are_no_records_are_told_apart_from_the_rest(tmp_path):
    odd = [b"not json", b'{"line":"unheard of"}', b'{"line":"call"}', b"\xff\xfe", b"[]"]
    dead_with(tmp_path, 1, line(call(1)) + b"\n".join(odd) + b"\n" + line(call(2)))
    content = recovered(tmp_path)[1]
    assert content.records == [call(1), call(2)]
    assert content.bad == odd
    assert content.intact


def test_fields_of_a_later_version_are_stepped_over(tmp_path):
    later = line(call(1)).replace(b'"line":"call"', b'"line":"call","mood":{"of":"the model"}')
    dead_with(tmp_path, 1, later)
    assert recovered(tmp_path)[1].records == [call(1)]


def test_lines_that_are_gone_are_counted(tmp_path):
    dead_with(tmp_path, 1, line(call(1)) + line(call(2)))
    recovered(tmp_path)
    path = next((tmp_path / "w").glob("*.jsonl"))
    path.write_bytes(line(call(1)))
    content = read_segment(list_segments(tmp_path, "w").sealed[1])
    assert (content.records, content.missing, content.intact) == ([call(1)], 1, False)


def test_the_token_of_a_segment_is_that_of_its_bytes(tmp_path):
    for instance, record in (("a", call(1)), ("b", call(1)), ("c", call(2))):
        (tmp_path / instance).mkdir()
        add_segment(tmp_path, instance, 1, [record])
    tokens = {instance: list_segments(tmp_path, instance).sealed[1].token for instance in "abc"}
    assert tokens["a"].partition("/")[2] == tokens["b"].partition("/")[2] != tokens["c"].partition("/")[2]
    assert len(set(tokens.values())) == 3


def test_a_segment_of_our_own_is_made_the_same_again(tmp_path):
    (tmp_path / "w").mkdir()
    for _ in range(2):
        add_segment(tmp_path, "w", 4, [call(1), call(2)])
    assert list(list_segments(tmp_path, "w").sealed) == [4]


def test_only_segments_behind_a_number_are_listed(tmp_path):
    dead_with(tmp_path, 4, b"")
    for number in (1, 2, 3):
        add_segment(tmp_path, "w", number, [call(number)])
    listing = list_segments(tmp_path, "w", after=2)
    assert (list(listing.sealed), listing.open) == ([3], {4})
    assert list_segments(tmp_path, "gone") == reader.Listing({}, frozenset())


def test_a_segment_that_is_renamed_during_the_look_is_found(tmp_path, monkeypatch):
    dead_with(tmp_path, 1, b"")
    add_segment(tmp_path, "w", 2, [call(2)])
    look = os.listdir
    looks = []

    def blind_at_first(folder):
        names = look(folder)
        looks.append(folder)
        if len(looks) == 1:
            (folder / "00000001.open").rename(folder / f"00000001-0-{SHA256}.jsonl")
            return [name for name in names if not name.startswith("00000001")]
        return look(folder)

    monkeypatch.setattr(reader.os, "listdir", blind_at_first)
    listing = list_segments(tmp_path, "w")
    assert sorted(listing.sealed) == [1, 2]
    assert listing.open == frozenset()


def test_a_segment_seen_open_once_is_never_taken_for_missing(tmp_path, monkeypatch):
    looks = [["00000002.open", f"00000003-1-{SHA256}.jsonl"], [f"00000003-1-{SHA256}.jsonl"]]
    monkeypatch.setattr(reader.os, "listdir", lambda _: looks.pop(0))
    listing = list_segments(tmp_path, "w")
    assert (list(listing.sealed), listing.open, looks) == ([3], {2}, [])


def test_folders_that_are_no_instances_are_left_alone(tmp_path):
    for name in (".shipped", ".quarantine", ".w.new", "worker-1", "worker-2"):
        (tmp_path / name).mkdir()
    assert instances(tmp_path) == ["worker-1", "worker-2"]
    assert instances(tmp_path / "gone") == []


def test_half_made_instances_are_removed_once_they_are_old_and_dead(tmp_path):
    for name in (".young.new", ".old.new", ".alive.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    for name in (".old.new", ".alive.new"):
        os.utime(tmp_path / name, (1, 1))
    with FileLock.take(tmp_path / ".alive.new" / "lock"):
        os.utime(tmp_path / ".alive.new", (1, 1))
        remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".alive.new", ".young.new"]


def test_an_instance_with_a_segment_left_is_not_removed(tmp_path):
    dead_with(tmp_path, 1, b"")
    (tmp_path / "w" / ".x.part").touch()
    with pytest.raises(OSError):
        remove_instance(tmp_path, "w")
    (tmp_path / "w" / "00000001.open").unlink()
    remove_instance(tmp_path, "w")
    assert not (tmp_path / "w").exists()
    shutil.rmtree(tmp_path)


def test_the_last_number_is_that_of_an_open_segment_too(tmp_path):
    assert last_number(tmp_path, "w") == 0
    (tmp_path / "w").mkdir()
    assert last_number(tmp_path, "w") == 0
    (tmp_path / "w" / SegmentName(3, 1, "0" * 64).file_name).touch()
    assert last_number(tmp_path, "w") == 3
    (tmp_path / "w" / open_name(4)).touch()
    assert last_number(tmp_path, "w") == 4
